#pragma once

#include "tenon/ir/function.h"

namespace tenon {

/// Requires: flat accesses. Does: turns every vectorized loop of constant extent into vector
/// expressions over its iterations; a condition on the loop's variable becomes a predicate of loads
/// and stores; an accumulation into one element becomes a vector reduction (joined by halving). A
/// loop whose body cannot be expressed so (an inner loop whose range depends on the variable, an
/// allocation) becomes serial. Ensures: no vectorized loops. Why here: indices are offsets, so
/// contiguous lanes are ramps of stride 1.
Stmt vectorize_loops(const Stmt& body);

}  // namespace tenon
