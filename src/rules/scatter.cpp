#include "rules/rule.h"
#include "tenon/ir/builder.h"

namespace tenon::rules {

namespace {

constexpr int kLanes = 32;

/// The last spatial iter along which neighbours are next to each other in the result; -1 when there
/// is none.
int lane_axis(const BlockInfo& info) {
  for (int d = static_cast<int>(info.block->iters.size()); d-- > info.num_context;) {
    if (info.block->iters[static_cast<std::size_t>(d)].kind != IterKind::kSpatial) continue;
    if (lane_stride(info, info.output(), info.store->indices, d, kLanes) == 1) return d;
  }
  return -1;
}

}  // namespace

// Threads and lanes share what the updates leave apart; the updates of one element stay in order.
void schedule_scatter(RuleContext& context, const BlockInfo& info) {
  Schedule& s = context.s;
  const std::vector<LoopRef> loops = s.loops(info.name());
  const int lane = lane_axis(info);
  std::vector<LoopRef> order, ordered;
  std::optional<LoopRef> lanes;
  for (auto d = static_cast<std::size_t>(info.num_context); d < loops.size(); ++d) {
    if (info.block->iters[d].kind == IterKind::kOrdered) {
      ordered.push_back(loops[d]);
    } else if (static_cast<int>(d) != lane) {
      order.push_back(loops[d]);
    }
  }
  if (lane >= 0) {
    const LoopRef columns = loops[static_cast<std::size_t>(lane)];
    const std::int64_t extent = extent_of(info, lane);
    const std::int64_t width = choose_lanes(context, info.name(), kLanes);
    if (extent > 0 && extent <= width) {
      lanes = columns;
    } else {
      const auto parts = s.split(columns, {std::nullopt, width}, "partition");
      order.push_back(parts[0]);
      lanes = parts[1];
    }
  }
  const bool is_parallel =
      !order.empty() &&
      runs_in_threads(context, info.name(),
                      num_iterations(info, info.num_context, static_cast<int>(loops.size())));
  order.insert(order.end(), ordered.begin(), ordered.end());
  if (lanes) order.push_back(*lanes);
  s.reorder(order);
  if (lanes) s.vectorize(*lanes);
  if (is_parallel) s.parallel(order[0]);
}

}  // namespace tenon::rules
