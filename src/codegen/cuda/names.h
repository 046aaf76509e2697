#pragma once

/// Names of the IR as names of C++.

#include <string>
#include <unordered_set>

namespace tenon::codegen::cuda {

/// Gives each name once. Characters that C++ identifiers do not have become `_`; words of the
/// language, of CUDA and of the prelude, and names already given, get a number.
class Names {
 public:
  std::string unique(const std::string& wanted);

 private:
  std::unordered_set<std::string> taken_;
};

}  // namespace tenon::codegen::cuda
