#pragma once

/// Default schedules for GPUs, one rule for each structural class. Rules follow the conventions of
/// rules/rule.h: an ordinary schedule, ScheduleError where a rule does not fit.
///
/// **Order of sums** (design 3a (e)): it depends on the class and on the extents of the reduction
/// alone, so that results are the same alone and in a batch.

#include <string>
#include <vector>

#include "rules/rule.h"

namespace tenon::rules::gpu {

/// Threads of a block where nothing else decides.
constexpr std::int64_t kThreads = 256;

/// Binds a loop to blocks of `threads` threads: one element a thread, or `vector` neighbouring
/// ones as one access. Consumes the loop.
void bind_elements(Schedule& s, const LoopRef& loop, std::int64_t threads, std::int64_t vector = 1);

/// The loops of a block that are its own, those of the context (steps of a scan) left out.
std::vector<LoopRef> own_loops(Schedule& s, const BlockInfo& info);

/// One element of the result a thread: element-wise blocks, gathers, copies, and reductions whose
/// terms a thread adds up in order (elementwise.cpp).
void schedule_elements(RuleContext& context, const BlockInfo& info);

/// One block of one thread around all loops of `block` but those of its context (fallback.cpp).
void bind_unit_loop(RuleContext& context, const std::string& block, int num_context);

/// The outermost loop that may be is bound, the others run in each thread; a block that allows
/// nothing runs in one thread (fallback.cpp). Never raises.
void bind_fallback(RuleContext& context, const std::string& block, int num_context);

/// Schedules every block of the function (schedule.cpp).
void schedule_function(RuleContext& context);

}  // namespace tenon::rules::gpu
