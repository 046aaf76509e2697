#pragma once

#include "tenon/ir/function.h"

namespace tenon {

/// Requires: no blocks. Does: where the extent of an unrolled or vectorized loop is a choice
/// (`select(c, x, y)`, `min(x, y)`) on variables of outer loops, branches on the choice directly
/// inside the innermost of these loops, so that each branch has its own extent; a rest of a few
/// possible values gets one branch for each. Ensures: unrolled and vectorized extents are constants
/// where the schedule made them so per tile. Why here: before unrolling; a parallel loop is never
/// divided, its body branches.
Function specialize_extents(const Function& f);

}  // namespace tenon
