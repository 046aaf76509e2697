#include "rules/gpu/window_tile.h"

#include <algorithm>

#include "tenon/ir/builder.h"

namespace tenon::rules::gpu {
namespace {

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

/// Divides the loops over all terms, `terms`, into those over steps, which are left there, and
/// those of a step.
std::vector<LoopRef> split_step(Schedule& s, const StepChoice& step, std::vector<LoopRef>* terms) {
  const std::size_t divided = terms->size() - static_cast<std::size_t>(step.num_axes);
  const auto steps = s.split((*terms)[divided], {std::nullopt, step.size});
  std::vector<LoopRef> inside(terms->begin() + static_cast<std::ptrdiff_t>(divided), terms->end());
  inside[0] = steps[1];
  terms->resize(divided);
  terms->push_back(steps[0]);
  return inside;
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
TileLoops divide(Schedule& s, const WindowTile& tile, const std::vector<LoopRef>& loops) {
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

bool is_in_tile(const WindowTile& tile, int d) {
  return d == tile.column.iter || std::any_of(tile.rows.begin(), tile.rows.end(),
                                              [&](const TileAxis& axis) { return axis.iter == d; });
}

/// Shares the elements that a copy reads out over the threads, those next to each other in memory
/// to neighbouring threads.
void bind_copy(Schedule& s, const std::string& copy, const WindowTile& tile,
               const LoopRef& around) {
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
      for (const TileAxis& axis : axes) factors.emplace_back(axis.threads);
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
TileLoops tile_result(Schedule& s, const BlockInfo& info, const std::string& out,
                      const WindowTile& tile, const LoopRef& around) {
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

}  // namespace

TileAxis divide_axis(int iter, std::int64_t size, std::int64_t each) {
  while (size % each != 0) --each;
  return {iter, size / each, each};
}

void bind_window_tile(RuleContext& context, const BlockInfo& info,
                      const std::optional<std::string>& consumer, const WindowTile& tile) {
  Schedule& s = context.s;
  const std::string& name = info.name();
  std::vector<std::string> operands;
  for (const LoadNode* l : info.loads) operands.push_back(l->buffer->name);
  const std::vector<LoopRef> loops = s.loops(name);
  const std::string out = consumer ? *consumer : s.cache_write({name}, "global").name;
  std::vector<std::string> copies;
  for (std::size_t i = 0; tile.is_shared && i < operands.size(); ++i)
    copies.push_back(s.reindex({name}, operands[i], "shared").name);

  OuterLoops outer;
  const auto add = [&](const LoopRef& loop, std::vector<LoopRef>* loops_of_kind) {
    (loop_extent(s, loop) == 1 ? &outer.units : loops_of_kind)->push_back(loop);
  };
  for (const int d : iters_of_result(info)) {
    if (!is_in_tile(tile, d)) add(loops[static_cast<std::size_t>(d)], &outer.whole);
  }
  std::vector<LoopRef> terms(loops.begin() + info.num_spatial, loops.end());
  const TileLoops own = divide(s, tile, loops);
  std::vector<LoopRef> inside;  // of a step, or all
  if (tile.is_shared) {
    inside = split_step(s, choose_step(info), &terms);
  } else {
    inside.swap(terms);
  }
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
  for (const std::string& copy : copies) s.compute_at({copy}, terms.back());
  s.reverse_compute_at({out}, around);
  const TileLoops result = tile_result(s, info, out, tile, around);
  bind_grid(s, grid);
  bind_threads(s, own);
  bind_threads(s, result);
  s.set_scope({name}, "local");
  for (const std::string& copy : copies) bind_copy(s, copy, tile, terms.back());
  s.decompose_reduction({name}, terms.empty() ? inside.front() : terms.front());
  for (const auto* part : {&own.each, &result.each}) {
    for (const LoopRef& loop : *part) s.unroll(loop);
  }
  const std::vector<LoopRef> zero = loops_inside(s, name + "_init", around);
  for (std::size_t i = zero.size() - own.each.size(); i < zero.size(); ++i) s.unroll(zero[i]);
}

}  // namespace tenon::rules::gpu
