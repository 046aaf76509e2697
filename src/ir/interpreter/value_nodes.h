#pragma once

/// The kinds of compiled values.

#include <algorithm>

#include "ir/interpreter/value.h"
#include "tenon/support/stack.h"

namespace tenon::interpreter {

template <typename V>
struct Constant : Value<V> {
  explicit Constant(V v) : value(v) {}
  V get(Machine&) override { return value; }
  V value;
};

template <typename V>
V* slots(Machine& m) {
  if constexpr (std::is_same_v<V, double>)
    return m.reals;
  else
    return m.integers;
}

template <typename V>
struct Variable : Value<V> {
  explicit Variable(int s) : slot(s) {}
  V get(Machine& m) override { return slots<V>(m)[slot]; }
  void fill(Machine& m, Mask, V* out) override {
    std::copy_n(slots<V>(m) + slot, this->lanes, out);
  }
  int slot;
};

template <typename Out, typename In, typename F>
struct Map : Value<Out> {
  Map(Value<In>* x, F function) : a(x), f(function) {}
  Out get(Machine& m) override { return f(a->get(m)); }
  void fill(Machine& m, Mask mask, Out* out) override {
    Lanes<In> x(this->lanes);
    a->fill(m, mask, x.get());
    for (int l = 0; l < this->lanes; ++l) {
      if (mask == nullptr || mask[l] != 0) out[l] = f(x[l]);
    }
  }
  Value<In>* a;
  F f;
};

template <typename Out, typename In, typename F>
struct MapTwo : Value<Out> {
  MapTwo(Value<In>* x, Value<In>* y, F function) : a(x), b(y), f(function) {}
  Out get(Machine& m) override {
    const In x = a->get(m);
    return f(x, b->get(m));
  }
  void fill(Machine& m, Mask mask, Out* out) override {
    Lanes<In> x(this->lanes), y(this->lanes);
    a->fill(m, mask, x.get());
    b->fill(m, mask, y.get());
    for (int l = 0; l < this->lanes; ++l) {
      if (mask == nullptr || mask[l] != 0) out[l] = f(x[l], y[l]);
    }
  }
  Value<In>*a, *b;
  F f;
};

template <typename F>
struct MapThree : Real {
  MapThree(Real* x, Real* y, Real* z, F function) : a(x), b(y), c(z), f(function) {}
  double get(Machine& m) override {
    const double x = a->get(m), y = b->get(m);
    return f(x, y, c->get(m));
  }
  void fill(Machine& m, Mask mask, double* out) override {
    Lanes<double> x(lanes), y(lanes), z(lanes);
    a->fill(m, mask, x.get());
    b->fill(m, mask, y.get());
    c->fill(m, mask, z.get());
    for (int l = 0; l < lanes; ++l) {
      if (mask == nullptr || mask[l] != 0) out[l] = f(x[l], y[l], z[l]);
    }
  }
  Real *a, *b, *c;
  F f;
};

/// The mask with only the lanes where `keep` is as wanted; whether any is left.
inline bool narrow(Mask mask, const std::int64_t* keep, bool wanted, int lanes, std::uint8_t* out) {
  bool some = false;
  for (int l = 0; l < lanes; ++l) {
    out[l] = (mask == nullptr || mask[l] != 0) && (keep[l] != 0) == wanted;
    some = some || out[l] != 0;
  }
  return some;
}

template <typename V>
struct Select : Value<V> {
  Select(Integer* condition, Value<V>* t, Value<V>* f) : c(condition), a(t), b(f) {}
  V get(Machine& m) override { return c->get(m) != 0 ? a->get(m) : b->get(m); }
  void fill(Machine& m, Mask mask, V* out) override {
    Lanes<std::int64_t> chosen(this->lanes);
    Lanes<std::uint8_t> taken(this->lanes);
    Lanes<V> x(this->lanes);
    c->fill(m, mask, chosen.get());
    for (const bool side : {true, false}) {
      if (!narrow(mask, chosen.get(), side, this->lanes, taken.get())) continue;
      (side ? a : b)->fill(m, taken.get(), x.get());
      for (int l = 0; l < this->lanes; ++l) {
        if (taken[l] != 0) out[l] = x[l];
      }
    }
  }
  Integer* c;
  Value<V>*a, *b;
};

/// `and`, `or`: the right operand only where the left one does not decide.
struct Lazy : Integer {
  Lazy(Integer* x, Integer* y, bool is_and) : a(x), b(y), needs(is_and) {}
  std::int64_t get(Machine& m) override {
    const bool x = a->get(m) != 0;
    return x == needs ? b->get(m) : static_cast<std::int64_t>(x);
  }
  void fill(Machine& m, Mask mask, std::int64_t* out) override {
    Lanes<std::uint8_t> open(lanes);
    Lanes<std::int64_t> x(lanes), y(lanes);
    a->fill(m, mask, x.get());
    if (narrow(mask, x.get(), needs, lanes, open.get())) b->fill(m, open.get(), y.get());
    for (int l = 0; l < lanes; ++l) out[l] = open[l] != 0 ? y[l] : x[l];
  }
  Integer *a, *b;
  bool needs;
};

template <typename V>
struct LetValue : Value<V> {
  explicit LetValue(Value<V>* b) : body(b) {}
  V get(Machine& m) override {
    bind(m, nullptr);
    return body->get(m);
  }
  void fill(Machine& m, Mask mask, V* out) override {
    bind(m, mask);
    body->fill(m, mask, out);
  }
  void bind(Machine& m, Mask mask) {
    if (integer != nullptr)
      assign(m, mask, integer);
    else
      assign(m, mask, real);
  }
  template <typename W>
  void assign(Machine& m, Mask mask, Value<W>* value) {
    if (value->lanes == 1) {
      const W v = value->get(m);
      slots<W>(m)[slot] = v;
      return;
    }
    Lanes<W> v(value->lanes);
    value->fill(m, value->lanes == this->lanes ? mask : nullptr, v.get());
    std::copy_n(v.get(), value->lanes, slots<W>(m) + slot);
  }
  Value<V>* body;
  Integer* integer = nullptr;
  Real* real = nullptr;
  int slot = 0;
};

/// Computes a shared value once for each statement; a vector once for each lane.
template <typename V>
struct Shared : Value<V> {
  explicit Shared(Value<V>* v) : value(v) {}
  V get(Machine& m) override {
    if (epoch != m.epoch) {
      const V v = value->get(m);
      kept[0] = v;
      epoch = m.epoch;
    }
    return kept[0];
  }
  void fill(Machine& m, Mask mask, V* out) override {
    const int n = this->lanes;
    if (epoch != m.epoch) {
      std::fill(valid.begin(), valid.end(), 0);
      epoch = m.epoch;
    }
    Lanes<std::uint8_t> missing(n);
    bool some = false;
    for (int l = 0; l < n; ++l) {
      missing[l] = (mask == nullptr || mask[l] != 0) && valid[static_cast<std::size_t>(l)] == 0;
      some = some || missing[l] != 0;
    }
    if (some) {
      Lanes<V> fresh(n);
      value->fill(m, missing.get(), fresh.get());
      for (int l = 0; l < n; ++l) {
        if (missing[l] == 0) continue;
        kept[static_cast<std::size_t>(l)] = fresh[l];
        valid[static_cast<std::size_t>(l)] = 1;
      }
    }
    std::copy_n(kept.data(), n, out);
  }
  void size(int n) {
    this->lanes = n;
    kept.resize(static_cast<std::size_t>(n));
    valid.resize(static_cast<std::size_t>(n));
  }
  Value<V>* value;
  std::uint64_t epoch = 0;
  std::vector<V> kept;
  std::vector<std::uint8_t> valid;
};

/// Goes on with a large stack where the thread's runs short: every few hundred levels of a deep
/// expression.
template <typename V>
struct Deep : Value<V> {
  explicit Deep(Value<V>* v) : value(v) {}
  V get(Machine& m) override {
    return with_stack([&] { return value->get(m); });
  }
  void fill(Machine& m, Mask mask, V* out) override {
    with_stack([&] { value->fill(m, mask, out); });
  }
  Value<V>* value;
};

template <typename V>
struct Repeated : Value<V> {
  explicit Repeated(Value<V>* v) : value(v) {}
  V get(Machine& m) override { return value->get(m); }
  void fill(Machine& m, Mask mask, V* out) override {
    bool some = mask == nullptr;
    for (int l = 0; l < this->lanes && !some; ++l) some = mask[l] != 0;
    if (some) std::fill_n(out, this->lanes, value->get(m));
  }
  Value<V>* value;
};

struct Steps : Integer {
  Steps(Integer* b, Integer* s) : base(b), stride(s) {}
  std::int64_t get(Machine& m) override { return base->get(m); }
  void fill(Machine& m, Mask, std::int64_t* out) override {
    auto v = static_cast<std::uint64_t>(base->get(m));
    const auto step = static_cast<std::uint64_t>(stride->get(m));
    for (int l = 0; l < lanes; ++l, v += step) out[l] = static_cast<std::int64_t>(v);
  }
  Integer *base, *stride;
};

/// All lanes of a value, a scalar having one.
template <typename V>
void all_lanes(Machine& m, Value<V>* value, Mask mask, V* out) {
  if (value->lanes == 1)
    *out = value->get(m);
  else
    value->fill(m, mask, out);
}

template <typename V>
struct Shuffled : Value<V> {
  V get(Machine& m) override {
    V out;
    fill(m, nullptr, &out);
    return out;
  }
  void fill(Machine& m, Mask, V* out) override {
    Lanes<V> all(total);
    V* at = all.get();
    for (Value<V>* v : vectors) {
      all_lanes(m, v, static_cast<Mask>(nullptr), at);
      at += v->lanes;
    }
    for (std::size_t l = 0; l < picks.size(); ++l) out[l] = all[static_cast<int>(picks[l])];
  }
  std::vector<Value<V>*> vectors;
  std::vector<std::int64_t> picks;
  int total = 0;
};

/// Joins lanes by halving: l with l + n/2 while n is even; an odd rest ascending.
template <typename V, typename F>
struct Joined : Value<V> {
  Joined(Value<V>* v, F function) : value(v), f(function) {}
  V get(Machine& m) override {
    Lanes<V> x(value->lanes);
    value->fill(m, nullptr, x.get());
    int n = value->lanes;
    for (; n % 2 == 0; n /= 2) {
      for (int l = 0; l < n / 2; ++l) x[l] = f(x[l], x[l + n / 2]);
    }
    for (int l = 1; l < n; ++l) x[0] = f(x[0], x[l]);
    return x[0];
  }
  Value<V>* value;
  F f;
};

/// The element that indices address, bounds checked.
struct Address {
  Access access;
  std::vector<Integer*> indices;  ///< of each dimension, or one flat index
  bool flat = false;

