#pragma once

/// One application of a primitive: its arguments, the function that it rewrites, and the errors
/// that it raises.

#include <initializer_list>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "schedule/loop_tree.h"
#include "tenon/schedule/decision.h"
#include "tenon/schedule/primitive.h"

namespace tenon {

/// Argument values in the order of the primitive's parameters.
using Arguments = std::vector<ScheduleValue>;

/// What a schedule is between two steps.
struct ScheduleState {
  Function function;
  /// Loops that no longer exist: the variable (kept alive, so that its address stays unique) and
  /// what became of it.
  std::unordered_map<const ExprNode*, std::pair<Expr, std::string>> consumed;
  /// What samples take, and what they took; null where there is nothing. Shared, so that a step
  /// copies no options.
  std::shared_ptr<const DecisionValues> wanted;
  std::shared_ptr<const std::vector<Decision>> decisions;
};

/// A copy of the state that a primitive may change freely; the schedule takes it over when the
/// primitive returns.
class Step {
 public:
  Step(const Primitive& primitive, Arguments arguments, ScheduleState state, Span span)
      : primitive_(primitive),
        arguments_(std::move(arguments)),
        state_(std::move(state)),
        span_(std::move(span)) {}

  template <typename T>
  const T& argument(std::size_t index) const {
    return std::get<T>(arguments_[index]);
  }
  const ScheduleValue& value(std::size_t index) const { return arguments_[index]; }

  // --- the function ---
  const Function& function() const { return state_.function; }
  const Stmt& root() const { return state_.function->body; }
  void set_root(const Stmt& root) { state_.function = with_body(state_.function, root); }
  /// Adds an allocation at the root.
  void allocate(const Buffer& buffer);
  /// Facts about symbols and the given loops.
  Facts facts(const std::vector<const ForNode*>& loops) const {
    return {ranges_of(loops), function()->symbols};
  }
  bool is_parameter(const Buffer& buffer) const;

  // --- handles; each raises when there is no such thing ---
  Path path_to(const LoopRef& loop);
  Path path_to(const BlockRef& block);
  /// Raises E0204 unless all loops lie on one path; gives the path to the innermost.
  Path common_path(const std::vector<LoopRef>& loops, int requirement);
  void consume(const LoopRef& loop, const std::string& what_became_of_it);
  void set_replacement(const LoopRef& loop, const std::vector<LoopRef>& by);

  // --- decisions ---
  const ScheduleState& state() const { return state_; }
  void set_decisions(std::vector<Decision> decisions) {
    state_.decisions = std::make_shared<const std::vector<Decision>>(std::move(decisions));
  }
  /// The trace has this in place of the argument.
  void set_argument(std::size_t index, ScheduleValue value) {
    arguments_[index] = std::move(value);
  }

  // --- names ---
  std::string fresh_block_name(const std::string& wanted) const;
  std::string fresh_buffer_name(const std::string& wanted) const;

  // --- errors and marks ---
  /// The loop (or block) that the next failure marks.
  void blame(const Expr& loop_var) { culprit_ = loop_var, culprit_block_.clear(); }
  void blame(const std::string& block) { culprit_block_ = block, culprit_ = nullptr; }
  /// A counter-example for the next failure: two iterations that are in each other's way.
  void show(std::string counter_example) { counter_example_ = std::move(counter_example); }
  /// A hint for the next failure.
  void suggest(std::string hint) { hint_ = std::move(hint); }
  [[noreturn]] void fail(int requirement, const char* code, const std::string& message) const;
  /// The step changes the order in which a float sum or product adds up.
  void mark_reassociates() { reassociates_ = true; }
  /// Until the returned guard goes, failures cite the requirements of `other`, which this primitive
  /// is made of.
  class RulesOf {
   public:
    RulesOf(Step& step, const Primitive& other) : step_(step), before_(step.rules_) {
      step.rules_ = &other;
    }
    ~RulesOf() { step_.rules_ = before_; }
    RulesOf(const RulesOf&) = delete;
    RulesOf& operator=(const RulesOf&) = delete;

   private:
    Step& step_;
    const Primitive* before_;
  };
  bool reassociates() const { return reassociates_; }

  ScheduleState take_state() { return std::move(state_); }
  const Primitive& primitive() const { return primitive_; }
  const Arguments& arguments() const { return arguments_; }
  const Span& span() const { return span_; }

 private:
  const Primitive& primitive_;
  Arguments arguments_;
  ScheduleState state_;
  Span span_;
  Expr culprit_;
  std::string culprit_block_;
  std::string counter_example_;
  std::string hint_;
  const Primitive* rules_ = nullptr;
  bool reassociates_ = false;
};

/// The user's call: `s.split(i, factors=[None, 0])`, loops by their names.
std::string call_text(const Primitive& primitive, const Arguments& arguments);

/// One argument as Python text.
std::string argument_text(const ScheduleValue& value);

}  // namespace tenon

/// Raises a ScheduleError for numbered requirement `number` unless `cond` holds; the message is
/// made only then.
#define TENON_REQUIRE(step, cond, number, ErrorType, code, ...) \
  ((cond) ? (void)0 : (step).fail(number, code, ::tenon::detail::concat(__VA_ARGS__)))
