#pragma once

#include "tenon/ir/function.h"

namespace tenon {

/// Requires: no blocks, multi-dimensional accesses. Does: gives each load in a branch of a `select`
/// (or behind `and`, `or`) that is not provably in bounds the branch's condition as its predicate.
/// Ensures: evaluating both branches has no effect outside the buffers. Why here: bounds are per
/// dimension; afterwards a select is plain arithmetic, so that it vectorises.
Function guard_loads(const Function& f);

}  // namespace tenon
