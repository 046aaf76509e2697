// Scatters, and scans that are one block: what the ordered loops leave apart runs on threads.

#include "rules/gpu/gpu_rule.h"

namespace tenon::rules::gpu {

void bind_scatter(RuleContext& context, const BlockInfo& info) {
  constexpr std::int64_t kColumns =
      64;  // long chains: many small blocks rather than few large ones
  Schedule& s = context.s;
  const std::vector<LoopRef> loops = s.loops(info.name());
  std::vector<LoopRef> columns, steps;
  for (auto d = static_cast<std::size_t>(info.num_context); d < loops.size(); ++d) {
    const bool is_ordered = info.block->iters[d].kind == IterKind::kOrdered;
    (is_ordered ? steps : columns).push_back(loops[d]);
  }
  if (columns.empty()) detail::raise<ScheduleError>("E0299", "nothing is independent");
  std::vector<LoopRef> order = columns;
  order.insert(order.end(), steps.begin(), steps.end());
  if (order.size() > 1) s.reorder(order);
  bind_elements(s, columns.size() > 1 ? s.fuse(columns) : columns[0], kColumns);
}

}  // namespace tenon::rules::gpu
