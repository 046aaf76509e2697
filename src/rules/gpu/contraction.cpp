#include <algorithm>

#include "rules/gpu/gpu_rule.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon::rules::gpu {
namespace {

/// The axes of a product that tiles run over: iters of the block.
struct ProductAxes {
  int row = -1, column = -1;
};

/// The last axes that one operand has and the other has not, each the other way round.
ProductAxes product_axes(const BlockInfo& info) {
  ProductAxes axes;
  if (info.loads.size() != 2) return axes;
  const auto only = [&](int d, std::size_t operand) {
    const ExprNode* iter = info.block->iters[static_cast<std::size_t>(d)].var.get();
    return uses_iter(*info.loads[operand], iter) && !uses_iter(*info.loads[1 - operand], iter);
  };
  for (int d = info.num_spatial; d-- > info.num_context;) {
    for (const std::size_t operand : {std::size_t{0}, std::size_t{1}}) {
      if (!only(d, operand)) continue;
      if (axes.column < 0) {
        axes.column = d;
      } else if (axes.row < 0 && only(axes.column, 1 - operand)) {
        axes.row = d;
      }
    }
  }
  return axes;
}

/// One side of a tile: `threads` of them, each with so many neighbouring elements.
struct Side {
  std::int64_t threads = 16, each = 4;
};

/// The largest power of two up to `most` that the extent (-1: not constant) holds: parts of a tile
/// that lie outside of the operand would have to be proved to be unused.
std::int64_t side_of(std::int64_t extent, std::int64_t most) {
  while (extent >= 0 && most > 1 && most > extent) most /= 2;
  return most;
}

/// Sums do not depend on it.
Side tile_side(std::int64_t extent) {
  constexpr std::int64_t kSide = 64, kSideThreads = 16;
  const std::int64_t side = side_of(extent, kSide);
  const std::int64_t threads = std::min(side, kSideThreads);
  return {threads, side / threads};
}

/// Shares the elements of a copy into shared memory out over the threads: its last two loops.
void bind_copy(Schedule& s, const std::string& block, const LoopRef& around, std::int64_t rows,
               std::int64_t columns) {
  const std::vector<LoopRef> loops = loops_inside(s, block, around);
  const auto share = [&](const LoopRef& loop, std::int64_t threads, const char* axis) {
    const std::int64_t extent = loop_extent(s, loop);
    const std::int64_t part = extent < 0 ? threads : std::min(extent, threads);
    if (part > 1) s.bind(s.split(loop, {std::nullopt, part})[1], axis);
  };
  const std::size_t n = loops.size();
  if (n >= 1) share(loops[n - 1], columns, "threadIdx.x");
  if (n >= 2) share(loops[n - 2], rows, "threadIdx.y");
}

}  // namespace

