#pragma once

/// Targets of kind "cuda".

#include <string_view>

#include "tenon/runtime/target.h"

namespace tenon {

/// The target of `text`, "cuda" and what `options` follows: at most -arch=NAME. Without it: sm_90a.
/// TargetError as Target::parse.
Target parse_cuda_target(std::string_view text, std::string_view options);

}  // namespace tenon
