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

/// The checksum of the first `bytes` bytes of a plan, its own field taken as 0.
std::uint32_t plan_checksum(const void* plan, std::uint64_t bytes);

/// Checks version, length and checksum of a plan, not its tables. The errors of read_plan.
tenon_status verify_plan(const void* plan, std::uint64_t plan_bytes);

/// Copies the tables of `plan` into `model` and checks every one of them. `data` is the block of
/// constants beside the plan; where it is null it is set to the plan's own, in place.
/// TENON_ERROR_MODEL [E0907] names the section and record that is wrong; TENON_ERROR_UNSUPPORTED
/// for another version [E0908] or an opcode that this runtime does not run [E0909].
tenon_status read_plan(const void* plan, std::uint64_t plan_bytes, tenon_model& model,
                       PlanData& data);

}  // namespace tenon::rt
