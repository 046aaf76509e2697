#pragma once

/// The caching allocator behind tenon_pool_allocate: results, workspaces, arrays.
///
/// Sizes are rounded up by at most an eighth (below 512 bytes to 64); freed blocks wait in a list
/// of their size. When more than the limit is cached, the blocks unused for longest go back to the
/// system.

#include <cstdint>

namespace tenon::rt {

inline constexpr std::uint64_t kBlockAlignment = 64;
inline constexpr std::uint64_t kHugeBytes = 2u << 20;

/// In a forked child: forgets the cached blocks (they may be half linked) and frees the lock.
void reset_memory_pool_after_fork();

}  // namespace tenon::rt
