#pragma once

/// Graphs of the runs of one context.
///
/// A graph holds addresses, so that it serves the arguments that it was captured with. Callers use
/// few sets of arrays again and again (pools give freed memory out again), so that the last
/// kEntries sets are known: the first run with a set enqueues its work, the second captures it, and
/// later ones launch the graph.

#include <cstdint>

#include "runtime/device/cuda_driver.h"
#include "runtime/rt/block.h"

namespace tenon::device {

class GraphCache {
 public:
  static constexpr std::uint32_t kEntries = 8;

  /// What is known of a set of arguments.
  struct Entry {
    Handle graph;  ///< executable; null before it is captured
    std::uint64_t last_use;
    bool is_known;
    bool is_refused;  ///< capturing failed: it is not tried again
  };

  /// For sets of `num_addresses`; false when memory runs out.
  [[nodiscard]] bool allocate(std::size_t num_addresses) {
    num_addresses_ = num_addresses;
    return addresses_.allocate(num_addresses * kEntries);
  }
  /// The entry of the set `addresses`, and whether it was known; an unknown one takes the place of
  /// the one that was not used for longest.
  Entry& find(const Driver& driver, void* const* addresses, bool* was_known);
  /// Forgets everything.
  void clear(const Driver& driver);

 private:
  std::size_t num_addresses_ = 0;
  rt::Block<void*> addresses_;  ///< of all entries
  Entry entries_[kEntries] = {};
  std::uint64_t clock_ = 0;
};

}  // namespace tenon::device
