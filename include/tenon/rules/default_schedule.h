#pragma once

/// Default schedules: what every function gets that the user did not schedule.

#include <string>
#include <unordered_set>

#include "tenon/runtime/target.h"
#include "tenon/schedule/schedule.h"

namespace tenon {

/// A schedule of `f` (block level) for the target, built from the structure of its blocks: cheap
/// element-wise blocks are inlined; contractions get register tiles, their element-wise consumers
/// at the tile; reductions along rows run in 64 lanes (design 3a); chains of blocks over the same
/// rows (softmax, normalisation, attention) run row by row. A block without a rule keeps its loops,
/// the outermost in parallel. On a GPU every nest is bound to blocks and threads. Never fails;
/// never changes what is computed except by the order of float sums that design 3a fixes.
Schedule default_schedule(const Function& f, const Target& target);

/// The same for a function that is scheduled in part: rules for every block that still has the
/// loops it was made with, block by block. Those in `done` stay as they are.
void schedule_remaining(Schedule* s, const std::unordered_set<std::string>& done,
                        const Target& target);

}  // namespace tenon
