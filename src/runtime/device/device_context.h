#pragma once

/// What a context has on its device: stream, bound launches, error records, graphs.

#include "runtime/device/device_model.h"
#include "runtime/device/graph_cache.h"
#include "runtime/rt/context.h"
#include "tenon/runtime/device.h"

namespace tenon::device {

/// A launch with what does not change between runs.
struct BoundLaunch {
  unsigned grid[3];  ///< 0: nothing is launched
  std::uint32_t params_begin;
  std::uint32_t repeats_begin;
};

/// `tenon_context::on_device`.
struct DeviceContext {
  Device* device = nullptr;
  Handle stream = nullptr;  ///< what runs enqueue on
  Handle own_stream = nullptr;
  bool is_async = false;        ///< the stream is the caller's: runs do not wait
  bool is_sync_always = false;  ///< TENON_CUDA_SYNC=1: waits after each step, names the kernel
  bool uses_graphs = true;
  bool has_graphs = false;  ///< nothing that the data decide: a run can be captured

  rt::Block<BoundLaunch> launches;
  rt::Block<std::uint32_t> launches_begin;            ///< of each step, and the end
  rt::Block<std::int64_t> values;                     ///< of all parameters
  rt::Block<void*> pointers;                          ///< to them, as the driver wants them
  rt::Block<plan_format::ErrorRecord> error_records;  ///< of each step, as read back
  rt::Block<void*> externs;        ///< of each step: what its routine prepared; null for others
  rt::Block<void*> addresses;      ///< of the arguments of a run
  std::uint64_t num_enqueued = 0;  ///< launches and copies of the last stepwise run
  void* errors = nullptr;          ///< of each step, on the device; null: no checks
  GraphCache graphs;
  tenon_device_run_stats stats = {};
};

/// The context's part, made if needed. The model is attached.
tenon_status get_device_context(tenon_context& context, DeviceContext** out);

/// Enqueues everything that a run does on `stream`. With `is_stepwise` it waits after each step.
tenon_status enqueue_steps(tenon_context& context, DeviceContext& on_device, Handle stream,
                           bool is_stepwise);
/// Prepares the routines of extern steps for the sizes that are bound, in place of what was
/// prepared before.
tenon_status bind_externs(tenon_context& context, DeviceContext& on_device);
void release_externs(const tenon_model& model, DeviceContext& on_device);
/// "'cublaslt.matmul' of 'net'".
void extern_subject(const tenon_model& model, std::uint32_t step, char* text, std::size_t bytes);
/// Waits for the last run; its errors, those of checked accesses included.
tenon_status wait_for_run(tenon_context& context, DeviceContext& on_device);

}  // namespace tenon::device
