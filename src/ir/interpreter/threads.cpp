#include "ir/interpreter/threads.h"

#include <algorithm>
#include <numeric>

#include "tenon/ir/thread.h"

namespace tenon::interpreter {

void Threads::start(Machine* m, const std::array<std::int64_t, 3>& extents,
                    const std::array<int, 3>& slots) {
  extents_ = extents;
  const auto n = static_cast<std::size_t>(extents[0] * extents[1] * extents[2]);
  num_integers_ = m->num_integers;
  num_reals_ = m->num_reals;
  host_integers_ = m->integers;
  host_reals_ = m->reals;
  block_ = m->iteration;
  integers_.resize(n * num_integers_);
  reals_.resize(n * num_reals_);
  all_.threads.resize(n);
  std::iota(all_.threads.begin(), all_.threads.end(), 0);
  copies_.assign(n, {});
  for (std::size_t t = 0; t < n; ++t) {
    std::copy_n(host_integers_, num_integers_, integers_.data() + t * num_integers_);
    std::copy_n(host_reals_, num_reals_, reals_.data() + t * num_reals_);
    auto rest = static_cast<std::int64_t>(t);
    for (std::size_t d = 0; d < 3; ++d) {
      if (slots[d] >= 0)
        integers_[t * num_integers_ + static_cast<std::size_t>(slots[d])] = rest % extents[d];
      rest /= extents[d];
    }
  }
  m->threads = this;
  barrier(m);
}

void Threads::finish(Machine* m) {
  m->integers = host_integers_;
  m->reals = host_reals_;
  m->iteration = block_;
  m->units[1] = m->units[2] = 0;
  m->threads = nullptr;
}

int Threads::num_warps() const { return static_cast<int>((count() + kWarpSize - 1) / kWarpSize); }

void Threads::enter_warp(Machine* m, int w) {
  enter(m, w * static_cast<int>(kWarpSize));
  m->iteration = first_ + static_cast<std::uint32_t>(count() + w);
}

void Threads::barrier(Machine* m) {
  first_ = m->iterations.enter_all(block_, count() + num_warps());
}

void Threads::start_copy(const Machine& m, Memory* memory, std::int64_t offset) {
  copies_[static_cast<std::size_t>(m.units[1])].started.push_back({memory, offset});
}

void Threads::commit(const Machine& m) {
  Copies& own = copies_[static_cast<std::size_t>(m.units[1])];
  own.ends.push_back(own.started.size());
}

void Threads::wait(const Machine& m, std::int64_t pending) {
  Copies& own = copies_[static_cast<std::size_t>(m.units[1])];
  const auto groups = static_cast<std::int64_t>(own.ends.size()) - pending;
  if (groups <= 0) return;
  const std::size_t landed = own.ends[static_cast<std::size_t>(groups - 1)];
  for (std::size_t i = 0; i < landed; ++i) {
    Shadow& s = own.started[i].memory->shadow[static_cast<std::size_t>(own.started[i].offset)];
    // Another write came in between, and was reported.
    if (s.write == kCopying) s.write = m.iteration;
  }
  own.started.erase(own.started.begin(), own.started.begin() + static_cast<std::ptrdiff_t>(landed));
  own.ends.erase(own.ends.begin(), own.ends.begin() + static_cast<std::ptrdiff_t>(groups));
  for (std::size_t& end : own.ends) end -= landed;
}

std::string Threads::describe_other(const Machine& m, std::uint32_t other) const {
  if (m.iterations.parent(other) != block_) return "in another block";
  const std::int64_t n = other - first_;
  if (n >= count()) return detail::concat("by warp ", n - count(), ", without a barrier between");
  return detail::concat("by thread (", n % extents_[0], ", ", n / extents_[0] % extents_[1], ", ",
                        n / extents_[0] / extents_[1], "), without a barrier between");
}

std::string Threads::describe_arrival(const std::string& what, const Active& active,
                                      std::size_t arrived, std::size_t wanted,
                                      const char* whole) const {
  std::string conditions;
  for (const Active* a = &active; a->outer != nullptr; a = a->outer)
    conditions = "'" + a->why + "'" + (conditions.empty() ? "" : ", ") + conditions;
  return detail::concat(what, " is reached by ", arrived, " of the ", wanted, " threads of the ",
                        whole, ", under ", conditions);
}

}  // namespace tenon::interpreter
