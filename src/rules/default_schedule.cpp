#include "tenon/rules/default_schedule.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <unordered_set>

#include "rules/gpu/gpu_rule.h"
#include "rules/rule.h"
#include "tenon/rules/schedule_source.h"

namespace tenon {
namespace rules {

namespace {

void run_in_parallel(RuleContext& context, const std::string& block, int num_context) {
  const std::vector<LoopRef> loops = context.s.loops(block);
  const auto outermost = static_cast<std::size_t>(num_context);
  if (loops.size() <= outermost) return;
  try {
    context.s.parallel(loops[outermost]);
  } catch (const ScheduleError&) {
    // Iterations depend on each other: the loop stays serial.
  }
}

}  // namespace

void schedule_fallback(RuleContext& context, const std::string& block, int num_context) {
  const Function f = context.s.function();  // keeps the infos valid
  const std::vector<BlockInfo> blocks = blocks_of(f);
  const BlockInfo* info = find_block(blocks, block);
  const Schedule before = context.s;
  try {
    const auto chain =
        info != nullptr && info->store != nullptr ? divide_chain(context, *info) : std::nullopt;
    if (chain) run_in_parallel(context, chain->sums, num_context);
  } catch (const ScheduleError&) {
    context.s = before;  // it stays one chain
  }
  run_in_parallel(context, block, num_context);
}

std::optional<std::string> sole_consumer(const std::vector<BlockInfo>& blocks,
                                         const BlockInfo& producer, const Function& f) {
  for (const Buffer& b : f->outputs) {
    if (b.same_as(producer.output())) return std::nullopt;
  }
  const BlockInfo* consumer = nullptr;
  for (const BlockInfo& b : blocks) {
    const bool reads = std::any_of(b.loads.begin(), b.loads.end(), [&](const LoadNode* l) {
      return l->buffer.same_as(producer.output());
    });
    if (!reads) continue;
    if (consumer != nullptr || b.is_reduction() || b.is_ordered() || b.store == nullptr)
      return std::nullopt;
    consumer = &b;
  }
  const bool fits = consumer != nullptr && consumer->num_spatial == producer.num_spatial &&
                    consumer->num_context == producer.num_context;
  if (!fits) return std::nullopt;
  return consumer->name();
}

namespace {

/// A decision that `after` has, `before` has not, and that is not the preferred one; or "".
std::string decided_since(const Schedule& before, const Schedule& after) {
  for (std::size_t i = before.decisions().size(); i < after.decisions().size(); ++i) {
    const Decision& d = after.decisions()[i];
    if (d.chosen != d.preferred) return d.name;
  }
  return "";
}

/// Tries a rule, which returns whether it fits or raises; on refusal the schedule is as it was.
template <typename F>
bool attempt(RuleContext& context, const std::string& what, F&& rule) {
  const Schedule before = context.s;
  std::string problem = "it does not fit";
  try {
    if (rule()) return true;
  } catch (const ScheduleError& e) {
    if (refuses_decision(e)) throw;
    problem = e.what();
    if (std::getenv("TENON_EXPLAIN_RULES") != nullptr) {
      std::fprintf(stderr, "function '%s': %s refused: %s\n", context.s.function()->name.c_str(),
                   what.c_str(), e.what());
    }
  }
  const std::string decided = decided_since(before, context.s);
  context.s = before;
  if (decided.empty()) return false;
  // Where the rule fits without them, another in its place would be another point of the space
  // under the same decisions.
  context.s.use_decisions({});
  bool fits = false;
  try {
    fits = rule();
  } catch (const ScheduleError&) {
    fits = false;
  }
  context.s = before;
  TENON_USER_CHECK(!fits, ScheduleError, "E1404", what, " refused after the decision '", decided,
                   "': ", problem);
  return false;
}

void fall_back(RuleContext& context, const std::string& block, int num_context) {
  schedule_fallback(context, block, num_context);
  context.applied.emplace_back("fallback", block);
}

void schedule_alone(RuleContext& context, const std::string& name,
                    std::unordered_set<std::string>* done) {
  const Function f = context.s.function();  // keeps the infos valid
  const std::vector<BlockInfo> blocks = blocks_of(f);
  const BlockInfo* info = find_block(blocks, name);
  done->insert(name);
  const int num_context = info == nullptr ? 0 : info->num_context;
  if (info == nullptr || info->store == nullptr) return fall_back(context, name, num_context);
  const auto tries = [&](const char* rule, auto&& schedule) {
    const auto run = [&] {
      schedule();
      return true;
    };
    const std::string what = std::string("rule '") + rule + "' for block '" + name + "'";
    if (!attempt(context, what, run)) return false;
    const std::string text = rule;
    context.applied.emplace_back(text.substr(0, text.find(' ')), name);
    return true;
  };
  bool fits = false;
  if (info->is_ordered()) {
    fits = tries("scatter", [&] { schedule_scatter(context, *info); });
  } else if (!info->is_reduction()) {
    fits = tries("elementwise", [&] { schedule_elementwise(context, *info); });
  } else if (is_row_reduction(*info)) {
    fits = tries("row_reduction", [&] { schedule_row_reduction(context, *info); });
  } else {
    const auto consumer = sole_consumer(blocks, *info, f);
    const auto tile = [&](const char* rule, const char* with_reader, auto schedule) {
      fits = consumer && tries(with_reader, [&] { schedule(context, *info, consumer); });
      if (fits) return void(done->insert(*consumer));
      fits = tries(rule, [&] { schedule(context, *info, std::nullopt); });
    };
    if (is_window(*info) && num_context == 0)
      tile("convolution", "convolution with its reader", schedule_convolution);
    if (!fits) tile("contraction", "contraction with its reader", schedule_contraction);
  }
  if (!fits) fall_back(context, name, num_context);
}

/// "rule contraction", or each with its block.
std::string describe(const RuleContext& context) {
  const auto& applied = context.applied;
  if (applied.empty()) return "no rule: nothing is left to do";
  if (applied.size() == 1) return "rule " + applied[0].first;
  std::string text;
  for (const auto& [rule, block] : applied)
    text += (text.empty() ? "rules " : ", ") + rule + " (" + block + ")";
  return text;
}

}  // namespace
}  // namespace rules

namespace {

void schedule_remaining(rules::RuleContext& context, const std::unordered_set<std::string>& done) {
  std::unordered_set<std::string> known = done;
  const Function f = context.s.function();  // keeps the infos valid
  for (const rules::BlockInfo& info : rules::blocks_of(f)) {
    const std::size_t num_loops = context.s.loops(info.name()).size();
    const bool is_plain = num_loops == info.block->iters.size();
    if (is_plain && known.count(info.name()) == 0)
      rules::schedule_alone(context, info.name(), &known);
  }
}

}  // namespace

std::optional<ChosenSchedule> stored_schedule(const Function& f, const Target& target,
                                              std::string* problem) {
  FoundSchedule found = ScheduleSource::shared().find(f, target);
  const auto tell = [&](const std::string& what) {
    if (problem != nullptr) *problem = what;
  };
  tell(found.problem);
  if (!found.schedule) return std::nullopt;
  ChosenSchedule chosen{Schedule(f), found.schedule->label, true};
  try {
    found.schedule->trace.replay(&chosen.schedule);
    return chosen;
  } catch (const ScheduleError& e) {
    const std::string what = e.what();
    tell("the stored one, " + found.schedule->label +
         ", does not fit: " + what.substr(0, what.find('\n')));
    return std::nullopt;
  }
}

namespace {

/// With `decisions` choices are samples.
ChosenSchedule schedule_by_rules(const Function& f, const Target& target,
                                 const DecisionValues* decisions) {
  ChosenSchedule chosen{Schedule(f), "", false};
  rules::RuleContext context{chosen.schedule, target};
  context.offers_decisions = decisions != nullptr;
  if (decisions != nullptr) chosen.schedule.use_decisions(*decisions);
  if (target.is_gpu()) {
    rules::gpu::schedule_function(context);
    chosen.source = rules::describe(context);
    return chosen;
  }
  rules::inline_elementwise(context);
  const auto row_chain = [&] { return schedule_row_chain(context); };
  const bool by_rows = rules::is_row_chain(context) && rules::choose(context, "row_chain", true);
  if (by_rows && rules::attempt(context, "rule 'row_chain'", row_chain)) {
    context.applied.emplace_back("row_chain", "");
  } else {
    schedule_remaining(context, {});
  }
  chosen.source = rules::describe(context);
  return chosen;
}

}  // namespace

ChosenSchedule rule_schedule(const Function& f, const Target& target) {
  return schedule_by_rules(f, target, nullptr);
}

Schedule rule_schedule_with(const Function& f, const Target& target,
                            const DecisionValues& decisions) {
  return schedule_by_rules(f, target, &decisions).schedule;
}

ChosenSchedule choose_schedule(const Function& f, const Target& target) {
  std::string problem;
  if (auto stored = stored_schedule(f, target, &problem)) {
    if (!problem.empty()) stored->source += " (" + problem + ")";
    return std::move(*stored);
  }
  ChosenSchedule chosen = rule_schedule(f, target);
  if (!problem.empty()) chosen.source += " (" + problem + ")";
  return chosen;
}

Schedule default_schedule(const Function& f, const Target& target) {
  return choose_schedule(f, target).schedule;
}

void schedule_remaining(Schedule* s, const std::unordered_set<std::string>& done,
                        const Target& target) {
  rules::RuleContext context{*s, target};
  schedule_remaining(context, done);
}

}  // namespace tenon
