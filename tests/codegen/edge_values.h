#pragma once

/// Elements at the edges of every dtype, on which operations are compared with ir/scalar_ops.h.

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "tenon/ir/builder.h"
#include "tenon/ir/scalar_ops.h"

namespace tenon::testing {

inline const std::vector<DType> kInts = {DType::int_(8),  DType::int_(16), DType::int_(32),
                                         DType::int_(64), DType::uint(8),  DType::uint(16),
                                         DType::uint(32), DType::uint(64), DType::bool_()};
inline const std::vector<DType> kFloats = {kFloat32, kFloat64, DType::float_(16),
                                           DType::bfloat16()};

inline std::vector<std::int64_t> int_values(DType t) {
  std::vector<std::int64_t> values;
  for (const std::int64_t v : {0L, 1L, -1L, 2L, 3L, 7L, -7L, 8L, 31L, 32L, 63L, 64L, 100L}) {
    values.push_back(wrap_int(t, v));
  }
  for (const std::int64_t v : {min_int(t), max_int(t), max_int(t) - 1}) values.push_back(v);
  return values;
}

inline std::vector<double> float_values(DType t) {
  const double inf = std::numeric_limits<double>::infinity();
  std::vector<double> values = {0.0, -0.0, 1.0,  -1.0, inf,  -inf, std::nan(""), 0.5,
                                1.5, 2.5,  -3.5, 1e-3, 7.25, 1e30, -65519.0,     1e-40};
  for (double& v : values) v = round_to(t, v);
  return values;
}

/// `lanes` elements of `buffer` from element `at` on.
inline Expr load_lanes(const Buffer& buffer, const Expr& at, int lanes) {
  return load(buffer, {ramp(at, imm(1), lanes)});
}
inline Stmt store_lanes(const Buffer& buffer, const Expr& at, const Expr& value) {
  return store(buffer, {ramp(at, imm(1), value->dtype.lanes)}, value);
}

/// NaNs are equal, zeros of different signs are not.
inline bool same_float(double a, double b) {
  return (std::isnan(a) && std::isnan(b)) || (a == b && std::signbit(a) == std::signbit(b));
}

}  // namespace tenon::testing
