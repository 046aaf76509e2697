#include "rules/gpu/gpu_rule.h"

namespace tenon::rules::gpu {
namespace {

/// Binds the first loop after those of the context that allows it; false when none does.
bool bind_one(RuleContext& context, const std::string& block, int num_context) {
  const std::size_t count = context.s.loops(block).size();
  for (auto i = static_cast<std::size_t>(num_context); i < count; ++i) {
    const Schedule before = context.s;
    try {
      bind_elements(context.s, context.s.loops(block)[i], kThreads);
      return true;
    } catch (const ScheduleError&) {
      context.s = before;
    }
  }
  return false;
}

}  // namespace

void bind_unit_loop(RuleContext& context, const std::string& block, int num_context) {
  Schedule& s = context.s;
  const std::vector<LoopRef> loops = s.loops(block);
  const auto outermost = static_cast<std::size_t>(num_context);
  const ScheduleValue around =
      loops.size() > outermost ? ScheduleValue(loops[outermost]) : ScheduleValue(BlockRef{block});
  s.bind(s.add_unit_loop(around), "blockIdx.x");
}

void bind_fallback(RuleContext& context, const std::string& block, int num_context) {
  if (!bind_one(context, block, num_context)) bind_unit_loop(context, block, num_context);
}

}  // namespace tenon::rules::gpu
