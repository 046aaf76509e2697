#include <string.h>

#include "runtime/device/device.h"
#include "runtime/rt/message.h"
#include "tenon/runtime/device.h"

namespace tenon::device {
namespace {

Address address_of(const void* data) { return reinterpret_cast<Address>(data); }

/// A copy with a device at one end or both.
struct CopyJob {
  void* to;
  const void* from;
  std::uint64_t bytes;
  Device* to_device;
  Device* from_device;
};

Result enqueue_copy(const Driver& driver, const CopyJob& job) {
  if (job.to_device == nullptr) {
    return driver.cuMemcpyDtoHAsync(job.to, address_of(job.from), job.bytes,
                                    job.from_device->stream);
  }
  if (job.from_device == nullptr)
    return driver.cuMemcpyHtoDAsync(address_of(job.to), job.from, job.bytes, job.to_device->stream);
  if (job.from_device == job.to_device) {
    return driver.cuMemcpyDtoDAsync(address_of(job.to), address_of(job.from), job.bytes,
                                    job.to_device->stream);
  }
  return driver.cuMemcpyPeerAsync(address_of(job.to), job.to_device->context, address_of(job.from),
                                  job.from_device->context, job.bytes, job.to_device->stream);
}

tenon_status wait_for(Device* device) {
  if (device == nullptr) return TENON_OK;
  const CurrentContext current(*device);
  return check(*device, synchronize(*device), "waiting", "a copy");
}

/// Runs the copy after everything that earlier calls enqueued, on whatever stream.
tenon_status run_copy(const CopyJob& job) {
  Device& device = job.to_device != nullptr ? *job.to_device : *job.from_device;
  tenon_status status = wait_for(job.to_device);
  if (status == TENON_OK && job.from_device != job.to_device) status = wait_for(job.from_device);
  if (status != TENON_OK) return status;
  const CurrentContext current(device);
  status = check(device, enqueue_copy(*device.driver, job), "cuMemcpyAsync", "a copy");
  if (status != TENON_OK) return status;
  return check(device, device.driver->cuStreamSynchronize(device.stream), "waiting", "a copy");
}

/// The device behind a DLPack device; null for the host.
tenon_status find(DLDevice device, Device** out) {
  *out = nullptr;
  if (device.device_type == kDLCPU || device.device_type == kDLCUDAHost) return TENON_OK;
  if (device.device_type == kDLCUDA) return get_device(device.device_id, out);
  return rt::fail(TENON_ERROR_TARGET, "E1123", "there is no support for DLPack device %d:%d",
                  static_cast<int>(device.device_type), static_cast<int>(device.device_id));
}

}  // namespace
}  // namespace tenon::device

using namespace tenon::device;  // NOLINT(google-build-using-namespace): the C functions below are
                                // this file's surface

extern "C" {

tenon_status tenon_device_count(int32_t* out) {
  const Driver* driver = nullptr;
  *out = 0;
  const tenon_status status = get_driver(&driver);
  if (status != TENON_OK) return status;
  int count = 0;
  driver->cuDeviceGetCount(&count);
  *out = count;
  return TENON_OK;
}

tenon_status tenon_device_get_info(int32_t number, tenon_device_info* out) {
  Device* device = nullptr;
  const tenon_status status = get_device(number, &device);
  if (status != TENON_OK) return status;
  *out = {};
  memcpy(out->name, device->name, sizeof(out->name));
  out->capability_major = device->major;
  out->capability_minor = device->minor;
  out->num_multiprocessors = device->num_multiprocessors;
  out->max_threads_per_block = device->max_threads;
  out->max_shared_bytes_per_block = device->max_shared_bytes;
  out->driver_version = device->driver->version;
  out->memory_bytes = device->total_bytes;
  return TENON_OK;
}

tenon_status tenon_device_allocate(int32_t number, uint64_t bytes, const char* owner, void** out) {
  Device* device = nullptr;
  const tenon_status status = get_device(number, &device);
  if (status != TENON_OK) return status;
  const CurrentContext current(*device);
  return device->pool.allocate(*device, bytes, owner, device->stream, out);
}

void tenon_device_free(int32_t number, void* data) {
  Device* device = nullptr;
  // A lost device has its memory no more.
  if (data != nullptr && get_device(number, &device) == TENON_OK) device->pool.free(data);
}

tenon_status tenon_device_copy(DLDevice to_device, void* to, DLDevice from_device, const void* from,
                               uint64_t bytes) {
  CopyJob job = {to, from, bytes, nullptr, nullptr};
  tenon_status status = find(to_device, &job.to_device);
  if (status == TENON_OK) status = find(from_device, &job.from_device);
  if (status != TENON_OK || bytes == 0) return status;
  if (job.to_device != nullptr || job.from_device != nullptr) return run_copy(job);
  memmove(to, from, bytes);
  return TENON_OK;
}

tenon_status tenon_device_synchronize(int32_t number) {
  Device* device = nullptr;
  const tenon_status status = get_device(number, &device);
  if (status != TENON_OK) return status;
  const CurrentContext current(*device);
  return check(*device, synchronize(*device), "waiting", "earlier work");
}

tenon_status tenon_device_trim_pool(int32_t number, uint64_t keep_bytes) {
  Device* device = nullptr;
  const tenon_status status = get_device(number, &device);
  if (status != TENON_OK) return status;
  const CurrentContext current(*device);
  device->pool.trim(*device, keep_bytes);
  return TENON_OK;
}

void tenon_device_get_pool_stats(int32_t number, tenon_device_pool_stats* out) {
  Device* device = nullptr;
  *out = {};
  if (get_device(number, &device) == TENON_OK) *out = device->pool.stats();
}

}  // extern "C"
