#pragma once

#include <string>

#include "tenon/ir/function.h"

namespace tenon {

/// All of a function that code generation can see, as bytes: equal bytes mean equal code.
/// Alpha-equivalent (variables and buffers are numbered as they are met), without names and spans,
/// but with the function's name; a shared expression is written once.
std::string canonical_bytes(const Function& f);

}  // namespace tenon
