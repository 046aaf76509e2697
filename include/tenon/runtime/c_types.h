#pragma once

#ifndef TENON_C_TYPES_H
#define TENON_C_TYPES_H

/// Types and constants of the C ABI. A model's generated header holds this text, so that a program
/// needs no other file; therefore an include guard beside the pragma.

#include <stdint.h>

#include "tenon/runtime/dlpack.h"
#include "tenon/runtime/kernel_abi.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TENON_C_API_VERSION_MAJOR 1
#define TENON_C_API_VERSION_MINOR 2

/// What went wrong, by who must act. TENON_OK is 0; new values may be added.
typedef enum tenon_status {
  TENON_OK = 0,
  TENON_ERROR_SHAPE =
      1,  ///< shape, rank, strides, overlap or alignment of an argument (ShapeError)
  TENON_ERROR_DTYPE = 2,   ///< dtype of an argument (DTypeError)
  TENON_ERROR_INDEX = 3,   ///< a data-dependent index was out of range (IndexError)
  TENON_ERROR_TARGET = 4,  ///< device of an argument (TargetError)
  TENON_ERROR_UNSUPPORTED =
      5,  ///< an opcode or version that this runtime does not have (UnsupportedError)
  TENON_ERROR_MODEL = 6,        ///< a malformed plan or library (ModelError)
  TENON_ERROR_RESOURCE = 7,     ///< memory, threads, files (ResourceError)
  TENON_ERROR_INTERRUPTED = 8,  ///< the interrupt flag was set; the results are unspecified
  TENON_ERROR_USAGE = 9,        ///< a null pointer, a busy context: a bug of the caller
} tenon_status;

/// A loaded model and the state of one call after another of it.
typedef struct tenon_model tenon_model;
typedef struct tenon_context tenon_context;

/// An input (0 .. inputs) or result (inputs ..): name (terminated, owned by the model), dtype,
/// rank.
typedef struct tenon_argument_info {
  const char* name;
  DLDataType dtype;
  int32_t rank;
} tenon_argument_info;

/// Counters of one context.
typedef struct tenon_context_stats {
  uint64_t runs;
  uint64_t binds;            ///< how often sizes were computed
  uint64_t workspace_bytes;  ///< held now
  uint64_t kernel_calls;
} tenon_context_stats;

/// A parallel loop of an application: runs `task` over [0, num_iterations) in disjoint ranges and
/// returns the first non-zero status.
typedef int32_t (*tenon_parallel_for_fn)(tenon_kernel_context* ctx, int64_t num_iterations,
                                         tenon_task_fn task, void* closure);

/// Counters of the memory pool.
typedef struct tenon_pool_stats {
  uint64_t requests;      ///< calls of tenon_pool_allocate
  uint64_t system_calls;  ///< of these, answered by new memory
  uint64_t live_bytes;
  uint64_t cached_bytes;
  uint64_t peak_bytes;  ///< most that was live and cached at once
} tenon_pool_stats;

#ifdef __cplusplus
}
#endif

#endif  // TENON_C_TYPES_H
