#pragma once

/// A GPU of this process: its properties, its context, its memory.

#include <pthread.h>

#include <atomic>
#include <cstdint>

#include "runtime/device/cuda_driver.h"
#include "runtime/device/device_pool.h"

namespace tenon::device {

/// **Memory model.** One for each device in use, made at the first use, kept until the process
/// ends; the primary context is shared with other CUDA libraries of the process. Everything but
/// `pool`, `cublaslt`, `lost` and the mutex is constant.
struct Device {
  const Driver* driver = nullptr;
  int number = 0;
  DeviceHandle handle = 0;
  Handle context = nullptr;
  Handle stream = nullptr;  ///< of copies; does not wait for the default stream
  char name[128] = {};
  int major = 0, minor = 0;  ///< compute capability
  int num_multiprocessors = 0;
  int max_threads = 0;  ///< of a block
  int max_block_z = 0;
  int max_grid[3] = {};
  int max_shared_bytes = 0;  ///< of a block, by opting in
  std::uint64_t total_bytes = 0;
  DevicePool pool;
  /// Held while a run is captured, and around calls that a capture on any thread may forbid.
  pthread_mutex_t capture_mutex = PTHREAD_MUTEX_INITIALIZER;
  Handle cublaslt = nullptr;               ///< made at first use, under capture_mutex; kept
  std::atomic<Result> lost{kCudaSuccess};  ///< what ended the context
  char lost_in[192] = {};                  ///< the plan or call that was told first
};

/// The device of this number. E1120 to E1122 where there is no driver, E1123 (TENON_ERROR_TARGET)
/// where there is no such device, E1128 where its context is lost.
tenon_status get_device(int number, Device** out);

/// E1128, TENON_ERROR_RESOURCE: nothing on this device works any more.
tenon_status lost_error(const Device& device);

/// TENON_OK for kCudaSuccess. Otherwise E1129 naming `call`, `subject` (a plan, an array) and the
/// driver's words; a sticky result marks the device as lost and gives E1128.
tenon_status check(Device& device, Result result, const char* call, const char* subject);

/// Waits for all work of the device, which is current, but not within a capture.
Result synchronize(Device& device);

/// Makes the device's context the current one of this thread for as long as this lives.
class CurrentContext {
 public:
  explicit CurrentContext(const Device& device) : driver_(*device.driver) {
    pushed_ = driver_.cuCtxPushCurrent(device.context) == kCudaSuccess;
  }
  ~CurrentContext() {
    Handle before = nullptr;
    if (pushed_) driver_.cuCtxPopCurrent(&before);
  }
  CurrentContext(const CurrentContext&) = delete;
  CurrentContext& operator=(const CurrentContext&) = delete;

 private:
  const Driver& driver_;
  bool pushed_;
};

class MutexLock {
 public:
  explicit MutexLock(pthread_mutex_t& mutex) : mutex_(mutex) { pthread_mutex_lock(&mutex_); }
  ~MutexLock() { pthread_mutex_unlock(&mutex_); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  pthread_mutex_t& mutex_;
};

}  // namespace tenon::device
