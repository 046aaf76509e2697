#include <algorithm>

#include "rules/gpu/gpu_rule.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon::rules::gpu {
namespace {

/// Whether the last spatial axis is read and written in neighbouring elements (or one element), so
/// that a thread takes several of them as one access.
bool has_vectors(const BlockInfo& info, std::int64_t lanes) {
  const int last = info.num_spatial - 1;
  const auto is_vector = [&](const Buffer& buffer, const std::vector<Expr>& indices) {
    const int stride = lane_stride(info, buffer, indices, last, static_cast<int>(lanes));
    return stride == 0 || stride == 1;
  };
  if (lane_stride(info, info.output(), info.store->indices, last, static_cast<int>(lanes)) != 1)
    return false;
  return std::all_of(info.loads.begin(), info.loads.end(),
                     [&](const LoadNode* l) { return is_vector(l->buffer, l->indices); });
}

/// Neighbouring elements that a thread computes: 16 bytes of the widest dtype where all rows are
/// whole vectors.
std::int64_t vector_of(const RuleContext& context, const BlockInfo& info) {
  if (info.is_reduction() || info.num_spatial <= info.num_context) return 1;
  std::int64_t bytes = info.output()->dtype.bytes();
  for (const LoadNode* l : info.loads)
    bytes = std::max<std::int64_t>(bytes, l->buffer->dtype.bytes());
  const std::int64_t lanes = context.target.vector_bytes / bytes;
  const std::int64_t extent = extent_of(info, info.num_spatial - 1);
  if (lanes < 2 || extent <= 0 || extent % lanes != 0) return 1;
  return has_vectors(info, lanes) ? lanes : 1;
}

/// Whether the last iter is the first dimension of the result, as `rfactor` makes it.
bool is_block_of_terms(const BlockInfo& info) {
  const int last = info.num_spatial - 1;
  return info.is_reduction() && info.num_context == 0 && last > 0 && !info.store->indices.empty() &&
         info.store->indices[0].same_as(info.block->iters[static_cast<std::size_t>(last)].var);
}

}  // namespace

std::vector<LoopRef> own_loops(Schedule& s, const BlockInfo& info) {
  std::vector<LoopRef> loops = s.loops(info.name());
  loops.erase(loops.begin(), loops.begin() + info.num_context);
  return loops;
}

std::vector<int> iters_of_result(const BlockInfo& info) {
  std::vector<int> iters;
  for (const Expr& index : info.store->indices) {
    for (int d = 0; d < info.num_spatial; ++d) {
      if (index.same_as(info.block->iters[static_cast<std::size_t>(d)].var)) iters.push_back(d);
    }
  }
  if (static_cast<int>(iters.size()) != info.num_spatial)
    detail::raise<ScheduleError>("E0299", "an axis is no dimension of the result");
  return iters;
}

void bind_elements(Schedule& s, const LoopRef& loop, std::int64_t threads, std::int64_t vector) {
  if (vector > 1) {
    const auto parts = s.split(loop, {std::nullopt, threads, vector});
    s.bind(parts[0], "blockIdx.x");
    s.bind(parts[1], "threadIdx.x");
    s.vectorize(parts[2]);
    return;
  }
  const auto parts = s.split(loop, {std::nullopt, threads});
  s.bind(parts[0], "blockIdx.x");
  s.bind(parts[1], "threadIdx.x");
}

void schedule_elements(RuleContext& context, const BlockInfo& info) {
  Schedule& s = context.s;
  std::vector<LoopRef> loops = own_loops(s, info);
  const auto num_spatial = static_cast<std::size_t>(info.num_spatial - info.num_context);
  if (num_spatial == 0) {
    bind_unit_loop(context, info.name(), info.num_context);
    return;
  }
  const std::int64_t vector = vector_of(context, info);
  loops.resize(num_spatial);
  if (is_block_of_terms(info)) {  // its axis is the first dimension and the last iter
    std::rotate(loops.begin(), loops.end() - 1, loops.end());
    s.reorder(loops);
  }
  const LoopRef all = loops.size() == 1 ? loops[0] : s.fuse(loops);
  bind_elements(s, all, kThreads, vector);
}

void schedule_elements_by_axes(RuleContext& context, const BlockInfo& info) {
  Schedule& s = context.s;
  const std::vector<LoopRef> loops = own_loops(s, info);
  const int num_spatial = info.num_spatial - info.num_context;
  if (num_spatial < 2) detail::raise<ScheduleError>("E0299", "one axis is no grid");
  constexpr int kOuter = 2;  // axes of the grid beside that of the last axis
  const int first = std::max(0, num_spatial - 1 - kOuter);
  const auto at = [&](int d) { return loops[static_cast<std::size_t>(d)]; };
  const std::int64_t extent = extent_of(info, info.num_spatial - 1);
  const auto last = s.split(at(num_spatial - 1), {std::nullopt, row_threads(extent)});
  // Axes of the grid are outermost; what is before the last three runs in each thread.
  std::vector<LoopRef> grid(loops.begin() + first, loops.begin() + num_spatial - 1);
  grid.push_back(last[0]);
  std::vector<LoopRef> order = grid;
  order.push_back(last[1]);
  order.insert(order.end(), loops.begin(), loops.begin() + first);
  s.reorder(order);
  bind_grid(s, grid);
  s.bind(last[1], "threadIdx.x");
}

}  // namespace tenon::rules::gpu
