#pragma once

/// The flag that stops running calls.

#include <atomic>
#include <cstdint>

namespace tenon::rt {

/// What kernels look at: non-zero while the calls that run should stop.
const volatile std::int32_t* interrupt_flag();

/// Counts a call while it runs. An interrupt that comes when none runs is dropped, so that it
/// cannot hit a later call.
class RunningCall {
 public:
  RunningCall();
  ~RunningCall();
  RunningCall(const RunningCall&) = delete;
  RunningCall& operator=(const RunningCall&) = delete;
  bool interrupted() const;
};

}  // namespace tenon::rt