void bind_contraction(RuleContext& context, const BlockInfo& info,
                      const std::optional<std::string>& consumer) {
  Schedule& s = context.s;
  const std::string& name = info.name();
  const ProductAxes axes = product_axes(info);
  if (axes.row < 0 || info.num_context > 0 || info.loads[0]->buffer.same_as(info.loads[1]->buffer))
    detail::raise<ScheduleError>("E0299", "no two axes that reuse the operands of each other");
  constexpr std::int64_t kMinSide = 8;  // fewer elements share too little
  for (const int d : {axes.row, axes.column}) {
    if (extent_of(info, d) >= 0 && extent_of(info, d) < kMinSide)
      detail::raise<ScheduleError>("E0299", "an axis of the product is too short");
  }
  const Side rows = tile_side(extent_of(info, axes.row));
  const Side columns = tile_side(extent_of(info, axes.column));
  constexpr std::int64_t kSteps = 16;
  const std::int64_t num_steps =
      side_of(extent_of(info, info.num_spatial + info.num_reduction - 1), kSteps);
  const std::vector<std::string> operands = {info.loads[0]->buffer->name,
                                             info.loads[1]->buffer->name};
  // Rows of the tile, its columns, then the elements of each thread.
  const std::vector<LoopRef> loops = s.loops(name);
  const auto at = [&](int d) { return loops[static_cast<std::size_t>(d)]; };
  std::string out;
  if (consumer) {
    out = *consumer;
  } else {
    out = s.cache_write({name}, "global").name;
  }
  std::vector<std::string> copies;
  for (const std::string& operand : operands)
    copies.push_back(s.cache_read({name}, operand, "shared").name);

  std::vector<LoopRef> batch;
  for (int d = 0; d < info.num_spatial; ++d) {
    if (d != axes.row && d != axes.column) batch.push_back(at(d));
  }
  std::vector<LoopRef> terms(loops.begin() + info.num_spatial, loops.end());
  const auto row = s.split(at(axes.row), {std::nullopt, rows.threads, rows.each});
  const auto column = s.split(at(axes.column), {std::nullopt, columns.threads, columns.each});
  const auto steps = s.split(terms.back(), {std::nullopt, num_steps});
  terms.back() = steps[0];
  std::vector<LoopRef> order = batch;
  order.insert(order.end(), {row[0], column[0]});
  order.insert(order.end(), terms.begin(), terms.end());
  order.insert(order.end(), {row[1], column[1], steps[1], row[2], column[2]});
  s.reorder(order);
  for (const std::string& copy : copies) s.compute_at({copy}, steps[0]);
  s.reverse_compute_at({out}, column[0]);

  // The result's tile in the same threads.
  const std::vector<LoopRef> result = loops_inside(s, out, column[0]);
  std::optional<LoopRef> result_row, result_column;
  std::vector<LoopRef> result_order;
  if (result.size() == 2) {
    result_row = result[axes.row < axes.column ? 0 : 1];
    result_column = result[axes.row < axes.column ? 1 : 0];
  } else if (result.size() == static_cast<std::size_t>(info.num_spatial)) {
    for (int d = 0; d < info.num_spatial; ++d) {
      const LoopRef& loop = result[static_cast<std::size_t>(d)];
      if (d == axes.row) {
        result_row = loop;
      } else if (d == axes.column) {
        result_column = loop;
      } else {
        result_order.push_back(loop);
      }
    }
  } else {
    detail::raise<ScheduleError>("E0299", "the result has no tile of rows and columns");
  }
  const auto r = s.split(*result_row, {std::nullopt, rows.threads, rows.each});
  const auto c = s.split(*result_column, {std::nullopt, columns.threads, columns.each});
  result_order.insert(result_order.end(), {r[0], c[0], r[1], c[1], r[2], c[2]});
  s.reorder(result_order);

  const char* const axes_of_grid[] = {"blockIdx.x", "blockIdx.y", "blockIdx.z"};
  std::size_t axis = 0;
  if (!batch.empty()) s.bind(batch.size() > 1 ? s.fuse(batch) : batch[0], axes_of_grid[axis++]);
  s.bind(row[0], axes_of_grid[axis++]);
  s.bind(column[0], axes_of_grid[axis]);
  for (const auto& [ty, tx] : {std::pair{row[1], column[1]}, std::pair{r[1], c[1]}}) {
    s.bind(ty, "threadIdx.y");
    s.bind(tx, "threadIdx.x");
  }
  s.set_scope({name}, "local");
  for (const std::string& copy : copies)
    bind_copy(s, copy, steps[0], rows.threads, columns.threads);
  s.decompose_reduction({name}, terms.front());
  for (const LoopRef& loop : {row[2], column[2], r[2], c[2]}) s.unroll(loop);
  std::vector<LoopRef> zero = loops_inside(s, name + "_init", column[0]);
  for (std::size_t i = zero.size() - 2; i < zero.size(); ++i) s.unroll(zero[i]);
}

}  // namespace tenon::rules::gpu
