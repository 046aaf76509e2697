#pragma once

/// Errors in ULP, shared by the accuracy programs.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>

namespace tenon::accuracy {

/// The spacing of T's values at x: that of x's binade, at least the smallest subnormal.
template <class T>
long double ulp_at(long double x) {
  int exponent = 0;
  std::frexp(x, &exponent);
  const int digits = std::numeric_limits<T>::digits;
  return std::ldexp(1.0L,
                    std::max(exponent - digits, std::numeric_limits<T>::min_exponent - digits));
}

/// |got - exact| in ULP of the exact value. Infinite when one is NaN or infinite and the other is
/// not; an infinity got stands for the power of two above the largest value.
template <class T>
double error_in_ulp(T got, long double exact) {
  if (std::isnan(exact)) return std::isnan(got) ? 0 : std::numeric_limits<double>::infinity();
  if (std::isnan(got)) return std::numeric_limits<double>::infinity();
  if (std::isinf(exact))
    return static_cast<long double>(got) == exact ? 0 : std::numeric_limits<double>::infinity();
  const long double top = std::ldexp(1.0L, std::numeric_limits<T>::max_exponent);
  long double value = got;
  if (std::isinf(got)) {
    if (std::fabs(exact) >= top && (got > 0) == (exact > 0)) return 0;
    value = std::copysign(top, static_cast<long double>(got));
  }
  if (std::fabs(exact) >= top) exact = std::copysign(top, exact);
  return static_cast<double>(std::fabs(value - exact) / ulp_at<T>(exact));
}

/// The largest error seen, and where.
template <class T>
struct Worst {
  double error = 0;
  T x = 0, y = 0;
  std::uint64_t count = 0;

  void add(double e, T at_x, T at_y = 0) {
    ++count;
    if (e > error) *this = {e, at_x, at_y, count};
  }
};

/// A small, seeded generator (splitmix64).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  /// In [0, 1).
  double unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }

 private:
  std::uint64_t state_;
};

template <class T, class Bits>
T from_bits(Bits pattern) {
  T out;
  static_assert(sizeof out == sizeof pattern);
  std::memcpy(&out, &pattern, sizeof out);
  return out;
}

}  // namespace tenon::accuracy
