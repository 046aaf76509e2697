#pragma once

#include "tenon/ir/function.h"

namespace tenon {

/// Requires: no blocks. Does: gives every access one index, the element's offset by the buffer's
/// strides, and every buffer one dimension. Ensures: one-dimensional accesses. Why here:
/// vectorising needs the offset to see contiguous lanes.
Function flatten_buffers(const Function& f);

}  // namespace tenon
