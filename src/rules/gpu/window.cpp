// Windows as implicit products: convolutions, grouped and transposed ones, and their gradients.

#include <algorithm>

#include "rules/gpu/gpu_rule.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon::rules::gpu {
namespace {

/// A spatial iter of a tile: so many threads, each with so many neighbours.
struct TileAxis {
  int iter = -1;
  std::int64_t threads = 1, each = 1;
};

/// What a block of threads makes. `rows` are iters that only one operand is read along, the column
/// is one that only the other is; of several groups of columns the first operand has a part each.
struct Tile {
  std::size_t row_operand = 0;
  std::vector<TileAxis> rows;  ///< outermost first
  TileAxis column;
  std::int64_t group = 0;  ///< columns of a group; 0: one group
};

/// The constant by which the load's indices divide the iter wherever they use it; 0: they use it
/// in another way.
std::int64_t group_of(const LoadNode& l, const IterVar& iter) {
  std::int64_t group = 0;
  const Expr quotient = var("group");
  for (const Expr& index : l.indices) {
    const Expr rest = rewrite_exprs(index, [&](const Expr& e) -> Expr {
      const auto* b = e.as<BinaryNode>();
      if (b == nullptr || b->op != BinaryOp::kFloorDiv || !b->a.same_as(iter.var)) return nullptr;
      const std::int64_t by = as_int(b->b).value_or(0);
      if (by <= 0 || (group != 0 && group != by)) return nullptr;
      group = by;
      return quotient;
    });
    if (uses_var(rest, [&](const VarNode& v) { return &v == iter.var.get(); })) return 0;
  }
  return group;
}

/// How many elements tiles of `size` compute for each that there is.
double waste(std::int64_t extent, std::int64_t size) {
  constexpr double kUnknown = 96;  // a batch may be one image
  if (extent < 0) return 1 + static_cast<double>(size - 1) / kUnknown;
  if (extent == 0) return 1;
  return static_cast<double>((extent + size - 1) / size * size) / static_cast<double>(extent);
}

constexpr std::int64_t kMaxSide = 64, kMinSide = 8;  // fewer elements share too little

/// What a side of so many elements costs: the shorter, the more often operands are read.
double short_side(std::int64_t side) { return 1 + 16.0 / static_cast<double>(side); }

/// Parts of an axis that a tile may have, the largest first: powers of two, or all of a short axis.
/// None is longer than the axis: what lies outside would have to be proved to be unused.
std::vector<std::int64_t> sizes_of(std::int64_t extent) {
  constexpr std::int64_t kWhole = 32;
  std::vector<std::int64_t> sizes;
  for (std::int64_t size = kMaxSide; size >= 1; size /= 2) {
    if (extent < 0 || size <= extent || size == 1) sizes.push_back(size);
  }
  if (extent > 0 && extent <= kWhole) sizes.insert(sizes.begin(), extent);
  return sizes;
}

/// Divides `size` elements of an axis into threads and at most `each` neighbours.
TileAxis divide_axis(int iter, std::int64_t size, std::int64_t each) {
  while (size % each != 0) --each;
  return {iter, size / each, each};
}

/// Threads have four neighbours along a long side; there are eight threads at least.
std::int64_t elements_each(std::int64_t side) {
  return std::clamp<std::int64_t>(side / kMinSide, 1, 4);
}

/// How rows are chosen; what is proved of masks of two axes at once is not always enough.
enum class RowChoice {
  kBest,   ///< one or two axes
  kWhole,  ///< two axes only where their parts divide them
  kOne,    ///< one axis
};

/// One or two iters of `candidates` and their parts of a side: those that waste least.
std::vector<TileAxis> choose_rows(const BlockInfo& info, const std::vector<int>& candidates,
                                  RowChoice choice) {
  struct Part {
    int iter = -1;
    std::int64_t size = 1;
  };
  Part inner, outer;
  double best = -1;
  for (auto a = candidates.rbegin(); a != candidates.rend(); ++a) {
    for (auto b = a; b != candidates.rend(); ++b) {
      for (const std::int64_t size : sizes_of(extent_of(info, *a))) {
        for (const std::int64_t other : sizes_of(a == b ? 1 : extent_of(info, *b))) {
          if (size * other > kMaxSide) continue;
          const double unused =
              waste(extent_of(info, *a), size) * waste(extent_of(info, *b), a == b ? 1 : other);
          const bool is_refused =
              choice == RowChoice::kOne || (choice == RowChoice::kWhole && unused > 1);
          if (other > 1 && is_refused) continue;
          const double cost = short_side(size * other) * unused;
          if (best >= 0 && cost + 1e-9 >= best) continue;
          best = cost;
          inner = {*a, size};
          outer = other == 1 ? Part{} : Part{*b, other};
        }
      }
    }
  }
  std::int64_t each = elements_each(inner.size * outer.size);
  std::vector<TileAxis> rows;
  for (const Part& part : {inner, outer}) {
    if (part.iter < 0) continue;
    rows.insert(rows.begin(), divide_axis(part.iter, part.size, each));
    each /= rows.front().each;
  }
  return rows;
}

/// Neither do columns of one tile belong to two groups.
TileAxis choose_column(std::int64_t extent, std::int64_t group, int iter) {
  std::int64_t best = 1;
  double least = -1;
  for (const std::int64_t side : sizes_of(group > 0 ? group : extent)) {
    if (group > 0 && group % side != 0) continue;
    const double cost = short_side(side) * waste(extent, side);
    if (least >= 0 && cost + 1e-9 >= least) continue;
    least = cost;
    best = side;
  }
  return divide_axis(iter, best, elements_each(best));
}

Tile choose_tile(const BlockInfo& info, RowChoice choice) {
  const auto iter = [&](int d) { return info.block->iters[static_cast<std::size_t>(d)]; };
  for (int d = info.num_spatial; d-- > info.num_context;) {
    for (const std::size_t rows : {std::size_t{0}, std::size_t{1}}) {
      const LoadNode &a = *info.loads[rows], &b = *info.loads[1 - rows];
      if (!uses_iter(b, iter(d))) continue;
      Tile tile;
      tile.row_operand = rows;
      tile.group = uses_iter(a, iter(d)) ? group_of(a, iter(d)) : 0;
      if (uses_iter(a, iter(d)) && tile.group == 0) continue;
      std::vector<int> candidates;
      std::int64_t num_rows = 1;
      for (int r = info.num_context; r < info.num_spatial; ++r) {
        const std::int64_t extent = extent_of(info, r);
        if (r == d || !uses_iter(a, iter(r)) || uses_iter(b, iter(r)) || extent == 1) continue;
        candidates.push_back(r);
        num_rows = extent < 0 || num_rows >= kMinSide ? kMinSide : num_rows * extent;
      }
      const std::int64_t columns = tile.group > 0 ? tile.group : extent_of(info, d);
      if (num_rows < kMinSide || (columns >= 0 && columns < kMinSide)) continue;
      tile.rows = choose_rows(info, candidates, choice);
      tile.column = choose_column(extent_of(info, d), tile.group, d);
      return tile;
    }
  }
  detail::raise<ScheduleError>("E0299", "no two axes that reuse the operands of each other");
}

/// How many of the last reduction axes a step of the operands' copies has, and how much of the
/// first of them.
struct StepChoice {
  int num_axes = 1;
  std::int64_t size = 16;
};

StepChoice choose_step(const BlockInfo& info) {
  constexpr std::int64_t kSteps = 16, kMost = 24, kLeast = 8;
  StepChoice step{0, 1};
  std::int64_t terms = 1;
  while (step.num_axes < info.num_reduction) {
    const std::int64_t extent =
        extent_of(info, info.num_spatial + info.num_reduction - 1 - step.num_axes);
    const bool is_whole = extent >= 0 && std::max<std::int64_t>(extent, 1) * terms <= kMost;
    if (!is_whole && step.num_axes > 0) break;
    ++step.num_axes;
    step.size = is_whole ? std::max<std::int64_t>(extent, 1) : kSteps;
    for (std::int64_t part = kMost; !is_whole && part >= kLeast; --part) {
      if (extent < 0 || extent % part != 0) continue;
      step.size = part;
      break;
    }
    if (!is_whole) break;
    terms *= step.size;
  }
  return step;
}

/// The loops of one block of a tile, in order.
struct TileLoops {
  std::vector<LoopRef> grid;     ///< outer parts of rows and column, those of the column last
  std::vector<LoopRef> threads;  ///< rows, then the column
  std::vector<LoopRef> each;     ///< rows, then the column
};

/// The loops outside of a tile. Parts of an axis have a grid axis of their own where that can be:
/// fused, they hide which elements are distinct.
struct OuterLoops {
  std::vector<LoopRef> whole;  ///< over axes that are not in the tile
  std::vector<LoopRef> parts;  ///< over the tiles along an axis
  std::vector<LoopRef> units;  ///< of one iteration
};

const char* const kThreadAxes[] = {"threadIdx.z", "threadIdx.y", "threadIdx.x"};

/// Divides the loops over the tile's iters into those of blocks, threads and elements.
TileLoops divide(Schedule& s, const Tile& tile, const std::vector<LoopRef>& loops) {
  TileLoops out;
  std::vector<TileAxis> axes = tile.rows;
  axes.push_back(tile.column);
  for (const TileAxis& axis : axes) {
    const auto parts = s.split(loops[static_cast<std::size_t>(axis.iter)],
                               {std::nullopt, axis.threads, axis.each});
    out.grid.push_back(parts[0]);
    out.threads.push_back(parts[1]);
    out.each.push_back(parts[2]);
  }
  return out;
}

void bind_threads(Schedule& s, const TileLoops& loops) {
  const std::size_t first = std::size(kThreadAxes) - loops.threads.size();
  for (std::size_t i = 0; i < loops.threads.size(); ++i)
    s.bind(loops.threads[i], kThreadAxes[first + i]);
}

bool is_in_tile(const Tile& tile, int d) {
  return d == tile.column.iter || std::any_of(tile.rows.begin(), tile.rows.end(),
                                              [&](const TileAxis& axis) { return axis.iter == d; });
}

/// Shares the elements that a copy reads out over the threads, those next to each other in memory
/// to neighbouring threads.
void bind_copy(Schedule& s, const std::string& copy, const Tile& tile, const LoopRef& around) {
  constexpr int kGroup = 8;
  const Function f = s.function();  // keeps the infos valid
  const std::vector<BlockInfo> blocks = blocks_of(f);
  const BlockInfo& info = *find_block(blocks, copy);
  std::vector<LoopRef> loops = loops_inside(s, copy, around);
  TENON_CHECK(static_cast<int>(loops.size()) == info.num_spatial, "loops of a copy");
  int near = -1;
  for (int d = info.num_spatial; d-- > 0 && near < 0;) {
    const bool runs = loop_extent(s, loops[static_cast<std::size_t>(d)]) != 1;
    const LoadNode& l = *info.loads[0];
    if (runs && lane_stride(info, l.buffer, l.indices, d, kGroup) == 1) near = d;
  }
  if (near >= 0 && near + 1 < info.num_spatial) {
    // Neighbours in a row of the operand are far apart in shared memory, in other banks.
    s.storage_align({copy}, near, 32, 4);
    const LoopRef loop = loops[static_cast<std::size_t>(near)];
    loops.erase(loops.begin() + near);
    loops.push_back(loop);
    s.reorder(loops);
  }
  std::vector<TileAxis> axes = tile.rows;
  axes.push_back(tile.column);
  const std::size_t skipped = std::size(kThreadAxes) - axes.size();
  std::int64_t num_threads = 1, num_elements = 1;
  for (const TileAxis& axis : axes) num_threads *= axis.threads;
  for (const LoopRef& loop : loops) num_elements *= std::max<std::int64_t>(loop_extent(s, loop), 0);
  if (num_elements > 0 && num_elements % num_threads == 0) {
    const Schedule before = s;
    try {
      std::vector<std::optional<std::int64_t>> factors{std::nullopt};
      for (const TileAxis& axis : axes) factors.push_back(axis.threads);
      const std::vector<LoopRef> parts = s.split(s.fuse(loops), factors);
      for (std::size_t i = 0; i < axes.size(); ++i) s.bind(parts[i + 1], kThreadAxes[skipped + i]);
      return;
    } catch (const ScheduleError&) {
      s = before;  // quotients hide that elements are distinct
    }
  }
  for (std::size_t i = axes.size(); i-- > 0 && !loops.empty();) {
    const LoopRef loop = loops.back();
    loops.pop_back();
    const std::int64_t extent = loop_extent(s, loop);
    const std::int64_t part = extent < 0 ? axes[i].threads : std::min(extent, axes[i].threads);
    if (part > 1) {
      s.bind(s.split(loop, {std::nullopt, part})[1], kThreadAxes[skipped + i]);
    } else {
      ++i;  // the next loop has this axis
    }
  }
}

/// The loops of the block that writes the tile, or reads it, under `around`.
TileLoops tile_result(Schedule& s, const BlockInfo& info, const std::string& out, const Tile& tile,
                      const LoopRef& around) {
  const std::vector<LoopRef> inside = loops_inside(s, out, around);
  const std::vector<int> order_of_result = iters_of_result(info);
  if (inside.size() != order_of_result.size())
    detail::raise<ScheduleError>("E0299", "the result has no tile of rows and columns");
  std::vector<LoopRef> loops = inside;  // by iter
  for (std::size_t i = 0; i < inside.size(); ++i)
    loops[static_cast<std::size_t>(order_of_result[i])] = inside[i];
  TileLoops parts = divide(s, tile, loops);
  std::vector<LoopRef> order;
  for (int d = 0; d < info.num_spatial; ++d) {
    if (!is_in_tile(tile, d)) order.push_back(loops[static_cast<std::size_t>(d)]);
  }
  for (const auto* part : {&parts.grid, &parts.threads, &parts.each})
    order.insert(order.end(), part->begin(), part->end());
  s.reorder(order);
  return parts;
}

void bind_tile(RuleContext& context, const BlockInfo& info,
               const std::optional<std::string>& consumer, const Tile& tile) {
  Schedule& s = context.s;
  const std::string& name = info.name();
  const StepChoice step = choose_step(info);
  const std::vector<std::string> operands = {info.loads[0]->buffer->name,
                                             info.loads[1]->buffer->name};
  const std::vector<LoopRef> loops = s.loops(name);
  const std::string out = consumer ? *consumer : s.cache_write({name}, "global").name;
  std::vector<std::string> copies;
  for (const std::string& operand : operands)
    copies.push_back(s.reindex({name}, operand, "shared").name);

  OuterLoops outer;
  const auto add = [&](const LoopRef& loop, std::vector<LoopRef>* loops_of_kind) {
    (loop_extent(s, loop) == 1 ? &outer.units : loops_of_kind)->push_back(loop);
  };
  for (const int d : iters_of_result(info)) {
    if (!is_in_tile(tile, d)) add(loops[static_cast<std::size_t>(d)], &outer.whole);
  }
  std::vector<LoopRef> terms(loops.begin() + info.num_spatial, loops.end());
  const TileLoops own = divide(s, tile, loops);
  const std::size_t divided = terms.size() - static_cast<std::size_t>(step.num_axes);
  const auto steps = s.split(terms[divided], {std::nullopt, step.size});
  std::vector<LoopRef> inside(terms.begin() + static_cast<std::ptrdiff_t>(divided), terms.end());
  inside[0] = steps[1];
  terms.resize(divided);
  terms.push_back(steps[0]);
  for (const LoopRef& loop : own.grid) add(loop, &outer.parts);
  if (outer.whole.empty() && outer.parts.empty()) std::swap(outer.units, outer.parts);
  std::vector<LoopRef> order;
  for (const std::vector<LoopRef>& part :
       {outer.whole, outer.parts, outer.units, terms, own.threads, inside, own.each})
    order.insert(order.end(), part.begin(), part.end());
  s.reorder(order);
  if (outer.whole.size() > 1) outer.whole = {s.fuse(outer.whole)};
  outer.whole.insert(outer.whole.end(), outer.parts.begin(), outer.parts.end());
  const std::vector<LoopRef> grid = grid_loops(s, outer.whole);
  const LoopRef around = outer.units.empty() ? grid.back() : outer.units.back();
  for (const std::string& copy : copies) s.compute_at({copy}, steps[0]);
  s.reverse_compute_at({out}, around);
  const TileLoops result = tile_result(s, info, out, tile, around);
  bind_grid(s, grid);
  bind_threads(s, own);
  bind_threads(s, result);
  s.set_scope({name}, "local");
  for (const std::string& copy : copies) bind_copy(s, copy, tile, steps[0]);
  s.decompose_reduction({name}, terms.front());
  for (const auto* part : {&own.each, &result.each}) {
    for (const LoopRef& loop : *part) s.unroll(loop);
  }
  const std::vector<LoopRef> zero = loops_inside(s, name + "_init", around);
  for (std::size_t i = zero.size() - own.each.size(); i < zero.size(); ++i) s.unroll(zero[i]);
}

}  // namespace

void bind_window(RuleContext& context, const BlockInfo& info,
                 const std::optional<std::string>& consumer) {
  if (info.num_context > 0 || info.loads.size() != 2 ||
      info.loads[0]->buffer.same_as(info.loads[1]->buffer))
    detail::raise<ScheduleError>("E0299", "no product of two operands");
  const Schedule before = context.s;
  for (const RowChoice choice : {RowChoice::kBest, RowChoice::kWhole}) {
    try {
      return bind_tile(context, info, consumer, choose_tile(info, choice));
    } catch (const ScheduleError&) {
      context.s = before;
    }
  }
  bind_tile(context, info, consumer, choose_tile(info, RowChoice::kOne));
}

}  // namespace tenon::rules::gpu
