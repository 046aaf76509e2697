#include <cstdio>
#include <cstdlib>

#include "rules/gpu/gpu_rule.h"

namespace tenon::rules::gpu {
namespace {

/// Tries a rule; on refusal the schedule is as it was.
template <typename F>
bool attempt(RuleContext& context, const char* rule, const std::string& block, F&& schedule) {
  const Schedule before = context.s;
  try {
    schedule();
    context.applied.emplace_back(rule, block);
    return true;
  } catch (const ScheduleError& e) {
    if (std::getenv("TENON_EXPLAIN_RULES") != nullptr) {
      std::fprintf(stderr, "function '%s': rule '%s' for block '%s' refused: %s\n",
                   context.s.function()->name.c_str(), rule, block.c_str(), e.what());
    }
  }
  context.s = before;
  return false;
}

void schedule_block(RuleContext& context, const std::string& name) {
  const Function f = context.s.function();  // keeps the infos valid
  const std::vector<BlockInfo> blocks = blocks_of(f);
  const BlockInfo* info = find_block(blocks, name);
  const int num_context = info == nullptr ? 0 : info->num_context;
  const bool is_known = info != nullptr && info->store != nullptr && !info->is_ordered();
  if (is_known &&
      attempt(context, "gpu elements", name, [&] { schedule_elements(context, *info); }))
    return;
  bind_fallback(context, name, num_context);
  context.applied.emplace_back("gpu fallback", name);
}

}  // namespace

void schedule_function(RuleContext& context) {
  inline_elementwise(context);
  std::vector<std::string> names;
  const Function f = context.s.function();
  for (const BlockInfo& info : blocks_of(f)) names.push_back(info.name());
  for (const std::string& name : names) schedule_block(context, name);
}

}  // namespace tenon::rules::gpu
