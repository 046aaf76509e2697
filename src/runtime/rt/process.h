#pragma once

/// Noticing that this process is a forked child: there the pool's workers do not exist and locks
/// may be held by nobody.

#include <atomic>
#include <cstdint>

namespace tenon::rt {

/// A word that is kProcessReady here and that the kernel zeroes in a forked child. Null before the
/// first `enter_process_slowly`.
extern std::atomic<std::uint32_t*> process_word;
inline constexpr std::uint32_t kProcessReady = 2;

/// Makes the word; in a forked child resets the thread pool and the memory pool, once.
void enter_process_slowly();

/// Call before using state that a fork breaks. One load when nothing happened.
inline void enter_process() {
  std::uint32_t* word = process_word.load(std::memory_order_acquire);
  if (word != nullptr && __atomic_load_n(word, __ATOMIC_ACQUIRE) == kProcessReady) [[likely]]
    return;
  enter_process_slowly();
}

}  // namespace tenon::rt
