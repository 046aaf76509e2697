#pragma once

/// What statements do.

#include <algorithm>
#include <string>
#include <vector>

#include "ir/interpreter/threads.h"
#include "ir/interpreter/value_nodes.h"

namespace tenon::interpreter {

struct Sequence : Action {
  void run(Machine& m) override {
    for (Action* a : actions) a->run(m);
  }
  std::vector<Action*> actions;
};

struct Loop : Action {
  void run(Machine& m) override {
    ++m.epoch;
    const std::int64_t first = min->get(m), n = extent->get(m);
    const std::uint32_t outer = m.iteration;
    const std::uint32_t instance = parallel && n > 1 ? m.iterations.new_loop() : 0;
    for (std::int64_t i = 0; i < n; ++i) {
      if (instance != 0) m.iteration = m.iterations.enter(outer, instance);
      m.integers[static_cast<std::size_t>(slot)] = first + i;
      body->run(m);
    }
    m.iteration = outer;
  }
  Integer *min = nullptr, *extent = nullptr;
  Action* body = nullptr;
  int slot = 0;
  bool parallel = false;
};

struct Repeat : Action {
  void run(Machine& m) override {
    while (++m.epoch, condition->get(m) != 0) body->run(m);
  }
  Integer* condition = nullptr;
  Action* body = nullptr;
};

struct Branch : Action {
  void run(Machine& m) override {
    ++m.epoch;
    if (condition->get(m) != 0) {
      then_case->run(m);
    } else if (else_case != nullptr) {
      else_case->run(m);
    }
  }
  Integer* condition = nullptr;
  Action *then_case = nullptr, *else_case = nullptr;
};

struct Bind : Action {
  void run(Machine& m) override {
    begin(m);
    body->run(m);
  }
  void begin(Machine& m) {
    ++m.epoch;
    if (integer != nullptr)
      assign(m, integer);
    else
      assign(m, real);
  }
  template <typename V>
  void assign(Machine& m, Value<V>* value) {
    if (value->lanes == 1) {
      const V v = value->get(m);
      slots<V>(m)[slot] = v;
      return;
    }
    Lanes<V> v(value->lanes);
    value->fill(m, nullptr, v.get());
    std::copy_n(v.get(), value->lanes, slots<V>(m) + slot);
  }
  Integer* integer = nullptr;
  Real* real = nullptr;
  int slot = 0;
  Action* body = nullptr;
};

template <typename V>
void put(Memory* memory, std::int64_t offset, V v) {
  if constexpr (std::is_same_v<V, double>)
    memory->set_real(offset, v);
  else
    memory->set_integer(offset, v);
}

template <typename V>
struct Stored : Action {
  void run(Machine& m) override {
    ++m.epoch;
    if (m.options.max_stores > 0 && ++m.stores > m.options.max_stores) {
      m.report(Finding::Kind::kLimit,
               "more than " + std::to_string(m.options.max_stores) + " stores",
               *address.access.place, address.access.span);
      throw Stop{};
    }
    if (lanes == 1) {
      if (predicate != nullptr && predicate->get(m) == 0) return;
      std::int64_t at[kMaxRank];
      for (std::size_t d = 0; d < address.indices.size(); ++d) at[d] = address.indices[d]->get(m);
      one(m, at, value->get(m));
    } else {
      vector(m);
    }
  }
  void vector(Machine& m) {
    Lanes<std::uint8_t> active(lanes);
    std::fill_n(active.get(), lanes, std::uint8_t{1});
    if (predicate != nullptr) {
      Lanes<std::int64_t> keep(lanes);
      predicate->fill(m, nullptr, keep.get());
      if (!narrow(nullptr, keep.get(), true, lanes, active.get())) return;
    }
    Lanes<std::int64_t> index(lanes);
    Lanes<V> v(lanes);
    address.indices[0]->fill(m, active.get(), index.get());
    value->fill(m, active.get(), v.get());
    for (int l = 0; l < lanes; ++l) {
      if (active[l] != 0) one(m, &index[l], v[l]);
    }
  }
  void one(Machine& m, const std::int64_t* at, V v) {
    const std::int64_t offset = address.offset(m, at, true);
    if (offset < 0) return;
    if (is_copy)
      m.note_copy(address.access.memory, offset, address.access);
    else
      m.note_write(address.access.memory, offset, address.access);
    put(address.access.memory, offset, v);
  }
  int lanes = 1;
  bool is_copy = false;  ///< asynchronous
  Address address;
  Value<V>* value = nullptr;
  Integer* predicate = nullptr;
};

struct Allocated : Action {
  void run(Machine& m) override {
    begin(m);
    body->run(m);
  }
  /// All elements are uninitialised.
  void begin(Machine& m) const {
    ++m.epoch;
    std::vector<std::int64_t> extents, steps;
    for (Integer* e : shape) extents.push_back(e->get(m));
    for (Integer* e : strides) steps.push_back(e->get(m));
    if (memory->owner == Owner::kNobody) {
      memory->reset(std::move(extents), std::move(steps));
      memory->allocate();
    } else {
      memory->reset_own(std::move(extents), std::move(steps),
                        m.units[static_cast<std::size_t>(memory->owner)],
                        m.threads->num_units(memory->owner));
    }
  }
  Memory* memory = nullptr;
  std::vector<Integer*> shape, strides;
  Action* body = nullptr;
};

struct BlockRun : Action {
  struct Iter {
    Integer *value, *min, *extent;
    int slot;
    bool is_reduction;
    std::string name;
  };

