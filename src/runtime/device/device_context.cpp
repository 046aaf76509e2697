#include "runtime/device/device_context.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/rt/device_part.h"
#include "runtime/rt/message.h"

namespace tenon::device {
namespace {

using namespace plan_format;  // NOLINT(google-build-using-namespace): this file is about these
                              // records
using rt::fail;

bool is_set(const char* variable, const char* value) {
  const char* text = getenv(variable);
  return text != nullptr && strcmp(text, value) == 0;
}

bool has_checks(const tenon_model& m) {
  for (const ParamRecord& p : m.params) {
    if (static_cast<ParamKind>(p.kind) == ParamKind::kError) return true;
  }
  return false;
}

bool allocate_blocks(const tenon_model& m, DeviceContext& x) {
  return x.launches.allocate(m.launches.size()) && x.launches_begin.allocate(m.steps.size() + 1) &&
         x.values.allocate(m.params.size()) && x.pointers.allocate(m.params.size()) &&
         x.error_records.allocate(has_checks(m) ? m.steps.size() : 0) &&
         x.externs.allocate(m.externs.size() != 0 ? m.steps.size() : 0) &&
         x.addresses.allocate(m.arguments.size()) && x.graphs.allocate(m.arguments.size());
}

/// Where each step's launches begin; parameters by address.
void link(const tenon_model& m, DeviceContext& x) {
  std::uint32_t next = 0;
  for (std::size_t i = 0; i < m.steps.size(); ++i) {
    x.launches_begin[i] = next;
    while (next < m.launches.size() && m.launches[next].step == i) ++next;
  }
  x.launches_begin[m.steps.size()] = next;
  for (std::size_t i = 0; i < x.values.size(); ++i) x.pointers[i] = &x.values[i];
}

tenon_status allocate_on_device(const tenon_model& m, DeviceContext& x) {
  Device& d = *x.device;
  const CurrentContext current(d);
  char plan[64];
  snprintf(plan, sizeof(plan), "%.*s", TENON_PLAN_STRING(&m, m.info.name));
  tenon_status status =
      check(d, d.driver->cuStreamCreate(&x.own_stream, kStreamNonBlocking), "cuStreamCreate", plan);
  x.stream = x.own_stream;
  if (status == TENON_OK && x.error_records.size() != 0) {
    status = d.pool.allocate(d, x.error_records.size() * sizeof(ErrorRecord), plan, x.own_stream,
                             &x.errors);
  }
  return status;
}

void destroy(const tenon_model& m, DeviceContext* x) {
  Device& d = *x->device;
  if (d.lost.load() == kCudaSuccess) {
    const CurrentContext current(d);
    d.driver->cuStreamSynchronize(x->stream);
    x->graphs.clear(*d.driver);
    release_externs(m, *x);
    d.pool.free(x->errors, true);
    if (x->own_stream != nullptr) d.driver->cuStreamDestroy(x->own_stream);
  }
  rt::free_object(x);
}

tenon_status usage_error(const char* function, const char* what) {
  return fail(TENON_ERROR_USAGE, "E1006", "%s: %s", function, what);
}

/// The context's part, for functions of the C ABI.
tenon_status find(tenon_context* context, const char* function, DeviceContext** out) {
  if (context == nullptr || !rt::is_on_device(*context->model))
    return usage_error(function, "not a context of a plan for a device");
  const tenon_status status = rt::attach_device(*context->model);
  return status == TENON_OK ? get_device_context(*context, out) : status;
}

}  // namespace

tenon_status get_device_context(tenon_context& c, DeviceContext** out) {
  *out = static_cast<DeviceContext*>(c.on_device);
  if (*out != nullptr) return TENON_OK;
  DeviceContext* x = rt::make_object<DeviceContext>();
  if (x == nullptr || !allocate_blocks(*c.model, *x)) {
    rt::free_object(x);
    return fail(TENON_ERROR_RESOURCE, "E1001", "out of memory for a context");
  }
  x->device = device_model(*c.model).device;
  x->uses_graphs = !is_set("TENON_CUDA_GRAPHS", "0");
  x->is_sync_always = is_set("TENON_CUDA_SYNC", "1");
  link(*c.model, *x);
  const tenon_status status = allocate_on_device(*c.model, *x);
  if (status != TENON_OK) {
    destroy(*c.model, x);
    return status;
  }
  c.on_device = x;
  *out = x;
  return TENON_OK;
}

}  // namespace tenon::device

namespace tenon::rt {

void release_device_context(tenon_context& c) {
  auto* x = static_cast<device::DeviceContext*>(c.on_device);
  if (x == nullptr) return;
  device::Device& d = *x->device;
  c.on_device = nullptr;
  device::destroy(*c.model, x);
  d.pool.free(c.workspace, true);
  c.workspace = nullptr;
}

}  // namespace tenon::rt

using namespace tenon::device;  // NOLINT(google-build-using-namespace): the C functions below are
                                // this file's surface

extern "C" {

tenon_status tenon_context_set_stream(tenon_context* context, void* stream) {
  DeviceContext* x = nullptr;
  tenon_status status = find(context, "tenon_context_set_stream", &x);
  if (status != TENON_OK) return status;
  const CurrentContext current(*x->device);
  if (x->is_async) status = wait_for_run(*context, *x);
  if (status != TENON_OK) return status;
  x->is_async = stream != nullptr;
  x->stream = stream != nullptr ? stream : x->own_stream;
  return TENON_OK;
}

tenon_status tenon_context_synchronize(tenon_context* context) {
  DeviceContext* x = nullptr;
  const tenon_status status = find(context, "tenon_context_synchronize", &x);
  if (status != TENON_OK) return status;
  const CurrentContext current(*x->device);
  return wait_for_run(*context, *x);
}

tenon_status tenon_context_set_graphs(tenon_context* context, int32_t is_on) {
  DeviceContext* x = nullptr;
  const tenon_status status = find(context, "tenon_context_set_graphs", &x);
  if (status == TENON_OK) x->uses_graphs = is_on != 0;
  return status;
}

void tenon_context_get_device_stats(const tenon_context* context, tenon_device_run_stats* out) {
  *out = {};
  if (context != nullptr && context->on_device != nullptr)
    *out = static_cast<const DeviceContext*>(context->on_device)->stats;
}

}  // extern "C"
