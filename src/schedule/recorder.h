#pragma once

/// Writes steps into a trace and gives loops their names there.

#include <string>
#include <unordered_map>
#include <utility>

#include "schedule/step.h"
#include "tenon/schedule/trace.h"

namespace tenon {

class Recorder {
 public:
  /// A step that succeeded; `before` is the function that it was applied to.
  void record(const Step& step, const Stmt& before, const ScheduleValue& result);

  Trace trace;

 private:
  const std::string& name_of(const Expr& loop_var);
  void look_up(const Expr& loop_var, const Stmt& before);
  TracedValue traced(const ScheduleValue& value, const Stmt& before);
  TracedLoop traced(const LoopRef& loop, const Stmt& before);

  /// Named loops; the variable is kept alive, so that its address stays unique.
  std::unordered_map<const ExprNode*, std::pair<Expr, std::string>> names_;
};

/// "spatial", "reduction", "ordered", or "mixed": what the loop runs over in the block.
std::string kind_of_loop(const BlockNode& block, const Expr& loop_var);

}  // namespace tenon
