#include "runtime/device/device.h"

#include <stdio.h>

#include "runtime/rt/block.h"
#include "runtime/rt/message.h"

namespace tenon::device {
namespace {

using rt::fail;

constexpr int kMaxDevices = 64;
pthread_mutex_t devices_mutex = PTHREAD_MUTEX_INITIALIZER;
constinit std::atomic<Device*> devices[kMaxDevices] = {};

tenon_status no_such_device(int number, int count) {
  return fail(TENON_ERROR_TARGET, "E1123",
              "there is no device cuda:%d: this machine has %d\n  hint: use cuda:0 to cuda:%d",
              number, count, count - 1);
}

/// Properties and context.
Result fill(Device& d) {
  const Driver& driver = *d.driver;
  std::size_t bytes = 0;
  Result result = driver.cuDeviceGet(&d.handle, d.number);
  if (result == kCudaSuccess) result = driver.cuDeviceGetName(d.name, sizeof(d.name), d.handle);
  if (result == kCudaSuccess) result = driver.cuDeviceTotalMem(&bytes, d.handle);
  d.total_bytes = bytes;
  const struct {
    int* value;
    int attribute;
  } attributes[] = {{&d.major, kCapabilityMajor},
                    {&d.minor, kCapabilityMinor},
                    {&d.num_multiprocessors, kNumMultiprocessors},
                    {&d.max_threads, kMaxThreadsPerBlock},
                    {&d.max_block_z, kMaxBlockZ},
                    {&d.max_grid[0], kMaxGridX},
                    {&d.max_grid[1], kMaxGridY},
                    {&d.max_grid[2], kMaxGridZ},
                    {&d.max_shared_bytes, kMaxSharedBytesOptIn}};
  for (const auto& a : attributes) {
    if (result == kCudaSuccess)
      result = driver.cuDeviceGetAttribute(a.value, a.attribute, d.handle);
  }
  if (result == kCudaSuccess) result = driver.cuDevicePrimaryCtxRetain(&d.context, d.handle);
  if (result != kCudaSuccess) return result;
  const CurrentContext current(d);
  result = driver.cuStreamCreate(&d.stream, kStreamNonBlocking);
  if (result != kCudaSuccess) driver.cuDevicePrimaryCtxRelease(d.handle);
  return result;
}

tenon_status make_device(const Driver& driver, int number, Device** out) {
  int count = 0;
  Result result = driver.cuDeviceGetCount(&count);
  if (result == kCudaSuccess && number >= count) return no_such_device(number, count);
  Device* device = rt::make_object<Device>();
  if (device == nullptr) return fail(TENON_ERROR_RESOURCE, "E1001", "out of memory for a device");
  device->driver = &driver;
  device->number = number;
  if (result == kCudaSuccess) result = fill(*device);
  if (result != kCudaSuccess) {
    char text[256];
    driver.describe(result, text, sizeof(text));
    rt::free_object(device);
    return fail(TENON_ERROR_RESOURCE, "E1122",
                "cuda:%d cannot be used: %s\n  hint: check nvidia-smi%s", number, text,
                result == kCudaNotInitialized ? "; a forked child cannot use CUDA" : "");
  }
  *out = device;
  return TENON_OK;
}

}  // namespace

tenon_status get_device(int number, Device** out) {
  if (number < 0 || number >= kMaxDevices) {
    return fail(TENON_ERROR_TARGET, "E1123", "there is no device cuda:%d", number);
  }
  Device* device = devices[number].load(std::memory_order_acquire);
  if (device == nullptr) {
    const Driver* driver = nullptr;
    tenon_status status = get_driver(&driver);
    if (status != TENON_OK) return status;
    const MutexLock lock(devices_mutex);
    device = devices[number].load(std::memory_order_relaxed);
    if (device == nullptr) status = make_device(*driver, number, &device);
    if (status != TENON_OK) return status;
    devices[number].store(device, std::memory_order_release);
  }
  *out = device;
  return device->lost.load(std::memory_order_acquire) == kCudaSuccess ? TENON_OK
                                                                      : lost_error(*device);
}

Result synchronize(Device& d) {
  const MutexLock lock(d.capture_mutex);
  return d.driver->cuCtxSynchronize();
}

tenon_status lost_error(const Device& d) {
  char text[256];
  d.driver->describe(d.lost.load(), text, sizeof(text));
  return fail(TENON_ERROR_RESOURCE, "E1128",
              "cuda:%d is lost since %s failed with %s: nothing on it can be used in this "
              "process\n  hint: start a new process; TENON_CUDA_SYNC=1 names the kernel, "
              "compute-sanitizer the address",
              d.number, d.lost_in, text);
}

tenon_status check(Device& d, Result result, const char* call, const char* subject) {
  if (result == kCudaSuccess) return TENON_OK;
  if (is_sticky(result)) {
    const MutexLock lock(devices_mutex);
    if (d.lost.load() == kCudaSuccess) {
      snprintf(d.lost_in, sizeof(d.lost_in), "%s", subject);
      d.lost.store(result, std::memory_order_release);
    }
    return lost_error(d);
  }
  if (d.lost.load() != kCudaSuccess) return lost_error(d);
  char text[256];
  d.driver->describe(result, text, sizeof(text));
  return fail(TENON_ERROR_RESOURCE, "E1129", "%s: %s on cuda:%d failed: %s%s", subject, call,
              d.number, text,
              result == kCudaNotInitialized ? "\n  hint: a forked child cannot use CUDA" : "");
}

}  // namespace tenon::device
