#pragma once

#include "tenon/ir/function.h"

namespace tenon {

/// Requires: kernels in launch form, no blocks, accesses with several dimensions. Does: puts a
/// barrier where a thread may meet what another thread of its block wrote (or read, before it
/// writes) in shared or global memory since the last barrier, around loops as well, and nowhere
/// else; accesses that are proved to be of different elements, or of one thread, need none. A
/// barrier stands before the first statement that needs it, before a loop rather than in it where
/// what is before the loop asks for it alone, and never under a condition or in a loop that depends
/// on the thread: such an `if` around several statements is divided, such a loop gets the largest
/// range and the condition inside. An asynchronous copy is waited
/// for before what it wrote is touched; in a loop with the annotation "software_pipeline" the
/// pass pipeline_loops has ordered copies and uses. ScheduleError [E1250]: a condition that reads
/// memory, or a loop whose range depends on data, needs a barrier inside. Ensures: no two threads
/// meet without a barrier between. Why here: while loops are loops, after guard_loads; one
/// dimension at a time, different elements are told apart without products of sizes.
Function insert_barriers(const Function& f);

}  // namespace tenon
