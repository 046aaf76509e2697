#pragma once

#include "tenon/ir/stmt.h"

namespace tenon {

/// The body of a block whose annotations say that its stores are more than stores:
///   "async_copy": values stored to shared memory become `async_copy(value)`; a choice between a
///   load and zero becomes a load with a predicate.
///   "thread_reduction" (see unify_threads.h): the stored value becomes `thread_reduction(value,
///   threads)`, for the pass lower_thread_reductions.
/// The calls stand around the values because every pass keeps a value, and blocks end here.
Stmt mark_device_stores(const BlockNode& block);

/// Annotation of a block that copies from global to shared memory.
inline constexpr const char* kAsyncCopyBlock = "async_copy";

}  // namespace tenon
