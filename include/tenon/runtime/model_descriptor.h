#pragma once

/// What a library says of a model that it holds: the levels of instruction sets, each with a plan
/// and kernels, and the weights that all of them read. Plain C, versioned.

#include <stdint.h>

#include "tenon/runtime/kernel_abi.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TENON_DESCRIPTOR_VERSION 2

/// The code for one level of instruction sets.
typedef struct tenon_level_descriptor {
  const char* name;       ///< "x86-64-v3", or LLVM's name of a CPU
  uint64_t cpu_features;  ///< what the code may use; bits in the order of runtime/cpu_features.def
  const void* plan;
  uint64_t plan_bytes;
  const tenon_kernel_fn* kernels;  ///< one for each kernel of the plan, in its order
  uint64_t num_kernels;
} tenon_level_descriptor;

/// What a library exports for each model, as `tenon_model_<name>`.
typedef struct tenon_model_descriptor {
  uint32_t version;             ///< TENON_DESCRIPTOR_VERSION
  uint32_t kernel_abi_version;  ///< TENON_KERNEL_ABI_VERSION
  const char* name;
  const tenon_level_descriptor* levels;  ///< the best first
  uint64_t num_levels;
  const void* weights;  ///< the block that plans find their constants in; null: in the plans
  uint64_t weights_bytes;
} tenon_model_descriptor;

#ifdef __cplusplus
}
#endif
