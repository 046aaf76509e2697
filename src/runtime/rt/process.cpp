#include "runtime/rt/process.h"

#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/rt/memory_pool.h"
#include "runtime/rt/thread_pool.h"

namespace tenon::rt {

std::atomic<std::uint32_t*> process_word{nullptr};

namespace {

constexpr std::uint32_t kResetting = 1;
constexpr std::size_t kPageBytes = 4096;

/// Where the kernel cannot wipe pages (before Linux 4.14) a fork is not noticed; the word then
/// always reads ready.
std::uint32_t never_wiped = kProcessReady;

std::uint32_t* map_word() {
  void* page =
      mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return &never_wiped;
  if (madvise(page, kPageBytes, MADV_WIPEONFORK) != 0) {
    munmap(page, kPageBytes);
    return &never_wiped;
  }
  std::uint32_t* word = static_cast<std::uint32_t*>(page);
  __atomic_store_n(word, kProcessReady, __ATOMIC_RELEASE);
  return word;
}

}  // namespace

void enter_process_slowly() {
  std::uint32_t* word = process_word.load(std::memory_order_acquire);
  if (word == nullptr) {
    std::uint32_t* made = map_word();
    if (!process_word.compare_exchange_strong(word, made) && made != &never_wiped)
      munmap(made, kPageBytes);
    return;
  }
  std::uint32_t expected = 0;
  if (__atomic_compare_exchange_n(word, &expected, kResetting, false, __ATOMIC_ACQ_REL,
                                  __ATOMIC_ACQUIRE)) {
    reset_thread_pool_after_fork();
    reset_memory_pool_after_fork();
    __atomic_store_n(word, kProcessReady, __ATOMIC_RELEASE);
    return;
  }
  while (__atomic_load_n(word, __ATOMIC_ACQUIRE) != kProcessReady) sched_yield();
}

}  // namespace tenon::rt
