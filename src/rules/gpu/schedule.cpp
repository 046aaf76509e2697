#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <unordered_set>

#include "rules/gpu/gpu_rule.h"
#include "tenon/ir/builder.h"

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

/// Whether every index that is no constant is an iter.
bool reads_at_iters(const BlockInfo& info) {
  return std::all_of(info.loads.begin(), info.loads.end(), [](const LoadNode* l) {
    return std::all_of(l->indices.begin(), l->indices.end(), [](const Expr& e) {
      return e.as<VarNode>() != nullptr || as_int(e).has_value();
    });
  });
}

void schedule_block(RuleContext& context, const std::string& name,
                    std::unordered_set<std::string>* done) {
  const Function f = context.s.function();  // keeps the infos valid
  const std::vector<BlockInfo> blocks = blocks_of(f);
  const BlockInfo* info = find_block(blocks, name);
  const int num_context = info == nullptr ? 0 : info->num_context;
  const bool is_known = info != nullptr && info->store != nullptr && !info->is_ordered();
  if (is_known && is_row_reduction(*info) &&
      attempt(context, "gpu row reduction", name, [&] { bind_row_reduction(context, *info); }))
    return;
  if (is_known && info->is_reduction()) {
    if (attempt(context, "gpu tensor product", name, [&] { bind_tensor_product(context, *info); }))
      return;
    const auto consumer = sole_consumer(blocks, *info, f);
    const auto tile = [&](const char* rule, auto bind) {
      const auto with = [&](const std::optional<std::string>& reader) {
        return attempt(context, rule, name, [&] { bind(context, *info, reader); });
      };
      if (!consumer || !with(consumer)) return with(std::nullopt);
      done->insert(*consumer);
      return true;
    };
    const bool is_plain = reads_at_iters(*info);
    if (!is_plain && tile("gpu window", bind_window)) return;
    if (tile("gpu contraction", bind_contraction)) return;
    if (is_plain && tile("gpu window", bind_window)) return;
    if (attempt(context, "gpu column sum", name, [&] { bind_column_sum(context, *info); })) return;
  }
  if (is_known &&
      attempt(context, "gpu elements", name, [&] { schedule_elements(context, *info); }))
    return;
  if (is_known && attempt(context, "gpu elements by axes", name,
                          [&] { schedule_elements_by_axes(context, *info); }))
    return;
  bind_fallback(context, name, num_context);
  context.applied.emplace_back("gpu fallback", name);
}

}  // namespace

void schedule_function(RuleContext& context) {
  inline_elementwise(context);
  std::vector<std::string> names;
  const bool is_chain = attempt(context, "gpu row chain", "", [&] {
    if (!bind_row_chain(context, &names))
      detail::raise<ScheduleError>("E0299", "the blocks are no chain over rows");
  });
  if (!is_chain) {
    names.clear();
    const Function f = context.s.function();  // keeps the infos valid
    for (const BlockInfo& info : blocks_of(f)) names.push_back(info.name());
  }
  std::unordered_set<std::string> done;
  for (const std::string& name : names) {
    if (done.count(name) == 0) schedule_block(context, name, &done);
  }
}

}  // namespace tenon::rules::gpu
