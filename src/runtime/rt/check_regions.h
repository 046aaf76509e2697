#pragma once

/// Checks branches, loops and moving buffers of a plan.

#include "runtime/rt/model.h"

namespace tenon::rt {

/// That regions nest, that their buffers and registers are there and may be written, and that
/// buffers move with loops that they are used in. The other tables have been checked. [E0907]
tenon_status check_regions(const tenon_model& model);

}  // namespace tenon::rt
