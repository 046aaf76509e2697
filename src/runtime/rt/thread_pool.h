#pragma once

/// The process' worker threads.
///
/// One parallel loop uses the pool at a time; a loop that finds it in use, and a loop inside a
/// loop, runs on its own thread. Iterations are cut into chunks; each worker has a contiguous run
/// of them and takes from others' ends when its own are done. Workers spin for kSpinNanoseconds
/// after a loop, then sleep.

#include <cstdint>

namespace tenon::rt {

inline constexpr std::int32_t kMaxThreads = 256;
inline constexpr std::int64_t kSpinNanoseconds = 50'000;

/// CPUs that affinity and cgroup limits leave to this process, at least 1; TENON_NUM_THREADS
/// overrides. Computed once.
std::int32_t default_num_threads();

/// In a forked child: forgets the workers, which exist only in the parent.
void reset_thread_pool_after_fork();

}  // namespace tenon::rt
