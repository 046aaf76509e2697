#pragma once

/// Reading the flat plan format without trusting it.

#include <cstdint>

#include "runtime/rt/model.h"

namespace tenon::rt {

/// Where the constants of a plan lie.
struct PlanData {
  const unsigned char* bytes = nullptr;
  std::uint64_t size = 0;
};

/// Copies the tables of `plan` into `model` and checks every one of them. `data` is set to the
/// section of constants, in place. TENON_ERROR_MODEL [E0907] names the section and record that is
/// wrong; TENON_ERROR_UNSUPPORTED for another major version [E0908] or an opcode that this runtime
/// does not run [E0909].
tenon_status read_plan(const void* plan, std::uint64_t plan_bytes, tenon_model& model,
                       PlanData& data);

}  // namespace tenon::rt
