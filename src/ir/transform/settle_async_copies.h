#pragma once

#include "tenon/ir/function.h"

namespace tenon {

/// Requires: loop IR without vectorized loops. Does: keeps `async_copy(load)` where the hardware
/// can copy the elements at once: 4, 8 or 16 bytes, contiguous, aligned to their number in both
/// buffers (proved), from global to shared memory, with one predicate for all. Everything else
/// becomes a plain load and store, which the waits and barriers around order as well; the
/// function's attribute "plain_copies" then names the shared buffers and the reasons, "; " between.
/// Ensures: the argument of every `async_copy` is a load. Why here: lanes are known after
/// vectorizing.
Function settle_async_copies(const Function& f);

inline constexpr const char* kPlainCopies = "plain_copies";

}  // namespace tenon
