#include <algorithm>

#include "rules/rule.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon::rules {
namespace {

/// Which iters the tile runs over.
struct TileAxes {
  int column = -1;   ///< the vector axis
  bool fits = true;  ///< its neighbours are next to each other, or the same, in every access
  int row = -1;      ///< reuses what is read along the column; -1 when there is none
};

TileAxes choose_axes(const BlockInfo& info, int lanes) {
  TileAxes axes;
  for (int d = info.num_spatial; d-- > info.num_context && axes.column < 0;) {
    bool fits = lane_stride(info, info.store->buffer, info.store->indices, d, lanes) == 1;
    for (const LoadNode* l : info.loads)
      fits = fits && lane_stride(info, l->buffer, l->indices, d, lanes) >= 0;
    if (fits) axes.column = d;
  }
  if (axes.column < 0) {
    axes.column = info.num_spatial - 1;
    axes.fits = false;
  }
  if (axes.column < info.num_context) return {};
  const ExprNode* column = info.block->iters[static_cast<std::size_t>(axes.column)].var.get();
  std::int64_t best = 1;
  for (int d = info.num_context; d < info.num_spatial; ++d) {
    if (d == axes.column) continue;
    const ExprNode* iter = info.block->iters[static_cast<std::size_t>(d)].var.get();
    const bool reuses = std::any_of(info.loads.begin(), info.loads.end(), [&](const LoadNode* l) {
      return uses_iter(*l, column) && !uses_iter(*l, iter);
    });
    const std::int64_t extent =
        extent_of(info, d) < 0 ? (std::int64_t{1} << 40) : extent_of(info, d);
    if (reuses && extent >= best) {
      best = extent;
      axes.row = d;
    }
  }
  return axes;
}

struct Tile {
  LoopRef outer, inner;
};

/// Lanes of one register in which values of `dtype` are added up: 16-bit floats are float32 there.
std::int64_t register_lanes(const Target& target, DType dtype) {
  return std::min(target.vector_lanes(dtype), target.vector_lanes(kFloat32));
}

Tile tile_rows(Schedule& s, const LoopRef& loop, std::int64_t extent, std::int64_t factor) {
  const std::int64_t rows =
      extent < 0 ? factor : std::clamp<std::int64_t>(extent, 1, factor);  // an extent may be 0
  const char* tail = extent < 0 ? "partition" : extent % factor == 0 ? "mask" : "balance";
  const auto parts = s.split(loop, {std::nullopt, rows}, tail);
  return {parts[0], parts[1]};
}

/// The lanes of a tile of at most `widest`, of which a register holds `lanes`: every vector, that
/// of the last columns too, fills registers by a power of two or is less than one. LLVM keeps other
/// lengths in memory.
std::int64_t column_lanes(std::int64_t columns, std::int64_t widest, std::int64_t lanes) {
  const auto is_power_of_two = [](std::int64_t n) { return (n & (n - 1)) == 0; };
  if (columns >= 0 && (columns <= lanes || (columns <= widest && is_power_of_two(columns))))
    return std::max<std::int64_t>(columns, 1);  // an extent may be 0
  std::int64_t width = lanes;
  while (width * 2 <= widest) width *= 2;
  if (columns < 0) return width;
  for (; width > lanes; width /= 2) {
    const std::int64_t rest = columns % width;
    if (width <= columns && (rest < lanes || is_power_of_two(rest))) break;
  }
  return width;
}

Tile tile_columns(Schedule& s, const LoopRef& loop, std::int64_t extent, std::int64_t factor) {
  const std::int64_t lanes = extent < 0 ? factor : std::clamp<std::int64_t>(extent, 1, factor);
  const char* tail = extent < 0 ? "mask" : extent % lanes == 0 ? "mask" : "partition";
  const auto parts = s.split(loop, {std::nullopt, lanes}, tail);
  return {parts[0], parts[1]};
}

/// The loops of a copied or moved block inside the tile: the last as lanes, the one before
/// unrolled.
void finish_tile_loops(Schedule& s, const std::string& block, const LoopRef& inside_of) {
  std::vector<LoopRef> loops = s.loops(block);
  const auto at = std::find_if(loops.begin(), loops.end(),
                               [&](const LoopRef& l) { return l.var.same_as(inside_of.var); });
  loops.erase(loops.begin(), at == loops.end() ? loops.begin() : at + 1);
  if (loops.empty()) return;
  s.vectorize(loops.back());
  for (std::size_t i = 0; i + 1 < loops.size(); ++i) s.unroll(loops[i]);
}

}  // namespace

