#pragma once

#include "tenon/ir/function.h"

namespace tenon {

/// Requires: no blocks. Does: turns `b[i] = select(c, x, b[i])` (a term that `where=` leaves out)
/// into `if c: b[i] = x` where c is a condition on indices that is alike for all lanes of the
/// vectorized loops around it; likewise selects inside x. Ensures: such terms are skipped by
/// statements, which later passes move and decide. Why here: before guard_loads, which would put c
/// into the loads of x.
Function branch_reductions(const Function& f);

}  // namespace tenon
