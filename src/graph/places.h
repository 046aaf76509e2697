#pragma once

/// Where the values of a network are while its plan runs.

#include <vector>

#include "graph/pass/pass.h"

namespace tenon::graph {

/// A part of an argument, of a constant or of temporary memory, which may move with loops.
struct Place {
  PlanBufferKind kind = PlanBufferKind::kWorkspace;
  std::uint32_t index = 0;           ///< argument, constant, or number of a temporary
  PlanRegister bytes = kPlanNone;    ///< kPlanNone: all of an argument or constant
  std::vector<PlanMove> moves = {};  ///< with the loop and the stride; not the buffer
};

/// Gives each place of a plan its buffer, and temporaries their memory. Steps are written with
/// places first, by number; what they use decides how long a temporary is needed.
class Places {
 public:
  explicit Places(Plan* plan) : plan_(plan) {}

  /// A new temporary. `typical_bytes`: for typical sizes.
  Place add_temporary(PlanRegister bytes, std::int64_t typical_bytes);
  /// The same memory as seen in a loop.
  static Place moving(Place place, std::uint32_t loop, PlanRegister stride, PlanMoveKind kind,
                      PlanRegister bytes);
  /// Step number `step` uses the place; the number of the place.
  std::uint32_t use(const Place& place, std::size_t step);
  /// Steps [begin, end) are the body of a loop: what is used in it and was there before is needed
  /// until its end.
  void add_loop(std::size_t begin, std::size_t end) { loops_.emplace_back(begin, end); }
  /// Lays out memory and puts buffers in the place of places in all steps.
  void finish();

 private:
  Plan* plan_;
  std::vector<Place> used_;
  std::vector<Temporary> temporaries_;
  std::vector<bool> is_used_;
  std::vector<std::pair<std::size_t, std::size_t>> uses_;  ///< temporary, step
  std::vector<std::pair<std::size_t, std::size_t>> loops_;
};

}  // namespace tenon::graph
