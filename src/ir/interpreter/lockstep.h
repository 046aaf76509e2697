#pragma once

/// Statements that the threads of a block execute together: each is done for all threads that reach
/// it before the next one begins.

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "ir/interpreter/actions.h"
#include "tenon/ir/thread.h"

namespace tenon::interpreter {

struct Step : Code {
  virtual void run(Machine& m, const Active& active) = 0;
};

/// What the order of the threads does not change: one thread after the other.
struct EachThread : Step {
  explicit EachThread(Action* a) : action(a) {}
  void run(Machine& m, const Active& active) override {
    for (const int t : active.threads) {
      m.threads->enter(&m, t);
      action->run(m);
    }
  }
  Action* action;
};

struct StepSequence : Step {
  void run(Machine& m, const Active& active) override {
    for (Step* s : steps) s->run(m, active);
  }
  std::vector<Step*> steps;
};

/// Runs `body` for the threads of `active` for which `goes` holds, if any.
template <typename F>
void run_where(Machine& m, const Active& active, const std::string& why, Step* body, F&& goes) {
  Active part;
  for (std::size_t i = 0; i < active.threads.size(); ++i) {
    if (goes(i)) part.threads.push_back(active.threads[i]);
  }
  if (part.threads.empty()) return;
  if (part.threads.size() == active.threads.size()) {
    body->run(m, active);
    return;
  }
  part.outer = &active;
  part.why = why;
  body->run(m, part);
}

struct StepLoop : Step {
  void run(Machine& m, const Active& active) override {
    std::vector<std::int64_t> first, count;
    std::int64_t most = 0, least = std::numeric_limits<std::int64_t>::max();
    for (const int t : active.threads) {
      m.threads->enter(&m, t);
      ++m.epoch;
      first.push_back(min->get(m));
      count.push_back(extent->get(m));
      most = std::max(most, count.back());
      least = std::min(least, count.back());
    }
    for (std::int64_t i = 0; i < most; ++i) {
      for (std::size_t k = 0; k < active.threads.size(); ++k) {
        m.threads->enter(&m, active.threads[k]);
        m.integers[slot] = first[k] + i;
      }
      if (i < least)
        body->run(m, active);
      else
        run_where(m, active, why, body, [&](std::size_t k) { return i < count[k]; });
    }
  }
  Integer *min = nullptr, *extent = nullptr;
  Step* body = nullptr;
  int slot = 0;
  std::string why;
};

/// Which of the active threads a condition holds for.
inline std::vector<std::uint8_t> holds(Machine& m, const Active& active, Integer* condition) {
  std::vector<std::uint8_t> out;
  for (const int t : active.threads) {
    m.threads->enter(&m, t);
    ++m.epoch;
    out.push_back(condition->get(m) != 0);
  }
  return out;
}

struct StepRepeat : Step {
  void run(Machine& m, const Active& active) override {
    const std::vector<std::uint8_t> goes = holds(m, active, condition);
    if (std::find(goes.begin(), goes.end(), 1) == goes.end()) return;
    run_where(m, active, why, &again, [&](std::size_t k) { return goes[k] != 0; });
  }
  /// The body, then the loop for the threads that ran it.
  struct Again : Step {
    void run(Machine& m, const Active& active) override {
      while (true) {
        loop->body->run(m, active);
        const std::vector<std::uint8_t> goes = holds(m, active, loop->condition);
        const auto left = std::count(goes.begin(), goes.end(), 1);
        if (left == std::ssize(active.threads)) continue;
        run_where(m, active, loop->why, this, [&](std::size_t k) { return goes[k] != 0; });
        return;
      }
    }
    StepRepeat* loop = nullptr;
  };
  Integer* condition = nullptr;
  Step* body = nullptr;
  Again again;
  std::string why;
};

struct StepBranch : Step {
  void run(Machine& m, const Active& active) override {
    const std::vector<std::uint8_t> goes = holds(m, active, condition);
    run_where(m, active, why, then_case, [&](std::size_t k) { return goes[k] != 0; });
    if (else_case != nullptr)
      run_where(m, active, "else of " + why, else_case,
                [&](std::size_t k) { return goes[k] == 0; });
  }
  Integer* condition = nullptr;
  Step *then_case = nullptr, *else_case = nullptr;
  std::string why;
};

/// A let or an allocation: its beginning for each thread, then the body.
template <typename A>
struct StepScope : Step {
  void run(Machine& m, const Active& active) override {
    for (const int t : active.threads) {
      m.threads->enter(&m, t);
      head->begin(m);
    }
    body->run(m, active);
  }
  A* head = nullptr;
  Step* body = nullptr;
};

/// What all threads of the block or of a warp do together.
struct Collective : Step {
  /// Reports, once, that fewer threads arrived than there are. `t` is one that did.
  void diverged(Machine& m, const Active& active, int t, std::size_t arrived, std::size_t wanted,
                const char* whole) {
    if (reported) return;
    reported = true;
    m.threads->enter(&m, t);
    m.report(Finding::Kind::kDivergence,
             m.threads->describe_arrival(what, active, arrived, wanted, whole), *place, span);
  }
  std::string what;
  std::shared_ptr<const Place> place;
  Span span;
  bool reported = false;
};

struct StepBarrier : Collective {
  void run(Machine& m, const Active& active) override {
    const std::size_t n = m.threads->all().threads.size();
    if (active.threads.size() != n)
      diverged(m, active, active.threads.front(), active.threads.size(), n, "block");
    m.threads->barrier(&m);
  }
};

/// A part of `active` that lies in one warp: its positions in active.threads, and the warp's size.
struct WarpPart {
  int warp;
  std::size_t begin, end;
  std::size_t lanes;
};

inline std::vector<WarpPart> warps_of(const Machine& m, const Active& active) {
  std::vector<WarpPart> out;
  const auto size = static_cast<int>(kWarpSize);
  for (std::size_t i = 0; i < active.threads.size(); ++i) {
    const int w = active.threads[i] / size;
    if (out.empty() || out.back().warp != w)
      out.push_back(
          {w, i, i, static_cast<std::size_t>(std::min(size, m.threads->count() - w * size))});
    out.back().end = i + 1;
  }
  return out;
}

template <typename V>
struct StepShuffle : Collective {
  void run(Machine& m, const Active& active) override {
    const std::size_t n = active.threads.size();
    std::vector<V> v(n);
    std::vector<std::int64_t> from(n);
    for (std::size_t i = 0; i < n; ++i) {
      m.threads->enter(&m, active.threads[i]);
      ++m.epoch;
      v[i] = value->get(m);
      from[i] = lane->get(m);
      if (is_xor) from[i] ^= active.threads[i] % kWarpSize;
    }
    for (const WarpPart& w : warps_of(m, active)) {
      if (w.end - w.begin != w.lanes)
        diverged(m, active, active.threads[w.begin], w.end - w.begin, w.lanes, "warp");
      for (std::size_t i = w.begin; i < w.end; ++i) {
        m.threads->enter(&m, active.threads[i]);
        slots<V>(m)[slot] = taken(m, active, w, v, from[i]);
      }
    }
    body->run(m, active);
  }
  /// The value of lane `from`, 0 where it is missing.
  V taken(Machine& m, const Active& active, const WarpPart& w, const std::vector<V>& v,
          std::int64_t from) {
    if (from < 0 || from >= static_cast<std::int64_t>(w.lanes)) {
      if (!lane_reported) {
        lane_reported = true;
        m.report(Finding::Kind::kLane,
                 detail::concat(what, " from lane ", from, " of a warp of ", w.lanes), *place,
                 span);
      }
      return V{0};
    }
    for (std::size_t i = w.begin; i < w.end; ++i) {
      if (active.threads[i] % kWarpSize == from) return v[i];
    }
    return V{0};
  }
  Value<V>* value = nullptr;
  Integer* lane = nullptr;  ///< or the mask
  bool is_xor = false;
  bool lane_reported = false;
  int slot = 0;
  Step* body = nullptr;
};

/// A tensor instruction: what it stands for, once for each warp.
struct StepTensor : Collective {
  struct Operand {
    Integer *first, *stride;
    int multiple;  ///< both are multiples of it
    std::string name;
  };
  void run(Machine& m, const Active& active) override {
    for (const WarpPart& w : warps_of(m, active)) {
      if (w.lanes != kWarpSize) too_few(m, active.threads[w.begin], w);
      if (w.end - w.begin != w.lanes)
        diverged(m, active, active.threads[w.begin], w.end - w.begin, w.lanes, "warp");
      for (const Operand& o : operands) check(m, active, w, o);
      m.threads->enter_warp(&m, w.warp);
      semantics->run(m);
    }
  }
  void too_few(Machine& m, int t, const WarpPart& w) {
    if (reported) return;
    reported = true;
    m.threads->enter(&m, t);
    m.report(Finding::Kind::kLane, detail::concat(what, " in a warp of ", w.lanes, " threads"),
             *place, span);
  }
  /// All lanes give one place, and its rows are aligned.
  void check(Machine& m, const Active& active, const WarpPart& w, const Operand& o) {
    std::int64_t first = 0, stride = 0;
    for (std::size_t i = w.begin; i < w.end && !reported; ++i) {
      m.threads->enter(&m, active.threads[i]);
      ++m.epoch;
      const std::int64_t own_first = o.first->get(m), own_stride = o.stride->get(m);
      if (i == w.begin) {
        first = own_first;
        stride = own_stride;
        if (first % o.multiple == 0 && stride % o.multiple == 0) continue;
        reported = true;
        m.report(Finding::Kind::kAlignment,
                 detail::concat("operand ", o.name, " of ", what, " begins at element ", first,
                                " with rows of ", stride, ", should be multiples of ", o.multiple),
                 *place, span);
      } else if (own_first != first || own_stride != stride) {
        reported = true;
        m.report(Finding::Kind::kDivergence,
                 detail::concat("the lanes of a warp give different places for operand ", o.name,
                                " of ", what, ": elements ", first, " and ", own_first),
                 *place, span);
      }
    }
  }
  std::vector<Operand> operands;
  Action* semantics = nullptr;
};

}  // namespace tenon::interpreter
