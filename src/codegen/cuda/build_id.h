#pragma once

#include <string>

namespace tenon::cuda {

/// Tells builds of a library apart without opening it: "build-id <hex>", what its linker wrote into
/// it; where a library has none, or is none, its path, size and time of change.
std::string build_identity(const std::string& path);

}  // namespace tenon::cuda
