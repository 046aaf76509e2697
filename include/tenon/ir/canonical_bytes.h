#pragma once

/// Functions as bytes, for the keys of what is kept on disk.

#include <string>
#include <vector>

#include "tenon/ir/function.h"

namespace tenon {

/// All of a function that code generation can see, as bytes: equal bytes mean equal code.
/// Alpha-equivalent (variables and buffers are numbered as they are met), without names and spans,
/// but with the function's name; a shared expression is written once.
std::string canonical_bytes(const Function& f);

/// All of a function that schedules can see.
struct CanonicalForm {
  /// Without any name: a name of a block or buffer is its place in `names`. Equal expressions are
  /// written once, whether they are one node or several; symbols have their ranges.
  std::string bytes;
  /// Of blocks and buffers, each once, as the function mentions them.
  std::vector<std::string> names;
};
/// Functions with equal bytes become each other by exchanging `names`.
CanonicalForm canonical_form(const Function& f);

}  // namespace tenon
