#pragma once

#ifndef TENON_KERNEL_ABI_H
#define TENON_KERNEL_ABI_H

/// What compiled kernels and the runtime agree on. Plain C, versioned by TENON_KERNEL_ABI_VERSION.
///
/// **Memory model.** A kernel reads and writes only the buffers that it is given and `workspace`;
/// it keeps nothing between calls and may run on any thread. `parallel_for` calls back with
/// disjoint ranges and returns when all are done.

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TENON_KERNEL_ABI_VERSION 1

/// Status of a kernel or task: 0 is success.
enum tenon_kernel_status {
  TENON_KERNEL_OK = 0,
  TENON_KERNEL_INDEX_ERROR = 1,    ///< details in `index_error`
  TENON_KERNEL_INTERRUPTED = 2,    ///< `interrupt` was set; the outputs are unspecified
  TENON_KERNEL_ASSERT_FAILED = 3,  ///< details in `index_error.site`
};

/// The first data-dependent index that was out of range in a call. `site` numbers the checked
/// access in the kernel; its buffer, axis and source line are in the kernel's metadata.
typedef struct tenon_index_error {
  int32_t site;
  int32_t reserved;
  int64_t value;   ///< the index
  int64_t extent;  ///< the axis' size
} tenon_index_error;

struct tenon_kernel_context;
/// Runs iterations [begin, end) of a parallel loop. `worker` is in [0, num_workers).
typedef int32_t (*tenon_task_fn)(struct tenon_kernel_context* ctx, void* closure, int64_t begin,
                                 int64_t end, int32_t worker);

typedef struct tenon_kernel_context {
  /// Runs `task` over [0, num_iterations), in chunks, on up to num_workers threads; returns the
  /// first non-zero status.
  int32_t (*parallel_for)(struct tenon_kernel_context* ctx, int64_t num_iterations,
                          tenon_task_fn task, void* closure);
  /// Scratch memory, 64-byte aligned: `shared_bytes` first, then `worker_bytes` for each worker.
  void* workspace;
  int32_t num_workers;
  /// Set to 1 by the first failing check with compare-and-swap; then `index_error` is valid.
  int32_t error_claimed;
  tenon_index_error index_error;
  /// Becomes non-zero when the call should stop at the next chunk (Ctrl-C). May be null.
  const volatile int32_t* interrupt;
  void* runtime_data;  ///< the runtime's own (pool)
} tenon_kernel_context;

/// A compiled kernel: data pointers in parameter order, then the sizes of the function's symbols in
/// their order.
typedef int32_t (*tenon_kernel_fn)(tenon_kernel_context* ctx, void* const* buffers,
                                   const int64_t* sizes);

#ifdef __cplusplus
}
#endif

#endif  // TENON_KERNEL_ABI_H
