#pragma once

#include "tenon/ir/function.h"

namespace tenon {

/// Requires: no blocks, multi-dimensional accesses. Does: a serial loop whose vector bodies hold
/// under a condition `c * v + rest < bound`, over lanes and v, becomes two: the iterations for
/// which the condition is true in all lanes, without it, then the others; iterations in which no
/// lane holds are left out where nothing happens in them. A parallel loop branches instead.
/// Ensures: the same stores of the same values, in the same order. Why here: after the extents of
/// vector loops are constants, and before `guard_loads`, which then has nothing to guard in the
/// first part.
Function partition_loops(const Function& f);

}  // namespace tenon
