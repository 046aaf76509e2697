#pragma once

#include "tenon/ir/function.h"

namespace tenon {

/// Requires: no blocks. Does: divides a serial loop in front of, inside and behind the iterations
/// for which the conditions on unrolled loops below (padding, seen from a register tile) all hold,
/// and choices in the extents of unrolled loops are made; few iterations outside get one part each.
/// Ensures: no condition of these is left in the interior, and in parts of one iteration they are
/// constant once the loops are unrolled. Why here: before unrolling, while a condition is one
/// expression over the tile; specialize_extents would branch on what is constant afterwards. A
/// parallel loop is never divided.
Function split_borders(const Function& f);

}  // namespace tenon
