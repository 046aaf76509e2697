#pragma once

/// Models in libraries: choosing the level that this CPU runs.

#include "tenon/runtime/c_api.h"

namespace tenon::rt {

/// Loads the best level of `descriptor` that this CPU runs, or the one that is named. The plans of
/// all levels are checked, so that damage is found on every machine. TENON_ERROR_TARGET [E0950]
/// where the CPU lacks what the level needs, TENON_ERROR_USAGE [E0951] for a level that the model
/// does not have, TENON_ERROR_UNSUPPORTED [E0908] for another version.
tenon_status load_descriptor(const tenon_model_descriptor& descriptor, const char* level,
                             tenon_model** out);

}  // namespace tenon::rt
