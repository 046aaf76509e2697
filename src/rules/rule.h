#pragma once

/// One rule per structural class. A rule writes an ordinary schedule; it may raise ScheduleError, whereupon the caller goes back.

#include <optional>
#include <string>

#include "rules/block_info.h"
#include "tenon/runtime/target.h"
#include "tenon/schedule/schedule.h"

namespace tenon::rules {

/// What a rule works on. `s` is rewritten.
struct RuleContext {
  Schedule& s;
  const Target& target;
};

/// Inlines element-wise blocks where that costs nothing (inline_elementwise.cpp).
void inline_elementwise(RuleContext& context);

/// Lanes along the innermost axis, whole chunks in parallel (elementwise.cpp).
void schedule_elementwise(RuleContext& context, const BlockInfo& info, bool may_parallel = true);

/// Register tiles with the accumulators in registers over the reduction; `consumer` is an element-wise block that reads the result at
/// the same place (contraction.cpp).
void schedule_contraction(RuleContext& context, const BlockInfo& info, const std::optional<std::string>& consumer,
                          bool may_parallel = true);

/// 64 lanes along the reduction, joined by halving (row_reduction.cpp).
void schedule_row_reduction(RuleContext& context, const BlockInfo& info, bool may_parallel = true);

/// Several blocks over the same leading axes, run together for each (row_chain.cpp). False when the blocks do not fit.
bool schedule_row_chain(RuleContext& context);

/// The block's outermost loop in parallel when it may be (default_schedule.cpp).
void schedule_fallback(RuleContext& context, const std::string& block);

/// Whether work over so many elements (-1: unknown) is worth several threads.
bool worth_threads(std::int64_t elements);

}  // namespace tenon::rules
