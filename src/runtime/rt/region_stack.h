#pragma once

/// Branches and loops of a plan while it runs.

#include "runtime/rt/context.h"

namespace tenon::rt {

/// How control flow reaches memory that the host cannot read. Functions return false when that
/// failed; what they read counts as 0 then, and the caller of RegionStack looks at its own status.
struct RegionMemory {
  bool (*read)(void* user, void* to, const char* from, std::size_t bytes);
  bool (*write)(void* user, char* to, std::int64_t value);
  void* user;
};

/// The regions that the step about to run lies in. Allocates nothing; the number of regions within
/// each other is bounded by the format.
class RegionStack {
 public:
  /// Buffers are where they are before any loop. `memory`: null for host memory.
  explicit RegionStack(tenon_context& context, const RegionMemory* memory = nullptr);

  /// Begins the region of the branch or loop at step `i`; returns the step to go on with.
  std::uint32_t enter(std::uint32_t i);
  /// Whether step `i` is past the part of the innermost region that runs.
  bool ends_at(std::uint32_t i) const { return depth_ > 0 && frames_[depth_ - 1].stop == i; }
  /// Then: where to go on, at a part's, an iteration's or the region's end. Called again and again,
  /// so that a caller can stop between iterations that have no steps.
  std::uint32_t pass();

 private:
  struct Frame {
    const plan_format::Region* region;
    std::uint32_t step;
    std::uint32_t stop;  ///< the end of what runs now
    bool is_loop;
    bool is_first;  ///< of a loop: the part before the condition runs
    std::int64_t iteration, count;
    std::uint32_t moves_begin, moves_end;
  };

  void read(void* to, const char* from, std::size_t bytes) const;
  bool condition_holds(const Frame& f) const;
  std::uint32_t begin_iteration(Frame& f);
  void place_buffers(const Frame& f);
  std::uint32_t leave();

  tenon_context& c_;
  const RegionMemory* memory_;
  Frame frames_[plan_format::kMaxNesting];
  std::uint32_t depth_ = 0;
};

}  // namespace tenon::rt
