#include "runtime/device/device_pool.h"

#include <stdio.h>
#include <string.h>

#include "runtime/device/device.h"
#include "runtime/rt/block.h"
#include "runtime/rt/message.h"

namespace tenon::device {

struct DeviceBlock {
  Address address;
  std::uint64_t bytes;
  std::uint32_t size_class;
  void* stream;       ///< of a cached block: null for any
  DeviceBlock* next;  ///< of its bucket or class
  char owner[64];
};

namespace {

constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << 46;

/// What one owner holds.
struct Holder {
  const char* owner;
  std::uint64_t bytes;
  std::uint64_t count;
};

constexpr int kMaxHolders = 64;
constexpr int kMaxRows = 8;

void add_block(Holder* holders, int& num_holders, const DeviceBlock& block) {
  for (int i = 0; i < num_holders; ++i) {
    if (strcmp(holders[i].owner, block.owner) != 0) continue;
    holders[i].bytes += block.bytes;
    ++holders[i].count;
    return;
  }
  if (num_holders < kMaxHolders) {
    holders[num_holders++] = {block.owner, block.bytes, 1};
  } else {
    holders[kMaxHolders - 1].owner = "others";
    holders[kMaxHolders - 1].bytes += block.bytes;
    ++holders[kMaxHolders - 1].count;
  }
}

void sort_by_bytes(Holder* holders, int count) {
  for (int i = 1; i < count; ++i) {
    for (int k = i; k > 0 && holders[k - 1].bytes < holders[k].bytes; --k) {
      const Holder h = holders[k];
      holders[k] = holders[k - 1];
      holders[k - 1] = h;
    }
  }
}

Result allocate_memory(Device& device, std::uint64_t bytes, Address* address) {
  const MutexLock lock(device.capture_mutex);
  return device.driver->cuMemAlloc(address, bytes);
}

double mebibytes(std::uint64_t bytes) {
  return static_cast<double>(bytes) / static_cast<double>(1 << 20);
}

}  // namespace

std::uint32_t DevicePool::bucket_of(std::uint64_t address) {
  return static_cast<std::uint32_t>((address >> 8) * 0x9e3779b97f4a7c15ull >> 54);
}

DeviceBlock* DevicePool::take_cached(std::uint32_t size_class, void* stream) {
  for (DeviceBlock** at = &cached_[size_class]; *at != nullptr; at = &(*at)->next) {
    DeviceBlock* block = *at;
    if (block->stream != stream && block->stream != nullptr) continue;
    *at = block->next;
    stats_.cached_bytes -= block->bytes;
    return block;
  }
  return nullptr;
}

tenon_status DevicePool::allocate(Device& device, std::uint64_t bytes, const char* owner,
                                  void* stream, void** out) {
  // A multiple of 256 keeps blocks of the driver's own alignment.
  const std::uint64_t wanted = bytes < 256 ? 256 : bytes;
  if (wanted > kMaxBytes) return out_of_memory(device, bytes, owner);
  const rt::SizeClass size = rt::size_class_of(wanted);
  DeviceBlock* block = nullptr;
  {
    const MutexLock lock(mutex_);
    ++stats_.requests;
    block = take_cached(size.index, stream);
    if (block == nullptr) ++stats_.driver_calls;
  }
  if (block == nullptr) {
    block = rt::make_object<DeviceBlock>();
    if (block == nullptr)
      return rt::fail(TENON_ERROR_RESOURCE, "E1001", "out of memory for a block of a device");
    block->bytes = size.bytes;
    block->size_class = size.index;
    Result result = allocate_memory(device, size.bytes, &block->address);
    if (result == kCudaOutOfMemory) {
      trim(device, 0);  // what is cached may be what is missing
      result = allocate_memory(device, size.bytes, &block->address);
    }
    if (result != kCudaSuccess) {
      rt::free_object(block);
      return result == kCudaOutOfMemory ? out_of_memory(device, bytes, owner)
                                        : check(device, result, "cuMemAlloc", owner);
    }
  }
  block->stream = stream;
  snprintf(block->owner, sizeof(block->owner), "%s", owner);
  const MutexLock lock(mutex_);
  stats_.live_bytes += block->bytes;
  const std::uint64_t held = stats_.live_bytes + stats_.cached_bytes;
  if (held > stats_.peak_bytes) stats_.peak_bytes = held;
  DeviceBlock*& bucket = live_[bucket_of(block->address)];
  block->next = bucket;
  bucket = block;
  *out = reinterpret_cast<void*>(block->address);
  return TENON_OK;
}

void DevicePool::free(void* data, bool is_idle) {
  if (data == nullptr) return;
  const Address address = reinterpret_cast<Address>(data);
  const MutexLock lock(mutex_);
  for (DeviceBlock** at = &live_[bucket_of(address)]; *at != nullptr; at = &(*at)->next) {
    DeviceBlock* block = *at;
    if (block->address != address) continue;
    *at = block->next;
    stats_.live_bytes -= block->bytes;
    stats_.cached_bytes += block->bytes;
    if (is_idle) block->stream = nullptr;
    block->next = cached_[block->size_class];
    cached_[block->size_class] = block;
    return;
  }
}

void DevicePool::trim(Device& device, std::uint64_t keep_bytes) {
  DeviceBlock* chain = nullptr;
  {
    const MutexLock lock(mutex_);
    // The largest first: few calls give much back.
    for (std::uint32_t i = rt::kNumSizeClasses; i-- > 0;) {
      while (cached_[i] != nullptr && stats_.cached_bytes > keep_bytes) {
        DeviceBlock* block = cached_[i];
        cached_[i] = block->next;
        stats_.cached_bytes -= block->bytes;
        block->next = chain;
        chain = block;
      }
    }
  }
  if (chain == nullptr) return;
  const MutexLock lock(device.capture_mutex);
  device.driver->cuCtxSynchronize();
  while (chain != nullptr) {
    DeviceBlock* next = chain->next;
    device.driver->cuMemFree(chain->address);
    rt::free_object(chain);
    chain = next;
  }
}

tenon_device_pool_stats DevicePool::stats() {
  const MutexLock lock(mutex_);
  return stats_;
}

tenon_status DevicePool::out_of_memory(Device& device, std::uint64_t bytes, const char* owner) {
  std::size_t free_bytes = 0;
  std::size_t total_bytes = 0;
  device.driver->cuMemGetInfo(&free_bytes, &total_bytes);
  char table[1400] = {};
  std::size_t size = 0;
  const MutexLock lock(mutex_);
  Holder holders[kMaxHolders] = {};
  int num_holders = 0;
  for (const DeviceBlock* block : live_) {
    for (; block != nullptr; block = block->next) add_block(holders, num_holders, *block);
  }
  sort_by_bytes(holders, num_holders);
  for (int i = 0; i < num_holders && i < kMaxRows && size < sizeof(table); ++i) {
    size += static_cast<std::size_t>(
        snprintf(table + size, sizeof(table) - size, "\n  %12.1f MiB  %s (%llu)",
                 mebibytes(holders[i].bytes), holders[i].owner, 0ull + holders[i].count));
  }
  const std::uint64_t ours = stats_.live_bytes + stats_.cached_bytes;
  const std::uint64_t used = total_bytes - free_bytes;
  return rt::fail(TENON_ERROR_RESOURCE, "E1126",
                  "out of memory on cuda:%d: %.1f MiB for %s, %.1f of %.1f MiB are free%s\n  "
                  "%12.1f MiB  other programs and the driver\n  hint: drop arrays that are not "
                  "needed, or use smaller inputs",
                  device.number, mebibytes(bytes), owner, mebibytes(free_bytes),
                  mebibytes(total_bytes), table, mebibytes(used > ours ? used - ours : 0));
}

}  // namespace tenon::device
