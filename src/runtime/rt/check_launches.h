#pragma once

/// Checks of the tables that only plans for a device have.

#include "runtime/rt/model.h"

namespace tenon::rt {

/// Code, kernels, and launches with their lists. The other tables are checked already.
/// TENON_ERROR_MODEL [E0907] names the record that is wrong.
tenon_status check_launches(const tenon_model& model);

}  // namespace tenon::rt
