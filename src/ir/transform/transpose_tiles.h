#pragma once

#include "tenon/ir/function.h"

namespace tenon {

/// Requires: one-dimensional accesses, vector expressions, unrolled loops repeated. Does: where n
/// neighbouring stores read n vectors of n elements that lie a stride apart, each one element
/// beside that before, reads the n rows of this square as they lie in memory and transposes them by
/// shuffles. Ensures: the same stores of the same values; reads no other elements. Why here: needs
/// the copies of unrolled loops and ramps.
Function transpose_tiles(const Function& f);

}  // namespace tenon