std::string unpacked_operand(const BlockInfo& info) {
  if (!info.is_reduction() || is_row_reduction(info) || info.num_spatial == 0 ||
      info.loads.size() < 2)
    return "";
  const int column = info.num_spatial - 1;
  const ExprNode* iter = info.block->iters[static_cast<std::size_t>(column)].var.get();
  for (const LoadNode* l : info.loads) {
    const bool one_dimension = std::count_if(l->indices.begin(), l->indices.end(),
                                             [&](const Expr& e) { return e.get() == iter; }) == 1;
    if (one_dimension && l->indices.back().get() != iter &&
        lane_stride(info, l->buffer, l->indices, column, 64) < 0) {
      return l->buffer->name;
    }
  }
  return "";
}

void pack_operand(RuleContext& context, const std::string& block, const std::string& buffer) {
  const Function f = context.s.function();
  for (const BlockInfo& info : blocks_of(f)) {
    if (info.name() != block) continue;
    const Expr& column = info.block->iters[static_cast<std::size_t>(info.num_spatial) - 1].var;
    for (const LoadNode* l : info.loads) {
      const bool by_column = std::any_of(l->indices.begin(), l->indices.end(),
                                         [&](const Expr& index) { return index.same_as(column); });
      if (l->buffer->name != buffer || !by_column) continue;
      IndexMap map;
      Expr last;
      for (std::size_t d = 0; d < l->indices.size(); ++d) {
        map.vars.push_back(var("d" + std::to_string(d)));
        if (l->indices[d].same_as(column)) {
          last = map.vars.back();
        } else {
          map.results.push_back(map.vars.back());
        }
      }
      map.results.push_back(last);
      context.s.transform_layout({block}, buffer, map);
      return;
    }
  }
}

namespace {

/// One block of a contraction under `row`: the loops over all iters are fresh, the column's first
/// of `terms`, or before the loop over blocks of terms where there is one.
void tile_columns_in_row(RuleContext& context, const BlockInfo& info, const std::string& block,
                         const std::string& copy, const LoopRef& row, bool has_blocks,
                         std::size_t num_terms) {
  Schedule& s = context.s;
  std::vector<LoopRef> loops = s.loops(block);
  const auto at = std::find_if(loops.begin(), loops.end(),
                               [&](const LoopRef& l) { return l.var.same_as(row.var); });
  loops.erase(loops.begin(), at == loops.end() ? loops.begin() : at + 1);
  const std::size_t first_term = loops.size() - num_terms;
  if (first_term < (has_blocks ? 2U : 1U))
    detail::raise<ScheduleError>("E0299", "no axis of a row is left for lanes");
  const std::int64_t columns = extent_of(info, info.num_spatial - 1);
  const DType dtype = info.output()->dtype;
  const Tile column =
      tile_columns(s, loops[first_term - (has_blocks ? 2 : 1)], columns,
                   column_lanes(columns, context.target.register_tile(dtype).columns,
                                register_lanes(context.target, dtype)));
  std::vector<LoopRef> order{column.outer};
  if (has_blocks) order.insert(order.begin(), loops[first_term - 1]);
  order.insert(order.end(), loops.begin() + static_cast<std::ptrdiff_t>(first_term), loops.end());
  order.push_back(column.inner);
  s.reorder(order);
  s.reverse_compute_at({copy}, column.outer);
  s.vectorize(column.inner);
  s.vectorize(s.loops(copy).back());
  if (info.block->init) s.decompose_reduction({block}, loops[first_term]);
}

}  // namespace

void schedule_contraction_in_row(RuleContext& context, const BlockInfo& info,
                                 const RowContraction& parts, const LoopRef& row) {
  const auto num_terms = static_cast<std::size_t>(info.num_reduction);
  const bool is_divided = !parts.sums.empty();
  tile_columns_in_row(context, info, info.name(), parts.copy, row, false,
                      is_divided ? 1 : num_terms);
  if (is_divided)
    tile_columns_in_row(context, info, parts.sums, parts.sums_copy, row, true, num_terms);
}

