#include <algorithm>

#include "rules/rule.h"
#include "tenon/ir/builder.h"

namespace tenon::rules {

std::optional<TransposeAxes> transpose_axes(const BlockInfo& info, int lanes) {
  if (info.is_reduction() || info.store == nullptr) return std::nullopt;
  TransposeAxes axes;
  for (int d = info.num_spatial; d-- > 0 && axes.lane < 0;) {
    if (lane_stride(info, info.store->buffer, info.store->indices, d, lanes) == 1) axes.lane = d;
  }
  if (axes.lane < 0) return std::nullopt;
  for (const LoadNode* l : info.loads) {
    if (lane_stride(info, l->buffer, l->indices, axes.lane, lanes) >= 0) continue;
    for (int d = info.num_spatial; d-- > 0 && axes.row < 0;) {
      if (d != axes.lane && lane_stride(info, l->buffer, l->indices, d, lanes) == 1) axes.row = d;
    }
  }
  return axes.row < 0 ? std::nullopt : std::optional(axes);
}

int transpose_lanes(const Target& target, DType dtype) {
  return std::min(16, target.vector_lanes(dtype));
}

std::vector<LoopRef> tile_transpose(RuleContext& context, const LoopRef& row, const LoopRef& lane,
                                    DType dtype) {
  Schedule& s = context.s;
  const std::int64_t size = transpose_lanes(context.target, dtype);
  const auto rows = s.split(row, {std::nullopt, size}, "partition");
  const auto lanes = s.split(lane, {std::nullopt, size}, "partition");
  s.reorder({rows[0], lanes[0], rows[1], lanes[1]});
  s.unroll(rows[1]);
  s.vectorize(lanes[1]);
  return {rows[0], lanes[0]};
}

namespace {

constexpr std::int64_t kBlock = 64;  ///< side of the blocks of squares

/// Whether neighbours along the iter lie a multiple of 4 KiB apart, so that their lines fall into
/// the same sets of the caches, and are gone before the rest of them is wanted.
bool collide(const BlockInfo& info, const Buffer& buffer, const std::vector<Expr>& indices,
             int iter) {
  constexpr std::int64_t kPage = 4096;
  const std::vector<Expr> strides = strides_of(*buffer);
  for (std::size_t d = 0; d < indices.size(); ++d) {
    if (!indices[d].same_as(info.block->iters[static_cast<std::size_t>(iter)].var)) continue;
    const std::int64_t bytes = as_int(strides[d]).value_or(1) * buffer->dtype.bytes();
    return bytes % kPage == 0;
  }
  return false;
}

bool rows_collide(const BlockInfo& info, const TransposeAxes& axes) {
  const std::int64_t rows = extent_of(info, axes.row), lanes = extent_of(info, axes.lane);
  if (rows < 4 * kBlock || lanes < 4 * kBlock) return false;
  return collide(info, info.output(), info.store->indices, axes.row) ||
         std::any_of(info.loads.begin(), info.loads.end(), [&](const LoadNode* l) {
           return collide(info, l->buffer, l->indices, axes.lane);
         });
}

}  // namespace

void schedule_transpose(RuleContext& context, const BlockInfo& info, const TransposeAxes& axes) {
  Schedule& s = context.s;
  std::vector<LoopRef> loops = s.loops(info.name());
  const LoopRef row = loops[static_cast<std::size_t>(axes.row)];
  const LoopRef lane = loops[static_cast<std::size_t>(axes.lane)];
  std::vector<LoopRef> order;
  for (const LoopRef& loop : loops) {
    if (!loop.var.same_as(row.var) && !loop.var.same_as(lane.var)) order.push_back(loop);
  }
  order.push_back(row);
  order.push_back(lane);
  s.reorder(order);
  std::vector<LoopRef> tiles = tile_transpose(context, row, lane, info.output()->dtype);
  const std::int64_t side = choose(context, info.name() + ".block", {0, kBlock / 2, 2 * kBlock},
                                   rows_collide(info, axes) ? kBlock : 0);
  if (side > 0) {  // blocks, within which rows are used together
    const std::int64_t squares = side / transpose_lanes(context.target, info.output()->dtype);
    const auto rows = s.split(tiles[0], {std::nullopt, squares});
    const auto lanes = s.split(tiles[1], {std::nullopt, squares});
    s.reorder({rows[0], lanes[0], lanes[1], rows[1]});
    tiles = {rows[0]};
  }
  if (runs_in_threads(context, info.name(), num_iterations(info, 0, info.num_spatial)))
    s.parallel(order.size() > 2 ? order[0] : tiles[0]);
}

}  // namespace tenon::rules
