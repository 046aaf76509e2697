// Element-wise blocks that read across the rows of what they write: tiles through shared memory.

#include <algorithm>

#include "rules/gpu/gpu_rule.h"

namespace tenon::rules::gpu {
namespace {

constexpr std::int64_t kTile = 32, kRows = 8;  // threads are a row of 32 by 8

/// The operand that is read across; null where several are.
const LoadNode* turned_operand(const BlockInfo& info, const TransposeAxes& axes) {
  const LoadNode* found = nullptr;
  for (const LoadNode* l : info.loads) {
    const bool is_across = lane_stride(info, l->buffer, l->indices, axes.lane, kTile) < 0;
    if (!is_across) continue;
    if (found != nullptr || lane_stride(info, l->buffer, l->indices, axes.row, kTile) != 1)
      return nullptr;
    found = l;
  }
  return found;
}

std::int64_t side_of(std::int64_t extent) {
  std::int64_t side = kTile;
  while (extent >= 0 && side > extent) side /= 2;
  return side;
}

/// Runs the two loops over a tile on threads: `across` on threadIdx.x, `along` in turns of 8.
void bind_tile(Schedule& s, const LoopRef& along, const LoopRef& across, std::int64_t rows) {
  const auto turns = s.split(along, {std::nullopt, rows});
  s.reorder({turns[0], turns[1], across});
  s.bind(turns[1], "threadIdx.y");
  s.bind(across, "threadIdx.x");
}

}  // namespace

void bind_transpose(RuleContext& context, const BlockInfo& info) {
  Schedule& s = context.s;
  const std::string& name = info.name();
  const auto axes = transpose_axes(info, static_cast<int>(kTile));
  if (!axes || info.num_context > 0 || info.num_spatial < 2)
    detail::raise<ScheduleError>("E0299", "nothing is read across");
  const LoadNode* operand = turned_operand(info, *axes);
  if (operand == nullptr) detail::raise<ScheduleError>("E0299", "several operands are read across");
  const std::int64_t rows = side_of(extent_of(info, axes->row));
  const std::int64_t lanes = side_of(extent_of(info, axes->lane));
  if (rows < kRows || lanes < kRows) detail::raise<ScheduleError>("E0299", "an axis is too short");

  const std::vector<LoopRef> loops = s.loops(name);
  const std::string copy = s.reindex({name}, operand->buffer->name, "shared").name;
  const auto row = s.split(loops[static_cast<std::size_t>(axes->row)], {std::nullopt, rows});
  const auto lane = s.split(loops[static_cast<std::size_t>(axes->lane)], {std::nullopt, lanes});
  std::vector<LoopRef> outer;
  int row_dimension = 0, lane_dimension = 0, dimension = 0;
  for (int d = 0; d < info.num_spatial; ++d) {
    if (d == axes->row) row_dimension = dimension;
    if (d == axes->lane) lane_dimension = dimension;
    const IterVar& iter = info.block->iters[static_cast<std::size_t>(d)];
    dimension += uses_iter(*operand, iter.var.get()) ? 1 : 0;
    if (d != axes->row && d != axes->lane) outer.push_back(loops[static_cast<std::size_t>(d)]);
  }
  outer.insert(outer.end(), {row[0], lane[0]});
  std::vector<LoopRef> order = outer;
  order.insert(order.end(), {row[1], lane[1]});
  s.reorder(order);
  const std::vector<LoopRef> grid = grid_loops(s, outer);
  s.compute_at({copy}, grid.back());
  const std::vector<LoopRef> filled = loops_inside(s, copy, grid.back());
  const LoopRef& filled_row = filled[static_cast<std::size_t>(row_dimension)];
  const LoopRef& filled_lane = filled[static_cast<std::size_t>(lane_dimension)];
  std::vector<LoopRef> filled_order;
  for (const LoopRef& loop : filled) {
    if (!loop.var.same_as(filled_row.var) && !loop.var.same_as(filled_lane.var))
      filled_order.push_back(loop);
  }
  filled_order.insert(filled_order.end(), {filled_lane, filled_row});
  s.reorder(filled_order);
  // Columns of the tile are in different banks.
  s.storage_align({copy}, std::min(row_dimension, lane_dimension), kTile, 1);
  bind_grid(s, grid);
  bind_tile(s, row[1], lane[1], kRows);
  bind_tile(s, filled_lane, filled_row, kRows);
}

}  // namespace tenon::rules::gpu
