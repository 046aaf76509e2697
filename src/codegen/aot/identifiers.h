#pragma once

/// Names that C and C++ take.

#include <set>
#include <string>
#include <string_view>

namespace tenon::codegen {

/// True for letters, digits and _, not beginning with a digit, that are no keyword of C or C++.
bool is_identifier(std::string_view text);

/// Makes identifiers of any names, each different from those before.
class IdentifierMaker {
 public:
  explicit IdentifierMaker(std::set<std::string> taken) : taken_(std::move(taken)) {}
  std::string make(std::string_view name);

 private:
  std::set<std::string> taken_;
};

}  // namespace tenon::codegen
