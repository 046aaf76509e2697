// Windows: convolutions forward and backward, depthwise ones, pooling.

#include <algorithm>
#include <numeric>

#include "rules/rule.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon::rules {
namespace {

constexpr std::int64_t kUnknown = std::int64_t{1} << 40;  ///< a symbolic extent, taken as large
constexpr std::int64_t kMaxUnrolledWindow = 7;

const ExprNode* iter_var(const BlockInfo& info, int d) {
  return info.block->iters[static_cast<std::size_t>(d)].var.get();
}

/// The reduction iter that slides along with a spatial one; -1 when there is none.
int window_of(const BlockInfo& info, int spatial) {
  for (int r = info.num_spatial; r < info.num_spatial + info.num_reduction; ++r) {
    if (slides(info, spatial, r)) return r;
  }
  return -1;
}

/// The loops of the register tile and its size. Rows reuse what is read along the columns, which
/// are lanes.
struct TileChoice {
  int column = -1, row = -1;  ///< iters; row is -1 when nothing is reused
  std::int64_t columns = 1, rows = 1;
};

/// The dimension of the operand that the iter alone runs along; -1 when there is none, or when the
/// operand uses the iter elsewhere too.
int dimension_of(const LoadNode& l, const ExprNode* iter) {
  int found = -1;
  for (std::size_t d = 0; d < l.indices.size(); ++d) {
    if (!uses_iter(l.indices[d], iter)) continue;
    if (found >= 0 || l.indices[d].get() != iter) return -1;
    found = static_cast<int>(d);
  }
  return found;
}

/// Whether groups of `lanes` neighbours along the iter are next to each other in the result, and in
/// every operand too, or the same; with `packs`, an operand may be laid out anew for it.
bool runs_along(const BlockInfo& info, int iter, std::int64_t lanes, bool packs) {
  const int group = static_cast<int>(lanes);
  return lane_stride(info, info.store->buffer, info.store->indices, iter, group) == 1 &&
         std::all_of(info.loads.begin(), info.loads.end(), [&](const LoadNode* l) {
           return lane_stride(info, l->buffer, l->indices, iter, group) >= 0 ||
                  (packs && dimension_of(*l, iter_var(info, iter)) >= 0);
         });
}

/// The last iter that lanes can run along, and the most columns that a group may have.
void choose_column(const BlockInfo& info, std::int64_t widest, TileChoice* choice) {
  const auto fits = [&](std::int64_t lanes, bool packs) {
    for (int d = info.num_spatial; d-- > 0;) {
      if (!runs_along(info, d, lanes, packs)) continue;
      choice->column = d;
      choice->columns = lanes;
      return true;
    }
    return false;
  };
  for (std::int64_t lanes = widest; lanes >= 2; lanes /= 2) {
    if (fits(lanes, false) || (lanes == widest && fits(lanes, true))) return;
  }
}

/// An iter along which an operand that has columns is the same: one with a window rather than
/// another, then the longest, then the last.
void choose_row(const BlockInfo& info, TileChoice* choice) {
  const ExprNode* column = iter_var(info, choice->column);
  std::pair<bool, std::int64_t> best{false, 1};
  for (int d = 0; d < info.num_spatial; ++d) {
    if (d == choice->column) continue;
    const ExprNode* iter = iter_var(info, d);
    const bool reuses = std::any_of(info.loads.begin(), info.loads.end(), [&](const LoadNode* l) {
      return uses_iter(*l, column) && !uses_iter(*l, iter);
    });
    const std::int64_t extent = extent_of(info, d) < 0 ? kUnknown : extent_of(info, d);
    const std::pair<bool, std::int64_t> value{window_of(info, d) >= 0 && extent >= 4, extent};
    if (!reuses || extent < 2 || value < best) continue;
    best = value;
    choice->row = d;
  }
}

/// The share of time that multiply-adds get in tiles of `rows` by `vectors`, which the extent is
/// divided into: each step has an overhead of one, reads vectors from L2 and broadcasts from L1,
/// and at least 8 accumulators hide the latency.
double efficiency(std::int64_t extent, std::int64_t rows, std::int64_t vectors) {
  constexpr double kVectorLoad = 0.15, kBroadcast = 0.03;
  const std::int64_t full = extent / rows, rest = extent % rows;
  const auto cost = [&](std::int64_t r) {
    return static_cast<double>(std::max<std::int64_t>(r * vectors, 8) + 1) +
           kVectorLoad * static_cast<double>(vectors) + kBroadcast * static_cast<double>(r);
  };
  const double total = static_cast<double>(full) * cost(rows) + (rest > 0 ? cost(rest) : 0.0);
  return static_cast<double>(extent * vectors) / total;
}

/// What the remainder of a position along the iter is divided by in conditions (strides of
/// transposed convolutions): in tiles of a multiple of rows it is the same in every tile.
std::int64_t modulus_of(const BlockInfo& info, int iter) {
  std::int64_t modulus = 1;
  post_order_visit(info.store->value, [&](const Node& n) {
    if (n.kind != NodeKind::kBinary) return;
    const auto& b = static_cast<const BinaryNode&>(n);
    if (b.op != BinaryOp::kFloorMod || !as_int(b.b) || !uses_iter(b.a, iter_var(info, iter)))
      return;
    modulus = std::lcm(modulus, std::max<std::int64_t>(*as_int(b.b), 1));
  });
  return modulus;
}

/// Whether a tile, or the one that is left at the end, has more lanes than a vector and no whole
/// vectors: LLVM takes such accumulators apart when borders have tiles of their own.
bool is_ragged(std::int64_t extent, std::int64_t columns, std::int64_t lanes) {
  if (extent < 0) return false;
  const std::int64_t left = extent < columns ? extent : extent % columns;
  return left > lanes && left % lanes != 0;
}

/// Rows and columns: accumulators, a row of the other operand and one broadcast element are in
/// registers. Among equally good tiles the one with more rows reads less.
void choose_size(const BlockInfo& info, const Target& target, TileChoice* choice) {
  const std::int64_t lanes =
      target.register_tile(info.output()->dtype).columns / (target.vector_bytes == 64 ? 4 : 2);
  const std::int64_t extent = choice->row < 0 ? 1 : extent_of(info, choice->row);
  const std::int64_t modulus = choice->row < 0 ? 1 : modulus_of(info, choice->row);
  double best = 0;
  std::int64_t widest = choice->columns;
  for (std::int64_t columns = widest; columns >= std::min(lanes, widest); columns /= 2) {
    if (columns > lanes && is_ragged(extent_of(info, choice->column), columns, lanes)) continue;
    const std::int64_t vectors = std::max<std::int64_t>(1, columns / lanes);
    const std::int64_t most = (target.num_vector_registers - 2 - vectors) / vectors;
    if (most < 1) continue;
    const std::int64_t known = extent < 0 ? kUnknown : std::max<std::int64_t>(extent, 1);
    const std::int64_t tiles = (known + most - 1) / most;
    std::int64_t rows = extent < 0 ? most : (known + tiles - 1) / tiles;
    if (rows < known && modulus <= most)  // a multiple, up where that fits
      rows = std::min(most / modulus, (rows + modulus - 1) / modulus) * modulus;
    const double value = efficiency(known, rows, vectors);
    if (value + 1e-9 < best) continue;
    best = value;
    choice->rows = rows;
    choice->columns = columns;
  }
}

TileChoice choose_tile(const BlockInfo& info, const Target& target) {
  TileChoice choice;
  choose_column(info, target.register_tile(info.output()->dtype).columns, &choice);
  if (choice.column < 0) return choice;
  choose_row(info, &choice);
  if (choice.row >= 0) choose_size(info, target, &choice);
  return choice;
}

/// The size of the tile, from those that fit into the registers.
void decide_size(RuleContext& context, const BlockInfo& info, TileChoice* choice) {
  const Target& target = context.target;
  const std::int64_t lanes =
      target.register_tile(info.output()->dtype).columns / (target.vector_bytes == 64 ? 4 : 2);
  const std::int64_t extent = extent_of(info, choice->row);
  const std::int64_t columns = extent_of(info, choice->column);
  const std::int64_t modulus = modulus_of(info, choice->row);
  std::vector<std::int64_t> widths;
  for (std::int64_t width = lanes; width <= 4 * lanes; width *= 2) {
    if ((columns < 0 || width <= columns) && !is_ragged(columns, width, lanes))
      widths.push_back(width);
  }
  choice->columns = choose(context, info.name() + ".columns", widths, choice->columns);
  const std::int64_t vectors = std::max<std::int64_t>(1, (choice->columns + lanes - 1) / lanes);
  const std::int64_t most = std::max<std::int64_t>(1, (target.num_vector_registers - 1) / vectors);
  std::vector<std::int64_t> heights;
  for (std::int64_t rows = modulus; rows <= most && (extent < 0 || rows <= extent); rows += modulus)
    heights.push_back(rows);
  choice->rows = choose(context, info.name() + ".rows", heights, std::min(choice->rows, most));
}

struct Divided {
  LoopRef outer, inner;
};

Divided divide(Schedule& s, const LoopRef& loop, std::int64_t extent, std::int64_t factor,
               const char* symbolic_tail) {
  const std::int64_t size =
      extent < 0 ? factor : std::clamp<std::int64_t>(extent, 1, factor);  // an extent may be 0
  const char* tail = extent < 0 ? symbolic_tail : extent % size == 0 ? "mask" : "partition";
  const auto parts = s.split(loop, {std::nullopt, size}, tail);
  return {parts[0], parts[1]};
}

/// The operand that is read along the columns and not along the rows, and the one the other way
/// round; null where there is none.
struct Operands {
  const LoadNode *columns = nullptr, *rows = nullptr;
};

Operands operands_of(const BlockInfo& info, const TileChoice& choice) {
  Operands out;
  if (choice.row < 0) return out;
  for (const LoadNode* l : info.loads) {
    const bool column = uses_iter(*l, iter_var(info, choice.column));
    const bool row = uses_iter(*l, iter_var(info, choice.row));
    if (column && !row) out.columns = l;
    if (row && !column) out.rows = l;
  }
  return out;
}

/// Bytes of what the operand is read at while `iter` and the reduction iters from `first` on run;
/// kUnknown when an extent is symbolic.
std::int64_t bytes_read(const BlockInfo& info, const LoadNode& l, std::int64_t extent, int first) {
  std::int64_t bytes = l.buffer->dtype.bytes() * extent;
  for (int r = first; r < info.num_spatial + info.num_reduction; ++r) {
    if (!uses_iter(l, iter_var(info, r))) continue;
    if (extent_of(info, r) < 0) return kUnknown;
    bytes *= extent_of(info, r);
  }
  return bytes;
}

/// An iter that threads can share evenly: the first that they divide or that has many iterations,
/// else the longest; -1 when there is none.
int shared_iter(const BlockInfo& info, const TileChoice& choice, int num_cores) {
  int longest = -1;
  std::int64_t best = 1;
  for (int d = 0; d < info.num_spatial; ++d) {
    const std::int64_t extent = extent_of(info, d);
    if (d == choice.column || d == choice.row || extent <= 1) continue;
    if (extent % num_cores == 0 || extent >= 4 * num_cores) return d;
    if (extent <= best) continue;
    best = extent;
    longest = d;
  }
  return longest;
}

/// How many tiles (for other iters: iterations) there are along a spatial iter; -1 when unknown.
std::int64_t num_tiles(const BlockInfo& info, const TileChoice& choice, int d) {
  const std::int64_t size = d == choice.column ? choice.columns : d == choice.row ? choice.rows : 1;
  return extent_of(info, d) < 0 ? -1 : (extent_of(info, d) + size - 1) / size;
}

/// The spatial iters in the order in which their loops, over tiles along the columns and the rows,
/// run outside the tile. Where all columns of the operand stay in half of L2, they are inside, so
/// that pixels are read once; else a panel of them stays while the pixels pass.
std::vector<int> order_outer(RuleContext& context, const BlockInfo& info,
                             const TileChoice& choice) {
  const Target& target = context.target;
  const int num_cores = target.num_cores;
  const std::int64_t extent = extent_of(info, choice.column);
  const std::int64_t panels = extent < 0 ? kUnknown : num_tiles(info, choice, choice.column);
  const Operands operands = operands_of(info, choice);
  const int shared = shared_iter(info, choice, num_cores);
  const bool can_be_inside = extent >= 0 && operands.columns != nullptr && choice.row >= 0 &&
                             (shared >= 0 || num_cores == 1);
  const bool panels_inside =
      can_be_inside &&
      choose(context, info.name() + ".panels_inside",
             bytes_read(info, *operands.columns, extent, info.num_spatial) <= target.l2_bytes / 2);
  const bool shares_panels = panels % num_cores == 0 || panels >= 4 * num_cores;
  const int first = panels_inside || !shares_panels ? shared : -1;
  std::vector<int> out;
  if (first >= 0) out.push_back(first);
  if (!panels_inside) out.push_back(choice.column);
  for (int d = 0; d < info.num_spatial; ++d) {
    if (d != choice.column && d != choice.row && d != first) out.push_back(d);
  }
  if (choice.row >= 0) out.push_back(choice.row);
  if (panels_inside) out.push_back(choice.column);
  return out;
}

/// The reduction loops outside all tiles and those inside. Outside ones are passes: what the others
/// read stays near while the tiles pass, and sums continue through memory.
struct ReductionLoops {
  std::vector<LoopRef> outside, inside;
};

/// Whether operands are read at the reduction iters themselves, so that these can be one loop.
bool is_flat(const BlockInfo& info) {
  for (const LoadNode* l : info.loads) {
    for (const Expr& e : l->indices) {
      for (int r = info.num_spatial; r < info.num_spatial + info.num_reduction; ++r) {
        if (e.get() != iter_var(info, r) && uses_iter(e, iter_var(info, r))) return false;
      }
    }
  }
  return true;
}

/// The largest divisor of `n` that leaves enough terms between load and store of a tile, and few
/// enough to stay in L2; 0 when there is none.
std::int64_t pass_length(std::int64_t n) {
  constexpr std::int64_t kMinTerms = 24, kMaxTerms = 128;
  for (std::int64_t d = kMaxTerms; d >= kMinTerms; --d) {
    if (n > 0 && n % d == 0) return d;
  }
  return 0;
}

/// Passes for a gradient by weights whose pixels do not stay in L2: parts of all pixels, or image
/// rows where a window slides along them.
ReductionLoops divide_reduction(Schedule& s, const BlockInfo& info, const TileChoice& choice,
                                const std::vector<LoopRef>& terms, const Target& target) {
  constexpr std::int64_t kMinTerms = 24;
  ReductionLoops out{{}, terms};
  const Operands operands = operands_of(info, choice);
  const bool is_gradient = info.num_reduction > 1 && choice.row >= 0 &&
                           operands.columns != nullptr && operands.rows != nullptr &&
                           window_of(info, choice.row) < 0 && extent_of(info, choice.row) >= 0;
  if (!is_gradient) return out;
  const std::int64_t bytes =
      bytes_read(info, *operands.rows, extent_of(info, choice.row), info.num_spatial) +
      bytes_read(info, *operands.columns, choice.columns, info.num_spatial);
  if (bytes <= target.l2_bytes) return out;
  const int last = info.num_spatial + info.num_reduction;
  // Passes do not reach over the steps of a block, the last of which may have fewer.
  const int first = info.num_spatial + (blocks_of_terms(info).count == 1 ? 0 : 1);
  const std::int64_t length = pass_length(num_iterations(info, first, last));
  if (is_flat(info) && length > 0) {
    const auto parts = s.split(s.fuse(out.inside), {std::nullopt, length});
    return {{parts[0]}, {parts[1]}};
  }
  const std::int64_t row = extent_of(info, last - 1);
  if (row >= 0 && row < kMinTerms) return out;
  out.outside.assign(out.inside.begin(), out.inside.end() - 1);
  out.inside.erase(out.inside.begin(), out.inside.end() - 1);
  return out;
}

/// The loops of the block that writes the tile back, inside the tile: the last as lanes, the others
/// unrolled.
void finish_copy(Schedule& s, const std::string& block, const LoopRef& inside_of) {
  std::vector<LoopRef> loops = s.loops(block);
  const auto at = std::find_if(loops.begin(), loops.end(),
                               [&](const LoopRef& l) { return l.var.same_as(inside_of.var); });
  loops.erase(loops.begin(), at == loops.end() ? loops.begin() : at + 1);
  if (loops.empty()) return;
  s.vectorize(loops.back());
  for (std::size_t i = 0; i + 1 < loops.size(); ++i) s.unroll(loops[i]);
}

/// How often each element of the operand is read; -1 when unknown.
std::int64_t num_uses(const BlockInfo& info, const LoadNode& l) {
  std::int64_t uses = 1;
  for (int d = 0; d < info.num_spatial; ++d) {
    if (uses_iter(l, iter_var(info, d))) continue;
    if (extent_of(info, d) < 0) return -1;
    uses *= extent_of(info, d);
  }
  return uses;
}

/// The operand that the tile is to read from panels of its columns: one whose neighbours along the
/// columns are apart, or whose rows are longer than a panel (their lines would fall into few sets
/// of the cache), if that is worth a copy.
const LoadNode* operand_to_pack(const BlockInfo& info, const TileChoice& choice, bool in_passes) {
  constexpr std::int64_t kMinUses = 64;
  const ExprNode* column = iter_var(info, choice.column);
  if (choice.row < 0) return nullptr;
  for (const LoadNode* l : info.loads) {
    const int d = dimension_of(*l, column);
    if (d < 0 || uses_iter(*l, iter_var(info, choice.row))) continue;
    const std::int64_t extent = extent_of(info, choice.column), uses = num_uses(info, *l);
    const bool is_apart = static_cast<std::size_t>(d) + 1 != l->indices.size();
    const bool slides_along = std::any_of(l->indices.begin(), l->indices.end(),
                                          [&](const Expr& e) { return e->kind != NodeKind::kVar; });
    const bool is_long = extent < 0 || extent > choice.columns;
    const bool repays = !in_passes && is_long && !slides_along && (uses < 0 || uses >= kMinUses);
    if (is_apart || repays) return l;
  }
  return nullptr;
}

/// Lets `block`, which is that of `info` or has its sums, read the operand from panels
/// [columns / C][the other dimensions][C]; returns the block that fills them.
std::string pack(Schedule& s, const std::string& block, const BlockInfo& info,
                 const LoadNode& operand, const TileChoice& choice) {
  const auto column =
      static_cast<std::size_t>(dimension_of(operand, iter_var(info, choice.column)));
  const std::string copy = s.cache_read({block}, operand.buffer->name, "global").name;
  IndexMap map;
  for (std::size_t d = 0; d < operand.indices.size(); ++d)
    map.vars.push_back(var("d" + std::to_string(d)));
  map.results.push_back(floordiv(map.vars[column], imm(choice.columns)));
  for (std::size_t d = 0; d < map.vars.size(); ++d) {
    if (d != column) map.results.push_back(map.vars[d]);
  }
  map.results.push_back(floormod(map.vars[column], imm(choice.columns)));
  const Function f = s.function();  // keeps the infos valid
  const std::vector<BlockInfo> blocks = blocks_of(f);
  s.transform_layout({copy}, find_block(blocks, copy)->output()->name, map);
  return copy;
}

/// The loops of the block that fills the panels: squares transposed in registers, or copied rows.
void schedule_packing(RuleContext& context, const std::string& copy, std::int64_t columns) {
  Schedule& s = context.s;
  const Function f = s.function();  // keeps the infos valid
  const std::vector<BlockInfo> blocks = blocks_of(f);
  const BlockInfo& info = *find_block(blocks, copy);
  const int lanes = transpose_lanes(context.target, info.output()->dtype);
  if (const auto axes = transpose_axes(info, lanes))
    return schedule_transpose(context, info, *axes);
  const std::vector<LoopRef> loops = s.loops(copy);
  const Divided rows =
      divide(s, loops.back(), extent_of(info, info.num_spatial - 1), columns, "partition");
  s.vectorize(rows.inner);
  if (worth_threads(num_iterations(info, 0, info.num_spatial)))
    s.parallel(loops.size() > 1 ? loops.front() : rows.outer);
}

/// Whether the block is a product of two operands whose sums run over several axes (the gradient of
/// pixels by a weight), or one of whose operands is the same along several axes (pixels).
bool is_pointwise(const BlockInfo& info) {
  if (info.loads.size() != 2 || info.num_spatial < 2) return false;
  if (info.num_reduction > 1) return true;
  return std::any_of(info.loads.begin(), info.loads.end(), [&](const LoadNode* l) {
    int same = 0;
    for (int d = 0; d < info.num_spatial; ++d) {
      const bool is_axis = extent_of(info, d) < 0 || extent_of(info, d) > 1;
      if (is_axis && !uses_iter(*l, iter_var(info, d))) ++same;
    }
    return same > 1;
  });
}

struct TileLoops {
  Divided column, row;
};

/// Outer reduction loops around all tiles of a thread's panels. The sums stay in the result (in
/// that of their block of terms, `chain`); within a tile code generation keeps them in registers.
void schedule_passes(RuleContext& context, const BlockInfo& info, const TileChoice& choice,
                     const TileLoops& tile, const std::vector<LoopRef>& loops,
                     const ReductionLoops& reduction, const std::optional<ChainBlocks>& chain,
                     bool threads) {
  Schedule& s = context.s;
  const std::int64_t extent = extent_of(info, choice.column), cores = context.target.num_cores;
  const std::int64_t panels =
      extent < 0 ? kUnknown : (extent + choice.columns - 1) / choice.columns;
  std::vector<LoopRef> order;
  std::optional<LoopRef> shared, inner = tile.column.outer;
  const bool shares_blocks =
      threads && chain && threads_share_blocks(context, info, extent < 0 ? -1 : panels);
  if (shares_blocks) {
    shared = chain->block;
    order.push_back(*shared);
  } else if (threads && cores > 1) {
    shared = tile.column.outer;
    inner.reset();
    if (extent >= 0 && panels % cores == 0 && panels > cores) {
      const auto parts = s.split(tile.column.outer, {cores, std::nullopt});
      shared = parts[0];
      inner = parts[1];
    }
    order.push_back(*shared);
  }
  const auto at = [&](int d) { return loops[static_cast<std::size_t>(d)]; };
  if (chain && !shares_blocks) order.push_back(chain->block);
  order.insert(order.end(), reduction.outside.begin(), reduction.outside.end());
  if (inner) order.push_back(*inner);
  for (int d = 0; d < info.num_spatial; ++d) {
    if (d != choice.column && d != choice.row) order.push_back(at(d));
  }
  order.push_back(tile.row.outer);
  order.insert(order.end(), reduction.inside.begin(), reduction.inside.end());
  order.push_back(tile.row.inner);
  order.push_back(tile.column.inner);
  s.reorder(order);
  s.vectorize(tile.column.inner);
  s.unroll(tile.row.inner);
  if (info.block->init)
    s.decompose_reduction({chain ? chain->sums : info.name()}, reduction.outside.front());
  if (shared) s.parallel(*shared);
}

}  // namespace

