#include "runtime/rt/memory_pool.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <atomic>

#include "runtime/rt/process.h"
#include "runtime/rt/size_class.h"
#include "tenon/runtime/c_api.h"

namespace tenon::rt {
namespace {

constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << 46;
constexpr std::uint64_t kPageBytes = 4096;

/// Lies in the 64 bytes before the data.
struct alignas(64) Block {
  std::uint64_t bytes = 0;         ///< of data
  std::uint64_t mapped_bytes = 0;  ///< of the mapping; 0 when `base` is from the C library
  void* base = nullptr;
  Block* newer = nullptr;  ///< the cached blocks by age
  Block* older = nullptr;
  Block* previous = nullptr;  ///< the cached blocks of this class
  Block* next = nullptr;
  std::uint32_t size_class = 0;
};
static_assert(sizeof(Block) == kBlockAlignment);

struct MemoryPool {
  std::atomic<std::uint32_t> lock{0};
  std::uint64_t limit = 256u << 20;
  Block* newest = nullptr;
  Block* oldest = nullptr;
  Block* classes[kNumSizeClasses] = {};
  tenon_pool_stats stats = {};
};

constinit MemoryPool pool;

class Lock {
 public:
  Lock() {
    enter_process();
    for (int spins = 0; pool.lock.exchange(1, std::memory_order_acquire) != 0; ++spins) {
      if (spins > 64) sched_yield();
    }
  }
  ~Lock() { pool.lock.store(0, std::memory_order_release); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
};

void* data_of(Block* block) { return block + 1; }
Block* block_of(void* data) { return static_cast<Block*>(data) - 1; }

Block* fill_header(void* at, SizeClass size, void* base, std::uint64_t mapped_bytes) {
  Block* block = static_cast<Block*>(at);
  *block = Block{};
  block->bytes = size.bytes;
  block->size_class = size.index;
  block->base = base;
  block->mapped_bytes = mapped_bytes;
  return block;
}

/// Data on a 2 MiB boundary, the header at the end of the page before it.
Block* map_large(SizeClass size) {
  const std::uint64_t data_bytes = (size.bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
  const std::uint64_t reserve = data_bytes + kHugeBytes + kPageBytes;
  void* region = mmap(nullptr, reserve, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (region == MAP_FAILED) return nullptr;
  char* begin = static_cast<char*>(region);
  const std::uint64_t first = reinterpret_cast<std::uint64_t>(begin) + kPageBytes;
  char* data = begin + kPageBytes + ((first + kHugeBytes - 1) / kHugeBytes * kHugeBytes - first);
  char* base = data - kPageBytes;
  if (base > begin) munmap(begin, static_cast<std::uint64_t>(base - begin));
  char* end = data + data_bytes;
  if (begin + reserve > end) munmap(end, static_cast<std::uint64_t>(begin + reserve - end));
  madvise(data, data_bytes, MADV_HUGEPAGE);  // a wish: refused where huge pages are off
  return fill_header(data - sizeof(Block), size, base, data_bytes + kPageBytes);
}

Block* allocate_block(SizeClass size) {
  if (size.bytes >= kHugeBytes) return map_large(size);
  void* base = aligned_alloc(kBlockAlignment, size.bytes + sizeof(Block));
  return base != nullptr ? fill_header(base, size, base, 0) : nullptr;
}

void release_block(Block* block) {
  if (block->mapped_bytes != 0) {
    munmap(block->base, block->mapped_bytes);
  } else {
    free(block->base);
  }
}

/// Takes a cached block out of both lists.
void unlink(Block* block) {
  (block->newer != nullptr ? block->newer->older : pool.newest) = block->older;
  (block->older != nullptr ? block->older->newer : pool.oldest) = block->newer;
  (block->previous != nullptr ? block->previous->next : pool.classes[block->size_class]) =
      block->next;
  if (block->next != nullptr) block->next->previous = block->previous;
  pool.stats.cached_bytes -= block->bytes;
}

void link(Block* block) {
  block->newer = nullptr;
  block->older = pool.newest;
  (pool.newest != nullptr ? pool.newest->newer : pool.oldest) = block;
  pool.newest = block;
  block->previous = nullptr;
  block->next = pool.classes[block->size_class];
  if (block->next != nullptr) block->next->previous = block;
  pool.classes[block->size_class] = block;
  pool.stats.cached_bytes += block->bytes;
}

/// Takes the oldest blocks beyond `keep_bytes`, chained by `next`; the caller gives them back
/// outside the lock.
Block* evict(std::uint64_t keep_bytes) {
  Block* evicted = nullptr;
  while (pool.stats.cached_bytes > keep_bytes && pool.oldest != nullptr) {
    Block* block = pool.oldest;
    unlink(block);
    block->next = evicted;
    evicted = block;
  }
  return evicted;
}

void release_all(Block* chain) {
  while (chain != nullptr) {
    Block* next = chain->next;
    release_block(chain);
    chain = next;
  }
}

void count_live(std::uint64_t bytes) {
  pool.stats.live_bytes += bytes;
  const std::uint64_t held = pool.stats.live_bytes + pool.stats.cached_bytes;
  if (held > pool.stats.peak_bytes) pool.stats.peak_bytes = held;
}

/// A cached block of this class, or null.
Block* take_cached(SizeClass size) {
  const Lock lock;
  ++pool.stats.requests;
  Block* block = pool.classes[size.index];
  if (block == nullptr) {
    ++pool.stats.system_calls;
    return nullptr;
  }
  unlink(block);
  count_live(block->bytes);
  return block;
}

void trim(std::uint64_t keep_bytes) {
  Block* evicted = nullptr;
  {
    const Lock lock;
    evicted = evict(keep_bytes);
  }
  release_all(evicted);
}

}  // namespace

void reset_memory_pool_after_fork() {
  memset(pool.classes, 0, sizeof(pool.classes));
  pool.newest = nullptr;
  pool.oldest = nullptr;
  pool.stats.cached_bytes = 0;
  pool.lock.store(0);
}

}  // namespace tenon::rt

using namespace tenon::rt;  // NOLINT(google-build-using-namespace): the C functions below are this
                            // file's surface

extern "C" {

void* tenon_pool_allocate(uint64_t bytes) {
  if (bytes > kMaxBytes) return nullptr;
  const SizeClass size = size_class_of(bytes);
  Block* block = take_cached(size);
  if (block != nullptr) return data_of(block);
  block = allocate_block(size);
  if (block == nullptr) {
    trim(0);  // what is cached may be what is missing
    block = allocate_block(size);
  }
  if (block == nullptr) return nullptr;
  const Lock lock;
  count_live(size.bytes);
  return data_of(block);
}

void tenon_pool_free(void* data) {
  if (data == nullptr) return;
  Block* block = block_of(data);
  Block* evicted = nullptr;
  {
    const Lock lock;
    pool.stats.live_bytes -= block->bytes;
    link(block);
    evicted = evict(pool.limit);
  }
  release_all(evicted);
}

void tenon_pool_trim(uint64_t keep_bytes) { trim(keep_bytes); }

void tenon_pool_set_limit(uint64_t bytes) {
  {
    const Lock lock;
    pool.limit = bytes;
  }
  trim(bytes);
}

void tenon_pool_get_stats(tenon_pool_stats* out) {
  const Lock lock;
  *out = pool.stats;
}

}  // extern "C"
