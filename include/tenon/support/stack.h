#pragma once

/// Recursion that may be deeper than the thread's stack.
///
/// Walks over the IR recurse up to its depth limits (10,000 for expressions). A thread with a small
/// stack (1 MiB in many libraries) would overflow there, so each recursive step goes through
/// `with_stack`, which costs a comparison as long as the stack suffices.

#include <pthread.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace tenon {
namespace detail {

/// The lowest address that this thread's current stack may use; 0 until asked for.
inline thread_local std::uintptr_t stack_bottom = 0;

inline constexpr std::size_t kStackReserve = std::size_t{192} << 10;
inline constexpr std::size_t kBigStack = std::size_t{32} << 20;  // pages are committed when touched

inline std::uintptr_t thread_stack_bottom() {
  pthread_attr_t attr;
  void* base = nullptr;
  std::size_t size = 0;
  if (pthread_getattr_np(pthread_self(), &attr) != 0) return 1;
  pthread_attr_getstack(&attr, &base, &size);
  pthread_attr_destroy(&attr);
  return reinterpret_cast<std::uintptr_t>(base);
}

/// The stack that this thread used last, kept for the next time.
struct SpareStack {
  void* memory = nullptr;
  SpareStack() = default;
  SpareStack(const SpareStack&) = delete;
  SpareStack& operator=(const SpareStack&) = delete;
  ~SpareStack() {
    if (memory != nullptr) munmap(memory, kBigStack);
  }
};
inline thread_local SpareStack spare_stack;

inline void* take_stack() {
  if (void* memory = std::exchange(spare_stack.memory, nullptr)) return memory;
  void* memory = mmap(nullptr, kBigStack, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return memory;
}

inline void give_stack(void* memory) {
  constexpr std::size_t kKept = std::size_t{1} << 20;  // at the top, where the next call begins
  madvise(memory, kBigStack - kKept, MADV_DONTNEED);
  if (void* other = std::exchange(spare_stack.memory, memory)) munmap(other, kBigStack);
}

/// One call moved to a fresh stack of the same thread (thread-local state stays visible, exceptions
/// come through).
struct StackSwitch {
  void (*run)(void*);
  void* argument;
  std::exception_ptr error;
  ucontext_t caller, callee;
#if defined(__SANITIZE_ADDRESS__)
  void* fake_stack = nullptr;
  const void* caller_bottom = nullptr;
  std::size_t caller_size = 0;
#endif

  static void entry(unsigned high, unsigned low) {
    auto* self = reinterpret_cast<StackSwitch*>((static_cast<std::uintptr_t>(high) << 32) | low);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(nullptr, &self->caller_bottom, &self->caller_size);
#endif
    try {
      self->run(self->argument);
    } catch (...) {
      self->error = std::current_exception();
    }
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(nullptr, self->caller_bottom, self->caller_size);
#endif
  }

  /// A context to be given another stack and entry. Apart, because GCC takes getcontext for a
  /// setjmp and warns about the locals of whatever calls it.
  [[gnu::noinline]] static void start_from_here(ucontext_t* context) { getcontext(context); }

  void go() {
    void* memory = take_stack();
    const std::uintptr_t previous =
        std::exchange(stack_bottom, reinterpret_cast<std::uintptr_t>(memory));
    start_from_here(&callee);
    callee.uc_stack.ss_sp = memory;
    callee.uc_stack.ss_size = kBigStack;
    callee.uc_link = &caller;
    const auto self = reinterpret_cast<std::uintptr_t>(this);
    makecontext(&callee, reinterpret_cast<void (*)()>(entry), 2, static_cast<unsigned>(self >> 32),
                static_cast<unsigned>(self));
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(&fake_stack, memory, kBigStack);
#endif
    swapcontext(&caller, &callee);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
#endif
    stack_bottom = previous;
    give_stack(memory);
    if (error) std::rethrow_exception(error);
  }
};

template <typename F>
void call_on_big_stack(F& f) {
  StackSwitch change{};
  change.run = [](void* p) { (*static_cast<F*>(p))(); };
  change.argument = const_cast<void*>(static_cast<const void*>(&f));
  change.go();
}

}  // namespace detail

/// Whether the current stack is nearly used up, so that a recursive step should go through a new
/// one.
inline bool stack_is_short() {
  if (detail::stack_bottom == 0) detail::stack_bottom = detail::thread_stack_bottom();
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  return here < detail::stack_bottom + detail::kStackReserve;
}

/// The result of `f()`, run on a large fresh stack if the current one is nearly used up. Call it at
/// each recursive step. Thread-local state is the caller's; exceptions pass through. Throws
/// std::bad_alloc when there is no address space for a stack.
template <typename F>
auto with_stack(F&& f) -> std::invoke_result_t<F> {
  using Result = std::invoke_result_t<F>;
  if (!stack_is_short()) [[likely]]
    return f();
  if constexpr (std::is_void_v<Result>) {
    detail::call_on_big_stack(f);
  } else {
    std::optional<Result> result;
    auto call = [&] { result.emplace(f()); };
    detail::call_on_big_stack(call);
    return std::move(*result);
  }
}

}  // namespace tenon
