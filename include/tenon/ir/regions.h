#pragma once

/// Which parts of which buffers a piece of IR touches.

#include <vector>

#include "tenon/ir/stmt.h"

namespace tenon {

struct AccessRegions {
  std::vector<BufferRegion> reads, writes;
};

/// The regions that a block's init and body touch, in terms of the variables that are free in them.
/// One region for each distinct access; variables of loops inside the body are widened to their
/// range (affine indices), anything else to the whole dimension. A buffer that the body itself
/// allocates is left out. Reads of a reduction's own element (the accumulator) are included.
AccessRegions detect_regions(const Stmt& init, const Stmt& body);

}  // namespace tenon
