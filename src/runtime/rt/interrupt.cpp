#include "runtime/rt/interrupt.h"

#include "tenon/runtime/c_api.h"

namespace tenon::rt {
namespace {

constinit std::atomic<std::int32_t> running{0};
constinit std::int32_t flag =
    0;  // accessed with __atomic builtins; kernels read it as a volatile int

}  // namespace

const volatile std::int32_t* interrupt_flag() { return &flag; }

RunningCall::RunningCall() {
  if (running.fetch_add(1, std::memory_order_acq_rel) == 0)
    __atomic_store_n(&flag, 0, __ATOMIC_RELAXED);
}

RunningCall::~RunningCall() { running.fetch_sub(1, std::memory_order_acq_rel); }

bool RunningCall::interrupted() const { return __atomic_load_n(&flag, __ATOMIC_RELAXED) != 0; }

}  // namespace tenon::rt

extern "C" void tenon_interrupt(void) {
  if (tenon::rt::running.load(std::memory_order_acquire) != 0)
    __atomic_store_n(&tenon::rt::flag, 1, __ATOMIC_RELAXED);
}
