#pragma once

/// What this CPU can run, as bits in the order of tenon/runtime/cpu_features.def.

#include <cstddef>
#include <cstdint>

namespace tenon::rt {

/// The bits that this CPU has and whose registers the operating system saves. Read once.
std::uint64_t cpu_features();

/// How many bits there are, and LLVM's name of each.
extern const std::size_t kNumCpuFeatures;
const char* cpu_feature_name(std::size_t i);
/// The bit of LLVM's name; 0 for a name that is not in the list.
std::uint64_t cpu_feature_bit(const char* name);

}  // namespace tenon::rt
