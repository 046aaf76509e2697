#pragma once

/// Targets of kind "cuda".

#include <string_view>

#include "tenon/runtime/target.h"

namespace tenon {

/// The target of `text`, "cuda" and what `options` follows: at most -arch=NAME. Without it the
/// first GPU of this machine decides, or sm_90a where there is none. TargetError as Target::parse.
Target parse_cuda_target(std::string_view text, std::string_view options);

/// The architecture whose code runs on GPUs of this compute capability (90 for 9.0), the latest
/// one; "" where there is none.
std::string_view arch_of_capability(int capability);

}  // namespace tenon
