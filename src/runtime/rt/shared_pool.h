#pragma once

/// One thread pool for all runtimes of a process.
///
/// Each library made ahead of time has a runtime with hidden symbols. The first one that needs
/// threads publishes its pool in the word `tenon_thread_pool_v1`; the others call that one. The
/// word is a unique symbol: the dynamic linker gives all libraries one address, also those that
/// were opened with RTLD_LOCAL. Libraries that hold it are never unloaded.

#include <cstdint>

#include "tenon/runtime/c_api.h"

namespace tenon::rt {

/// What a runtime publishes. A change of meaning, or of tenon_kernel_context, takes a new word
/// (`_v2`); new members go to the end.
struct SharedPool {
  std::uint64_t struct_bytes;
  tenon_parallel_for_fn parallel_for;
  /// False inside a parallel loop; the number is valid.
  bool (*set_num_threads)(std::int32_t num_threads);
  std::int32_t (*get_num_threads)();
  void (*stop_threads)();
  void (*set_parallel_for)(tenon_parallel_for_fn parallel_for);
};

/// This runtime's own.
extern const SharedPool kOwnPool;

}  // namespace tenon::rt
