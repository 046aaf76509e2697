#pragma once

/// Routines of libraries that extern steps of plans call, by name. Each is one file and one row in
/// extern_routine.cpp; docs/design/extern.md explains them.

#include "runtime/device/device.h"

namespace tenon::device {

/// A step with its sizes. All pointers live as long as the call.
struct ExternProblem {
  Device* device;
  const char* subject;  ///< "'cublaslt.matmul' of 'net'", for messages
  const std::int64_t* sizes;
  std::uint32_t num_sizes;
  const std::int64_t* buffer_bytes;  ///< operands, then results
  std::uint32_t num_buffers;
  std::uint32_t num_operands;
  const char* attributes;
  std::uint32_t attribute_bytes;
  std::uint64_t workspace_bytes;
};

/// What a run hands over.
struct ExternRun {
  Device* device;
  const char* subject;
  void* const* buffers;  ///< addresses on the device
  void* workspace;
  Handle stream;
};

struct ExternRoutine {
  const char* name;
  /// At bind, never while a run is captured: checks everything, opens the library if need be, and
  /// makes what does not change between runs. Names of mistakes: E0907 for what no compiler writes.
  tenon_status (*prepare)(const ExternProblem& problem, void** state);
  /// Enqueues the work; no allocation, no waiting. It may be captured.
  tenon_status (*enqueue)(void* state, const ExternRun& run);
  /// Null is allowed. The context is current.
  void (*destroy)(void* state);
};

/// Null where this runtime has no such routine.
const ExternRoutine* find_routine(const char* name, std::size_t length);

/// E0907 about a step that no compiler writes.
tenon_status damaged_extern(const ExternProblem& problem, const char* what);

/// A product by cuBLASLt; extern_format.h.
extern const ExternRoutine kMatmulRoutine;

}  // namespace tenon::device
