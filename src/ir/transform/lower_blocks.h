#pragma once

#include "tenon/ir/function.h"

namespace tenon {

/// Requires: block IR, allocations at the root. Does: dissolves blocks (iteration variables become
/// their bindings; the predicate, and the condition of `init` that every reduction iter is at its
/// minimum, become ifs), moves each allocation into the innermost loop that holds all its accesses
/// and across whose iterations no value flows, and shrinks it to the region used in one iteration
/// of that loop. Ensures: no blocks; extents are constants or expressions over the function's
/// symbols; accesses are still multi-dimensional. Why here, and in one pass: blocks say which loops
/// are reductions, and shrunk accesses are relative to loops, not to iters.
///
/// In a function with thread-bound loops (after unify_threads) memory goes by its scope: `shared`
/// between block and thread loops, the part used in one iteration of the block and serial loops
/// around all uses, by all threads together; `local`, `register` and `fragment` as above, inside of
/// the thread loops; `global` whole, where it is. ScheduleError where shared or private memory is
/// used by more than one kernel [E1242] or has no constant size [E1243]. The stores of blocks that
/// copy asynchronously or reduce over threads are marked (mark_device_stores.h).
Function lower_blocks(const Function& f);

}  // namespace tenon
