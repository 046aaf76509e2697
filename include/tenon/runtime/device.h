#pragma once

/// GPUs: devices, their memory, and plans on their streams. Part of the C ABI; libraries for the
/// CPU do not have it.
///
/// **Memory model.** Memory belongs to who allocated it. Functions that copy return when the copy
/// is done. A device whose context was lost (an illegal address in a kernel) answers every later
/// call with TENON_ERROR_RESOURCE [E1128].

#include "tenon/runtime/c_api.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tenon_device_info {
  char name[128];
  int32_t capability_major; /* compute capability */
  int32_t capability_minor;
  int32_t num_multiprocessors;
  int32_t max_threads_per_block;
  int32_t max_shared_bytes_per_block; /* by opting in */
  int32_t driver_version;             /* 12040 for CUDA 12.4 */
  uint64_t memory_bytes;
} tenon_device_info;

/// Counters of the memory pool of a device.
typedef struct tenon_device_pool_stats {
  uint64_t requests;
  uint64_t driver_calls; /* of these, answered by new memory */
  uint64_t live_bytes;
  uint64_t cached_bytes;
  uint64_t peak_bytes; /* most that was live and cached at once */
} tenon_device_pool_stats;

/// Number of devices. TENON_ERROR_RESOURCE [E1120, E1121, E1122] where the driver is missing, too
/// old, or does not start.
TENON_API tenon_status tenon_device_count(int32_t* out);
/// TENON_ERROR_TARGET [E1123] for a device that is not there.
TENON_API tenon_status tenon_device_get_info(int32_t device, tenon_device_info* out);

/// At least `bytes` bytes of device memory, 256-byte aligned, from a pool. `owner` names them in
/// the table that TENON_ERROR_RESOURCE [E1126] shows when memory runs out.
TENON_API tenon_status tenon_device_allocate(int32_t device, uint64_t bytes, const char* owner,
                                             void** out);
/// Returns a block; null is ignored. Work that uses it has ended.
TENON_API void tenon_device_free(int32_t device, void* data);
/// Copies between host (kDLCPU) and devices (kDLCUDA), in any direction, after all work that was
/// enqueued by calls that have returned.
TENON_API tenon_status tenon_device_copy(DLDevice to_device, void* to, DLDevice from_device,
                                         const void* from, uint64_t bytes);
/// Waits for all work of the device.
TENON_API tenon_status tenon_device_synchronize(int32_t device);
/// Gives cached blocks back to the driver until at most `keep_bytes` remain.
TENON_API tenon_status tenon_device_trim_pool(int32_t device, uint64_t keep_bytes);
/// Zeros for a device that is not in use.
TENON_API void tenon_device_get_pool_stats(int32_t device, tenon_device_pool_stats* out);

/// Where arguments and results of the model are.
TENON_API DLDevice tenon_model_device(const tenon_model* model);
/// Runs of the context enqueue their work on this stream (a CUstream of the model's device, the
/// caller's, which outlives the context) and return without waiting; arguments are ready on it.
/// What went wrong is said by tenon_context_synchronize or a later call. Null: a stream of the
/// context's own, and runs return when the results are there.
TENON_API tenon_status tenon_context_set_stream(tenon_context* context, void* stream);
/// Waits for the runs of the context; the errors of the last one.
TENON_API tenon_status tenon_context_synchronize(tenon_context* context);
/// Whether runs are captured as graphs and replayed; on unless the environment has
/// TENON_CUDA_GRAPHS=0.
TENON_API tenon_status tenon_context_set_graphs(tenon_context* context, int32_t is_on);

/// Counters of a context on a device.
typedef struct tenon_device_run_stats {
  uint64_t launches; /* kernels and routines of libraries, launched one by one */
  uint64_t graph_captures;
  uint64_t graph_launches; /* runs that were one launch of a graph */
} tenon_device_run_stats;
TENON_API void tenon_context_get_device_stats(const tenon_context* context,
                                              tenon_device_run_stats* out);

#ifdef __cplusplus
}
#endif