namespace {

/// The tile of accumulators: that of the target, higher where few columns leave registers free;
/// without rows as wide as half the registers, so that long pieces of each row are read.
RegisterTile accumulator_tile(const RuleContext& context, const BlockInfo& info,
                              const TileAxes& axes) {
  const DType dtype = info.output()->dtype;
  const RegisterTile whole = context.target.register_tile(dtype);
  const std::int64_t lanes = register_lanes(context.target, dtype);
  const std::int64_t columns = extent_of(info, axes.column);
  if (axes.row < 0) {
    const std::int64_t widest = context.target.num_vector_registers / 2 * lanes;
    const std::int64_t share = columns < 0 ? widest : columns / context.target.num_cores;
    const auto width = std::clamp<std::int64_t>(share, whole.columns, widest);
    return {1, static_cast<int>(column_lanes(columns, width, lanes))};
  }
  constexpr std::int64_t kMaxRows = 8;  // more rows of an operand in place are too many
  const std::int64_t width = column_lanes(columns, whole.columns, lanes);
  const std::int64_t accumulators = whole.rows * (whole.columns / lanes);
  const std::int64_t rows = accumulators / ((width + lanes - 1) / lanes);
  return {static_cast<int>(std::clamp<std::int64_t>(rows, whole.rows,
                                                    std::max<std::int64_t>(kMaxRows, whole.rows))),
          static_cast<int>(width)};
}

/// The tile of accumulators, from those that fit into the registers.
RegisterTile choose_tile_size(RuleContext& context, const BlockInfo& info, const TileAxes& axes,
                              const std::string& role) {
  RegisterTile size = accumulator_tile(context, info, axes);
  if (!context.offers_decisions) return size;
  const std::int64_t lanes = register_lanes(context.target, info.output()->dtype);
  const std::int64_t columns = extent_of(info, axes.column);
  const std::int64_t registers = context.target.num_vector_registers;
  std::vector<std::int64_t> widths;
  for (std::int64_t width = lanes; width <= registers / 2 * lanes; width *= 2) {
    if (columns < 0 || width <= columns) widths.push_back(width);
  }
  size.columns = static_cast<int>(choose(context, role + "columns", widths, size.columns));
  if (axes.row < 0) return size;
  const std::int64_t vectors = (size.columns + lanes - 1) / lanes;
  const std::int64_t extent = extent_of(info, axes.row);
  std::vector<std::int64_t> heights;
  for (const std::int64_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16}) {
    if (rows * vectors < registers && (extent < 0 || rows <= extent)) heights.push_back(rows);
  }
  // The preferred height is that of the preferred width, lower where a wider tile needs it.
  const std::int64_t most = std::max<std::int64_t>(1, (registers - 1) / vectors);
  size.rows = static_cast<int>(
      choose(context, role + "rows", heights, std::min<std::int64_t>(size.rows, most)));
  return size;
}

/// Divides the innermost of the terms' loops into pieces that are repeated in the code.
void unroll_terms(RuleContext& context, const BlockInfo& info, const std::vector<LoopRef>& terms,
                  const std::string& role) {
  const std::int64_t extent = extent_of(info, info.num_spatial + info.num_reduction - 1);
  if (!context.offers_decisions || extent < 4) return;
  const std::int64_t factor = choose(context, role + "unroll_terms", {1, 2, 4, 8}, 1);
  if (factor == 1) return;
  context.s.unroll(context.s.split(terms.back(), {std::nullopt, factor}, "partition")[1]);
}

/// Lets a contraction read a copy of the operand that it would read across its lanes; returns the
/// block that makes the copy, "" where there is none or where too few rows would use it.
std::string copy_unpacked_operand(RuleContext& context, const BlockInfo& info, const TileAxes& axes,
                                  const std::string& role) {
  constexpr std::int64_t kMinRows = 4;
  const std::string operand = unpacked_operand(info);
  if (axes.fits || operand.empty() || axes.row < 0) return "";
  const std::int64_t rows = extent_of(info, axes.row);
  if (!choose(context, role + "pack", rows < 0 || rows >= kMinRows)) return "";
  const std::string copy = context.s.cache_read({info.name()}, operand, "global").name;
  const Function f = context.s.function();
  const std::vector<BlockInfo> blocks = blocks_of(f);
  pack_operand(context, info.name(), find_block(blocks, copy)->output()->name);
  return copy;
}

