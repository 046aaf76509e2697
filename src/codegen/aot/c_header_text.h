#pragma once

/// The text of the headers that a program needs.

#include <string_view>

namespace tenon::codegen {

extern const std::string_view kDlpackText;
extern const std::string_view kKernelAbiText;
extern const std::string_view kCTypesText;

}  // namespace tenon::codegen
