#pragma once

/// Times of the steps of a plan. Part of the C ABI.

#include "tenon/runtime/c_api.h"

#ifdef __cplusplus
extern "C" {
#endif

/// What one step took, summed over the runs of a context.
typedef struct tenon_step_times {
  uint64_t calls;
  uint64_t nanoseconds;
} tenon_step_times;

/// Number of steps of the model's plan: kernel calls, copies, branches and loops.
TENON_API int32_t tenon_model_num_steps(const tenon_model* model);
/// From now on each run of the context adds the times of its kernel calls and copies to `times`
/// (`num_steps` of them, the caller's, which outlive the runs); branches and loops themselves count
/// nothing. Null stops that: runs then have no clock in them. TENON_ERROR_USAGE when the context is
/// in use or `num_steps` is not that of the model.
TENON_API tenon_status tenon_context_set_times(tenon_context* context, tenon_step_times* times,
                                               int32_t num_steps);

#ifdef __cplusplus
}
#endif