/// Schedules the copy, which is in its place: squares transposed in registers.
void schedule_packing(RuleContext& context, const std::string& copy, bool in_own_nest) {
  Schedule& s = context.s;
  const Function f = s.function();  // keeps the infos valid
  const std::vector<BlockInfo> blocks = blocks_of(f);
  const BlockInfo& info = *find_block(blocks, copy);
  const DType dtype = info.output()->dtype;
  const auto axes = transpose_axes(info, transpose_lanes(context.target, dtype));
  if (!axes) detail::raise<ScheduleError>("E0299", "the operand cannot be packed");
  std::vector<LoopRef> loops = s.loops(copy);
  loops.erase(loops.begin(), loops.end() - info.num_spatial);
  std::vector<LoopRef> order;
  const LoopRef row = loops[static_cast<std::size_t>(axes->row)];
  const LoopRef lane = loops[static_cast<std::size_t>(axes->lane)];
  for (const LoopRef& loop : loops) {
    if (!loop.var.same_as(row.var) && !loop.var.same_as(lane.var)) order.push_back(loop);
  }
  order.insert(order.end(), {lane, row});
  s.reorder(order);
  const std::vector<LoopRef> squares = tile_transpose(context, row, lane, dtype);
  const bool threads =
      in_own_nest && runs_in_threads(context, copy, num_iterations(info, 0, info.num_spatial));
  if (threads) s.parallel(order.size() > 2 ? order[0] : squares[0]);
}

/// How often the block reads the buffer.
std::ptrdiff_t num_reads(const BlockInfo& info, const std::string& buffer) {
  return std::count_if(info.loads.begin(), info.loads.end(),
                       [&](const LoadNode* l) { return l->buffer->name == buffer; });
}

}  // namespace

