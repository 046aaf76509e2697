#pragma once

/// The C ABI of Tenon's runtime, version 1.2. C99; links libc, libm and pthread only.
///
/// **Memory model.** A `tenon_model` is immutable and may be used by many threads; a
/// `tenon_context` belongs to one call at a time. Handles are counted or owned as each function
/// says. Array data always belongs to the caller.
///
/// **Errors.** Functions that can fail return a `tenon_status`; `tenon_last_error()` then has the
/// text for this thread, whose first line ends with a stable code such as `[E0451]`. Nothing is
/// thrown and nothing aborts.

#include <stdint.h>

#include "tenon/runtime/c_types.h"
#include "tenon/runtime/model_descriptor.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(TENON_RUNTIME_EXPORT) && defined(__GNUC__)
#define TENON_API __attribute__((visibility("default")))
#else
#define TENON_API
#endif

/// Text of this thread's last failure, "" if none; valid until this thread's next call into the
/// runtime.
TENON_API const char* tenon_last_error(void);
/// (major << 16) | minor of the library that is linked.
TENON_API uint32_t tenon_runtime_version(void);

/* ---- models ---- */

/// What a plan in memory is loaded with.
typedef struct tenon_load_options {
  uint64_t struct_bytes;           ///< sizeof(tenon_load_options)
  const tenon_kernel_fn* kernels;  ///< one for each kernel of the plan, in its order; copied
  uint64_t num_kernels;
  const void* const* constants;  ///< for each constant its memory, or null where embedded; the
                                 ///< memory must outlive the model
  uint64_t num_constants;
  const void* data;  ///< the block of embedded constants, where it is not in the plan; it must
                     ///< outlive the model; null: in the plan
  uint64_t data_bytes;
  int32_t device_id;  ///< for a plan on a device: which one, in the driver's order
} tenon_load_options;

/// Loads a plan. Its tables are copied. Embedded constants are used in place where the plan has
/// their alignment (4096 bytes always do; then `plan` must outlive the model) and copied otherwise.
/// Every byte of the plan and of embedded constants is under a checksum, which is verified.
TENON_API tenon_status tenon_model_load_memory(const void* plan, uint64_t plan_bytes,
                                               const tenon_load_options* options,
                                               tenon_model** out);
/// Opens a shared library and loads model `name` from it, at the best level that this CPU runs
/// (TENON_ERROR_TARGET where it runs none). The library stays open while the model lives.
TENON_API tenon_status tenon_model_load(const char* path, const char* name, tenon_model** out);
/// The same at a certain level, such as "x86-64-v3"; null: the best.
TENON_API tenon_status tenon_model_load_level(const char* path, const char* name, const char* level,
                                              tenon_model** out);
/// Loads a model that is linked into the program, from its descriptor.
TENON_API tenon_status tenon_model_load_descriptor(const tenon_model_descriptor* descriptor,
                                                   const char* level, tenon_model** out);
/// The level that was chosen; "" for a model loaded from memory.
TENON_API const char* tenon_model_level(const tenon_model* model);
/// Models are counted: loading gives one count, each context holds one.
TENON_API void tenon_model_retain(tenon_model* model);
TENON_API void tenon_model_release(tenon_model* model);

TENON_API int32_t tenon_model_num_inputs(const tenon_model* model);
TENON_API int32_t tenon_model_num_results(const tenon_model* model);

TENON_API tenon_status tenon_model_argument(const tenon_model* model, int32_t index,
                                            tenon_argument_info* out);

/* ---- running ---- */

TENON_API tenon_status tenon_context_create(tenon_model* model, tenon_context** out);
TENON_API void tenon_context_destroy(tenon_context* context);

/// Checks the inputs and computes every size. Nothing is computed again while shapes and the number
/// of threads stay as they are.
TENON_API tenon_status tenon_context_bind(tenon_context* context, const DLTensor* inputs,
                                          int32_t num_inputs);
/// Shape and dtype of result `index` for the inputs bound last: `data` null, strides null
/// (row-major) unless declared; shape and strides belong to the context and hold until its next
/// bind.
TENON_API tenon_status tenon_context_result(const tenon_context* context, int32_t index,
                                            DLTensor* out);
/// Runs the plan: binds if needed, then computes the results into the given arrays. Allocates
/// nothing when the shapes are those of the call before. After a failure the arrays of the results
/// are unspecified; after a failed check they are untouched.
TENON_API tenon_status tenon_context_run(tenon_context* context, const DLTensor* inputs,
                                         int32_t num_inputs, const DLTensor* results,
                                         int32_t num_results);

TENON_API void tenon_context_get_stats(const tenon_context* context, tenon_context_stats* out);

/* ---- threads ---- */

/* Libraries with a runtime of their own share the thread pool of the one that ran a parallel loop
 * or set the number of threads first; these functions reach that one. */

/// Threads that one parallel loop uses, the caller's included; 0 restores the default: CPUs that
/// affinity and cgroup allow, or the environment's TENON_NUM_THREADS. TENON_ERROR_USAGE inside a
/// parallel loop or for a negative or huge number.
TENON_API tenon_status tenon_set_num_threads(int32_t num_threads);
TENON_API int32_t tenon_get_num_threads(void);
/// What 0 means for tenon_set_num_threads on this machine.
TENON_API int32_t tenon_default_num_threads(void);
/// Stops the workers; the next parallel loop starts them again.
TENON_API void tenon_stop_threads(void);

/// Runs parallel loops of every plan by `parallel_for` instead (null restores the pool), so that an
/// application can use its own threads. Worker numbers must stay below ctx->num_workers, and two
/// running tasks of a loop must not share one.
TENON_API void tenon_set_parallel_for(tenon_parallel_for_fn parallel_for);
/// The pool's own implementation of tenon_kernel_context.parallel_for.
TENON_API int32_t tenon_parallel_for(tenon_kernel_context* ctx, int64_t num_iterations,
                                     tenon_task_fn task, void* closure);

/// Stops calls that run now, at the next chunk of a parallel loop or the next step of a plan; they
/// return TENON_ERROR_INTERRUPTED. Does nothing when none runs. Safe in a signal handler.
TENON_API void tenon_interrupt(void);

/* ---- memory ---- */

/// At least `bytes` bytes, 64-byte aligned (2 MiB aligned and with huge pages from 2 MiB on), from
/// a bounded cache of freed blocks. Null when memory runs out.
TENON_API void* tenon_pool_allocate(uint64_t bytes);
/// Returns a block; null is ignored.
TENON_API void tenon_pool_free(void* data);
/// Gives cached blocks back to the system until at most `keep_bytes` remain.
TENON_API void tenon_pool_trim(uint64_t keep_bytes);
/// Bound of the cache; the default is 256 MiB.
TENON_API void tenon_pool_set_limit(uint64_t bytes);

TENON_API void tenon_pool_get_stats(tenon_pool_stats* out);

#ifdef __cplusplus
}
#endif
