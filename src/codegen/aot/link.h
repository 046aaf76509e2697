#pragma once

/// lld as a function.

#include <string>
#include <vector>

namespace tenon::codegen {

/// Links objects into the shared library `output`, against the C library of this process. One call
/// runs at a time; others wait. ResourceError [E0934] with lld's own words.
void link_shared(const std::vector<std::string>& objects, const std::string& output);

}  // namespace tenon::codegen