  void run(Machine& m) override {
    ++m.epoch;
    if (predicate != nullptr && predicate->get(m) == 0) return;
    bool first = true;
    for (const Iter& iter : iters) {
      const std::int64_t v = iter.value->get(m), low = iter.min->get(m);
      m.integers[static_cast<std::size_t>(iter.slot)] = v;
      if (iter.is_reduction && v != low) first = false;
      if (v < low || v - low >= iter.extent->get(m)) outside(m, iter, v, low);
    }
    if (first && init != nullptr) init->run(m);
    body->run(m);
  }
  void outside(Machine& m, const Iter& iter, std::int64_t v, std::int64_t low) {
    if (reported) return;
    reported = true;
    m.report(Finding::Kind::kDomain,
             detail::concat("iteration variable ", iter.name, " of block '", place->block, "' is ",
                            v, ", outside its domain ", low, "..", low + iter.extent->get(m)),
             *place, span);
  }
  Integer* predicate = nullptr;
  std::vector<Iter> iters;
  Action *init = nullptr, *body = nullptr;
  std::shared_ptr<const Place> place;
  Span span;
  bool reported = false;
};

struct Evaluated : Action {
  void run(Machine& m) override {
    ++m.epoch;
    if (integer != nullptr) {
      Lanes<std::int64_t> v(integer->lanes);
      all_lanes<std::int64_t>(m, integer, nullptr, v.get());
    } else {
      Lanes<double> v(real->lanes);
      all_lanes<double>(m, real, nullptr, v.get());
    }
  }
  Integer* integer = nullptr;
  Real* real = nullptr;
};

struct CopyCommit : Action {
  void run(Machine& m) override { m.threads->commit(m); }
};

struct CopyWait : Action {
  void run(Machine& m) override {
    ++m.epoch;
    m.threads->wait(m, pending->get(m));
  }
  Integer* pending = nullptr;
};

struct Asserted : Action {
  void run(Machine& m) override {
    ++m.epoch;
    if (condition->get(m) != 0) return;
    m.report(Finding::Kind::kAssert, "assertion failed: " + message, *place, span);
    throw Stop{};
  }
  Integer* condition = nullptr;
  std::string message;
  std::shared_ptr<const Place> place;
  Span span;
};

}  // namespace tenon::interpreter
