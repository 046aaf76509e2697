#pragma once

/// Schedules of derivatives from the schedule of what is differentiated.

#include <string>

#include "tenon/runtime/target.h"
#include "tenon/schedule/schedule.h"

namespace tenon::autodiff {

struct MirroredSchedule {
  Schedule schedule;
  std::string report;  ///< one line per block: what was mirrored, or which rule it got and why
};

/// A schedule of `derivative`, a function of tensors that vjp made, like that of the forward
/// function.
///
/// Each block of a derivative knows the axes of the forward tensor that its own come from. It gets
/// the forward block's loops: the same factors, order, kinds, register copy and place of the init,
/// each axis by its own; where a spatial axis became a reduction (or the other way round), the axes
/// left over take their places in order. Operands that would be read across the lanes are copied.
/// Blocks without a forward tensor in `forward`, and those that refuse a step, get the default
/// rule. Where the tuner has measured a schedule of the derivative itself, that is the result.
/// Values are those of the default schedule: chains of sums keep their order.
MirroredSchedule mirror_schedule(const Schedule& forward, const Function& derivative,
                                 const Target& target);

}  // namespace tenon::autodiff
