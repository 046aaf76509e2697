#pragma once

/// Compiled expressions: trees of small objects, typed, with variables resolved to slots.
///
/// Integers and bools are int64, floats are doubles that hold a value of their dtype. A vector
/// value is computed for the lanes of a mask (null: all); lanes outside it are left undefined and
/// have no effect, which is what makes `select`, `and` and `or` lazy.

#include <cstdint>
#include <functional>

#include "ir/interpreter/machine.h"

namespace tenon::interpreter {

using Mask = const std::uint8_t*;

/// Anything that the program owns.
struct Code {
  virtual ~Code() = default;
};

template <typename V>
struct Value : Code {
  int lanes = 1;
  /// The value of a scalar.
  virtual V get(Machine& m) = 0;
  /// The lanes of a vector, those of the mask.
  virtual void fill(Machine& m, Mask mask, V* out) {
    const V v = get(m);
    for (int l = 0; l < lanes; ++l) out[l] = v;
    static_cast<void>(mask);
  }
};
using Integer = Value<std::int64_t>;
using Real = Value<double>;

/// A compiled expression of either type; exactly one is set.
struct AnyValue {
  Integer* integer = nullptr;
  Real* real = nullptr;
};

template <typename V>
Value<V>* as(const AnyValue& v) {
  if constexpr (std::is_same_v<V, double>)
    return v.real;
  else
    return v.integer;
}
inline AnyValue any(Integer* v) { return {v, nullptr}; }
inline AnyValue any(Real* v) { return {nullptr, v}; }

struct Action : Code {
  virtual void run(Machine& m) = 0;
};

}  // namespace tenon::interpreter
