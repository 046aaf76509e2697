#pragma once

/// The threads of one GPU block while it runs: their variables, where each stands between barriers,
/// their asynchronous copies.

#include <array>
#include <string>
#include <vector>

#include "ir/interpreter/machine.h"

namespace tenon::interpreter {

/// The threads that reach a statement.
struct Active {
  std::vector<int> threads;       ///< linear numbers, x fastest; ascending, never empty
  const Active* outer = nullptr;  ///< what they were before the last condition that some fail
  std::string why = {};           ///< that condition: "if tx < 16"
};

class Threads {
 public:
  /// Starts all threads of a block, each with the variables of the host. `extents` of x, y, z;
  /// `slots` of the variables that hold the coordinates, -1 where there is none.
  void start(Machine* m, const std::array<std::int64_t, 3>& extents,
             const std::array<int, 3>& slots);
  /// Ends the block: the host runs.
  void finish(Machine* m);

  const Active& all() const { return all_; }
  int count() const { return static_cast<int>(all_.threads.size()); }
  int num_warps() const;
  std::int64_t num_units(Owner owner) const {
    return owner == Owner::kThread ? count() : num_warps();
  }

  /// From here on thread `t` runs.
  void enter(Machine* m, int t) {
    const auto thread = static_cast<std::size_t>(t);
    m->integers = integers_.data() + thread * num_integers_;
    m->reals = reals_.data() + thread * num_reals_;
    m->iteration = first_ + static_cast<std::uint32_t>(t);
    m->units[1] = t;
    m->units[2] = t / 32;
  }
  /// From here on warp `w` runs as one, with the variables of its first lane.
  void enter_warp(Machine* m, int w);
  /// What is after it is ordered after what is before it, within the block.
  void barrier(Machine* m);

  /// Of the thread that runs: begins a copy to an element, closes its group, lands all but the
  /// newest `pending` groups.
  void start_copy(const Machine& m, Memory* memory, std::int64_t offset);
  void commit(const Machine& m);
  void wait(const Machine& m, std::int64_t pending);

  /// "by thread (3, 0, 0), ...", "in another block": who iteration `other` is, which runs in
  /// parallel.
  std::string describe_other(const Machine& m, std::uint32_t other) const;
  /// "thread_barrier() is reached by 16 of 64 threads of the block, under 'if tx < 16'".
  std::string describe_arrival(const std::string& what, const Active& active, std::size_t arrived,
                               std::size_t wanted, const char* whole) const;

 private:
  struct Copy {
    Memory* memory;
    std::int64_t offset;
  };
  /// The copies of one thread in the order of their start, and where its groups end.
  struct Copies {
    std::vector<Copy> started;
    std::vector<std::size_t> ends;
  };

  std::vector<std::int64_t> integers_;
  std::vector<double> reals_;
  std::size_t num_integers_ = 0, num_reals_ = 0;
  std::array<std::int64_t, 3> extents_ = {1, 1, 1};
  Active all_;
  std::uint32_t block_ = 1;  ///< the iteration that the block is
  std::uint32_t first_ = 0;  ///< of thread 0 in this interval; those of the warps follow
  std::vector<Copies> copies_;
  std::int64_t* host_integers_ = nullptr;
  double* host_reals_ = nullptr;
};

}  // namespace tenon::interpreter
