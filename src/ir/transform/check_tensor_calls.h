#pragma once

#include "tenon/ir/function.h"

namespace tenon {

/// Requires: no blocks. Does: raises ScheduleError where a tensor instruction is not in a kernel
/// with a whole warp on threadIdx.x (E0280), or something else touches a fragment (E0281). Ensures:
/// warps are complete, fragments are seen by instructions only. Why here in the order: the last
/// step of lower_blocks, when thread loops are around everything and blocks have become calls.
void check_tensor_calls(const Function& f);

}  // namespace tenon