namespace {

/// The spatial loops outside the tile. Panels of columns outside, so that a panel of the reused
/// operand stays in the cache while the rows pass; one panel alone: rows.
/// Batch loops of a known extent come first: one of a symbolic extent may run once, and would
/// leave threads without work.
struct OuterLoops {
  std::vector<int> batch;     ///< iters
  bool rows_outside = false;  ///< the tiles of rows come before those of columns
  std::int64_t shared = -1;   ///< iterations of the outermost one; -1 when unknown
};

OuterLoops choose_outer(const BlockInfo& info, const TileAxes& axes, const RegisterTile& tile,
                        int num_cores) {
  OuterLoops out;
  for (const bool is_known : {true, false}) {
    for (int d = info.num_context; d < info.num_spatial; ++d) {
      const bool is_batch = d != axes.column && d != axes.row;
      if (is_batch && (extent_of(info, d) > 1) == is_known) out.batch.push_back(d);
    }
  }
  const auto tiles = [&](int iter, std::int64_t size) {
    const std::int64_t extent = extent_of(info, iter);
    return extent < 0 ? -1 : (extent + size - 1) / size;
  };
  const std::int64_t panels = tiles(axes.column, tile.columns);
  out.rows_outside =
      axes.row >= 0 && panels >= 0 && panels < 2 * num_cores && panels % num_cores != 0;
  out.shared = !out.batch.empty() ? extent_of(info, out.batch.front())
               : out.rows_outside ? tiles(axes.row, tile.rows)
                                  : panels;
  return out;
}

/// The same choice, open to a tuner.
void choose_rows_outside(RuleContext& context, const BlockInfo& info, const TileAxes& axes,
                         const RegisterTile& tile, const std::string& role, OuterLoops* outer) {
  const bool before = outer->rows_outside;
  outer->rows_outside = choose(context, role + "rows_outside", before);
  if (outer->rows_outside == before || !outer->batch.empty()) return;
  const std::int64_t size = outer->rows_outside ? tile.rows : tile.columns;
  const std::int64_t extent = extent_of(info, outer->rows_outside ? axes.row : axes.column);
  outer->shared = extent < 0 ? -1 : (extent + size - 1) / size;
}

/// Whether a panel of all terms would not stay in L2 while several tiles of rows pass, but that of
/// a block of terms does better: the tiles then pass for each block, and the result, not registers,
/// has the sum of the blocks.
bool passes_by_blocks(const RuleContext& context, const BlockInfo& info, const TileAxes& axes,
                      const RegisterTile& tile) {
  constexpr std::int64_t kMinTiles = 4;
  const std::int64_t terms =
      num_iterations(info, info.num_spatial, info.num_spatial + info.num_reduction);
  const std::int64_t panel = terms * tile.columns * info.output()->dtype.bytes();
  return axes.row >= 0 && extent_of(info, axes.row) >= kMinTiles * tile.rows &&
         panel > context.target.l2_bytes;
}

void tile_contraction(RuleContext& context, const BlockInfo& info,
                      const std::optional<std::string>& consumer, bool into_blocks) {
  Schedule& s = context.s;
  const std::string& name = info.name();
  const TileAxes axes =
      choose_axes(info, context.target.register_tile(info.output()->dtype).columns);
  std::vector<LoopRef> loops = s.loops(name);
  TENON_CHECK(static_cast<int>(loops.size()) == info.num_spatial + info.num_reduction, "block '",
              name, "' is scheduled already");
  if (axes.column < 0) return schedule_fallback(context, name, info.num_context);
  const std::string role = name + (into_blocks ? "." : ".joined_");
  const RegisterTile size = choose_tile_size(context, info, axes, role);
  OuterLoops outer = choose_outer(info, axes, size, context.target.num_cores);
  if (axes.row >= 0) choose_rows_outside(context, info, axes, size, role, &outer);
  const std::int64_t work =
      num_iterations(info, info.num_context, info.num_spatial + info.num_reduction);
  const std::string copy = copy_unpacked_operand(context, info, axes, role);
  const auto chain = into_blocks ? divide_chain(context, info) : std::nullopt;
  const bool threads = choose(context, role + "parallel", worth_threads(work));
  const bool shares_blocks =
      chain && threads &&
      choose(context, role + "share_blocks", threads_share_blocks(context, info, outer.shared));
  const bool can_pass = chain && !shares_blocks && !outer.rows_outside && axes.row >= 0;
  const bool by_blocks = can_pass && choose(context, role + "pass_by_blocks",
                                            passes_by_blocks(context, info, axes, size));
  const std::string tiled = shares_blocks ? chain->sums : name;
  std::vector<LoopRef> terms(loops.begin() + info.num_spatial, loops.end());
  if (shares_blocks) terms = chain->terms;
  if (chain && !shares_blocks) {
    loops = s.loops(name);
    terms = {chain->joined};
  }

  const auto at = [&](int d) { return loops[static_cast<std::size_t>(d)]; };
  const Tile column = tile_columns(s, at(axes.column), extent_of(info, axes.column), size.columns);
  std::optional<Tile> row;
  if (axes.row >= 0) row = tile_rows(s, at(axes.row), extent_of(info, axes.row), size.rows);

  std::vector<LoopRef> order;
  if (shares_blocks) order.push_back(chain->block);
  for (const int d : outer.batch) order.push_back(at(d));
  const std::optional<LoopRef> batch = order.empty() ? std::nullopt : std::optional(order.back());
  if (row && outer.rows_outside) order.push_back(row->outer);
  order.push_back(column.outer);
  if (by_blocks) order.push_back(chain->joined);
  if (row && !outer.rows_outside) order.push_back(row->outer);
  const LoopRef innermost_outer = order.back(), outermost = order.front();
  if (!by_blocks) order.insert(order.end(), terms.begin(), terms.end());
  if (row) order.push_back(row->inner);
  order.push_back(column.inner);
  s.reorder(order);

  std::string tail_block = consumer && !shares_blocks ? *consumer : "";
  if (by_blocks) {
    if (consumer) s.reverse_compute_at({tail_block}, column.outer);
    if (consumer) s.vectorize(s.loops(tail_block).back());
  } else {
    if (tail_block.empty()) {
      tail_block = s.cache_write({tiled}, "register").name;
    } else {
      s.set_scope({name}, "register");
    }
    s.reverse_compute_at({tail_block}, innermost_outer);
    finish_tile_loops(s, tail_block, innermost_outer);
  }
  s.vectorize(column.inner);
  if (row) s.unroll(row->inner);
  if (info.block->init) s.decompose_reduction({tiled}, terms.front());
  if (chain && !shares_blocks) {
    const LoopRef around = by_blocks ? row->outer : chain->joined;
    terms = place_sums(context, info, chain->sums, around, axes.row, axes.column);
  }
  unroll_terms(context, info, terms, role);
  // A panel is packed where it is used; panels that every tile of rows uses, before these.
  // What the steps of a scan use is packed before them.
  bool pack_before = num_reads(info, unpacked_operand(info)) > 1 ||
                     (outer.rows_outside && !batch) || info.num_context > 0;
  if (!copy.empty() && !pack_before) pack_before = choose(context, role + "pack_before", false);
  if (!copy.empty() && !pack_before)
    s.compute_at({copy}, outer.rows_outside ? *batch : column.outer);
  if (threads) s.parallel(outermost);
  if (!copy.empty()) schedule_packing(context, copy, pack_before);
  if (shares_blocks) join_blocks(context, name, consumer);
}

}  // namespace

void join_blocks(RuleContext& context, const std::string& block,
                 const std::optional<std::string>& consumer) {
  const Function f = context.s.function();  // keeps the infos valid
  const std::vector<BlockInfo> blocks = blocks_of(f);
  tile_contraction(context, *find_block(blocks, block), consumer, false);
}

void schedule_contraction(RuleContext& context, const BlockInfo& info,
                          const std::optional<std::string>& consumer) {
  tile_contraction(context, info, consumer, true);
}

}  // namespace tenon::rules