bool is_window(const BlockInfo& info) {
  if (!info.is_reduction() || info.store == nullptr || is_row_reduction(info)) return false;
  if (is_pointwise(info)) return true;
  for (int d = 0; d < info.num_spatial; ++d) {
    if (window_of(info, d) >= 0) return true;
  }
  return false;
}

void schedule_convolution(RuleContext& context, const BlockInfo& info,
                          const std::optional<std::string>& consumer) {
  TileChoice choice = choose_tile(info, context.target);
  if (choice.column < 0) detail::raise<ScheduleError>("E0299", "lanes fit along no axis");
  if (context.offers_decisions && choice.row >= 0) decide_size(context, info, &choice);
  Schedule& s = context.s;
  const std::string& name = info.name();
  std::vector<LoopRef> loops = s.loops(name);
  const auto at = [&](int d) { return loops[static_cast<std::size_t>(d)]; };
  std::vector<LoopRef> terms(loops.begin() + info.num_spatial, loops.end());
  const std::optional<ChainBlocks> chain = divide_chain(context, info);
  const std::string sums = chain ? chain->sums : name;
  if (chain) terms = chain->terms;
  const ReductionLoops reduction = divide_reduction(s, info, choice, terms, context.target);
  const bool in_passes = !reduction.outside.empty();
  if (in_passes && consumer && !chain)
    detail::raise<ScheduleError>("E0299", "the sums continue through memory");
  std::string packing;
  const LoadNode* operand = operand_to_pack(info, choice, in_passes);
  if (operand != nullptr && choose(context, name + ".pack", true))
    packing = pack(s, sums, info, *operand, choice);
  const bool threads = runs_in_threads(
      context, name, num_iterations(info, 0, info.num_spatial + info.num_reduction));
  const std::vector<int> outer = order_outer(context, info, choice);
  const bool shares_blocks =
      chain && threads &&
      choose(context, name + ".share_blocks",
             threads_share_blocks(context, info,
                                  outer.size() > 1 ? num_tiles(info, choice, outer.front()) : 1));
  const bool in_own_nest = in_passes || shares_blocks;
  if (chain && !in_own_nest) {
    loops = s.loops(name);
    terms = {chain->joined};
  }
  const Divided column =
      divide(s, at(choice.column), extent_of(info, choice.column), choice.columns, "mask");
  std::optional<Divided> row;
  if (choice.row >= 0)
    row = divide(s, at(choice.row), extent_of(info, choice.row), choice.rows, "partition");
  if (in_passes) {
    schedule_passes(context, info, choice, {column, *row}, loops, reduction, chain, threads);
    if (!packing.empty()) schedule_packing(context, packing, choice.columns);
    if (chain) join_blocks(context, name, consumer);
    return;
  }

  std::vector<LoopRef> order;
  if (shares_blocks) order.push_back(chain->block);
  for (const int d : outer)
    order.push_back(d == choice.column ? column.outer : d == choice.row ? row->outer : at(d));
  const LoopRef innermost_outer = order.back(), outermost = order.front();
  order.insert(order.end(), terms.begin(), terms.end());
  if (row) order.push_back(row->inner);
  order.push_back(column.inner);
  s.reorder(order);

  const std::string& tiled = shares_blocks ? sums : name;
  std::string copy;
  if (consumer && !shares_blocks) {
    s.set_scope({name}, "register");
    copy = *consumer;
  } else {
    copy = s.cache_write({tiled}, "register").name;
  }
  s.reverse_compute_at({copy}, innermost_outer);
  s.vectorize(column.inner);
  if (row) s.unroll(row->inner);
  finish_copy(s, copy, innermost_outer);
  if (info.block->init) s.decompose_reduction({tiled}, terms.front());
  if (chain && !shares_blocks)
    terms = place_sums(context, info, sums, chain->joined, choice.row, choice.column);
  // The conditions of padding are constant for each row of the tile once its window is unrolled.
  const int window = choice.row < 0 ? -1 : window_of(info, choice.row);
  if (window >= 0 && extent_of(info, window) > 1 && extent_of(info, window) <= kMaxUnrolledWindow)
    s.unroll(terms[static_cast<std::size_t>(window - info.num_spatial)]);
  if (threads && (shares_blocks || outer.size() > 1)) s.parallel(outermost);
  if (!packing.empty()) schedule_packing(context, packing, choice.columns);
  if (shares_blocks) join_blocks(context, name, consumer);
}

}  // namespace tenon::rules
