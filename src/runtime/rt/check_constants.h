#pragma once

/// The bytes of embedded constants against their checksums.

#include "runtime/rt/model.h"
#include "runtime/rt/plan_reader.h"

namespace tenon::rt {

/// Reads the whole block: constants against their checksums, what is between and after them against
/// 0, so that no byte can change unnoticed. The tables are checked. TENON_ERROR_MODEL [E0911].
tenon_status check_constants(const tenon_model& model, const PlanData& data);

}  // namespace tenon::rt
