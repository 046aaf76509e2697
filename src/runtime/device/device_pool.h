#pragma once

/// Memory of one device, from the driver in blocks that are reused.
///
/// Asking the driver for memory or giving it back waits for the device, so that freed blocks are
/// kept, by size class (rt/size_class.h), each for the stream that it was used on: work on a stream
/// happens in order, so that a block may be reused there while its last user still runs.

#include <pthread.h>

#include <cstdint>

#include "runtime/rt/size_class.h"
#include "tenon/runtime/device.h"

namespace tenon::device {

struct Device;

struct DeviceBlock;

class DevicePool {
 public:
  /// At least `bytes` bytes, 256-byte aligned, for use on `stream`. `owner` names them in messages
  /// and is copied. When memory runs out, everything cached is given back, once; then E1126 with a
  /// table of who holds how much. The device's context is current.
  tenon_status allocate(Device& device, std::uint64_t bytes, const char* owner, void* stream,
                        void** out);
  /// Takes a block back, for its stream; for any when `is_idle`: nothing uses it any more. Null,
  /// and memory that is not the pool's, are ignored.
  void free(void* data, bool is_idle = false);
  /// Gives cached blocks back to the driver until at most `keep_bytes` are left. The device's
  /// context is current.
  void trim(Device& device, std::uint64_t keep_bytes);
  tenon_device_pool_stats stats();

 private:
  static constexpr std::uint32_t kNumBuckets = 1024;
  static std::uint32_t bucket_of(std::uint64_t address);
  DeviceBlock* take_cached(std::uint32_t size_class, void* stream);
  tenon_status out_of_memory(Device& device, std::uint64_t bytes, const char* owner);

  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
  DeviceBlock* live_[kNumBuckets] = {};            ///< by address
  DeviceBlock* cached_[rt::kNumSizeClasses] = {};  ///< the newest first
  tenon_device_pool_stats stats_ = {};
};

}  // namespace tenon::device