  /// The place of the element, or -1 when out of bounds (reported). `at` are the values of the
  /// indices.
  std::int64_t offset(Machine& m, const std::int64_t* at, bool write) const {
    const Memory& memory = *access.memory;
    if (flat) {
      if (at[0] >= 0 && at[0] < memory.count) return owned(m, at[0]);
      m.out_of_bounds(access, write, at, 0, memory.count);
      return -1;
    }
    std::int64_t out = 0;
    for (std::size_t d = 0; d < indices.size(); ++d) {
      if (at[d] < 0 || at[d] >= memory.shape[d]) {
        m.out_of_bounds(access, write, at, d, memory.shape[d]);
        return -1;
      }
      out += at[d] * memory.strides[d];
    }
    return owned(m, out);
  }
  std::int64_t owned(const Machine& m, std::int64_t offset) const {
    return offset + m.units[static_cast<std::size_t>(access.memory->owner)] * access.memory->count;
  }
};

inline constexpr std::size_t kMaxRank = 16;

template <typename V>
V element(const Memory& memory, std::int64_t offset) {
  if constexpr (std::is_same_v<V, double>)
    return memory.real_at(offset);
  else
    return memory.integer_at(offset);
}

template <typename V>
struct Loaded : Value<V> {
  V get(Machine& m) override {
    if (predicate != nullptr && predicate->get(m) == 0) return V{0};
    std::int64_t at[kMaxRank];
    for (std::size_t d = 0; d < address.indices.size(); ++d) at[d] = address.indices[d]->get(m);
    return one(m, at);
  }
  void fill(Machine& m, Mask mask, V* out) override {
    const int n = this->lanes;
    Lanes<std::uint8_t> active(n);
    for (int l = 0; l < n; ++l) active[l] = mask == nullptr || mask[l] != 0;
    if (predicate != nullptr) {
      Lanes<std::int64_t> keep(n);
      predicate->fill(m, mask, keep.get());
      narrow(mask, keep.get(), true, n, active.get());
    }
    Lanes<std::int64_t> index(n);
    address.indices[0]->fill(m, active.get(), index.get());
    for (int l = 0; l < n; ++l) out[l] = active[l] != 0 ? one(m, &index[l]) : V{0};
  }
  V one(Machine& m, const std::int64_t* at) {
    const std::int64_t offset = address.offset(m, at, false);
    if (offset < 0) return V{0};
    m.note_read(address.access.memory, offset, address.access);
    return element<V>(*address.access.memory, offset);
  }
  Address address;
  Integer* predicate = nullptr;
};

/// i where 0 <= i < extent, else -1 and a finding.
struct CheckedIndex : Integer {
  std::int64_t get(Machine& m) override { return one(m, index->get(m), extent->get(m)); }
  void fill(Machine& m, Mask mask, std::int64_t* out) override {
    Lanes<std::int64_t> i(lanes), n(lanes);
    index->fill(m, mask, i.get());
    extent->fill(m, mask, n.get());
    for (int l = 0; l < lanes; ++l) {
      if (mask == nullptr || mask[l] != 0) out[l] = one(m, i[l], n[l]);
    }
  }
  std::int64_t one(Machine& m, std::int64_t i, std::int64_t n) {
    if (i >= 0 && i < n) return i;
    if (!reported) {
      reported = true;
      m.report(Finding::Kind::kIndexError,
               detail::concat("index ", i, " is out of range 0..", n, what), *place, span);
    }
    return -1;
  }
  Integer *index = nullptr, *extent = nullptr;
  std::string what;
  std::shared_ptr<const Place> place;
  Span span;
  bool reported = false;
};

}  // namespace tenon::interpreter
