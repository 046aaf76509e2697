#pragma once

/// What the functions of this folder are written over, and the constants that depend on the width.
///
/// Each function is a template over a value class F (a float32 or float64, scalar or vector) and is
/// instantiated twice: with NativeFloat (native_value.h), to be measured over all inputs, and with
/// IrFloat (ir_value.h), to build the IR that `expand_math` inserts. The code is branch-free; F,
/// F::Int (two's complement of the same width) and F::Bool offer
///
///   F      + - * / unary-, fma, sqrt, abs, floor, min, max, comparisons, select; doubles mix in as
///   constants F      bits(F) -> Int, F::from_bits(Int), F::from_int(Int), x.like(double): a
///   constant of x's lanes Int    + - * & | ^ << (by constants or Ints), `>>` arithmetic,
///   shift_right_logical, less_unsigned, multiply_high (unsigned),
///          ==, select
///   Bool   & | !
///
/// Int constants are std::int64_t. Every operation has the meaning of the IR node of its name;
/// nothing else is contracted to fma.

#include <cstddef>
#include <cstdint>
#include <limits>

#include "ir/math/coefficients.h"

namespace tenon::math {

/// Constants of IEEE binary32 and binary64.
template <int bits>
struct Format;

template <>
struct Format<32> {
  static constexpr int kMantissaBits = 23;
  static constexpr std::int64_t kBias = 127;
  static constexpr std::int64_t kSignMask = std::int64_t{1} << 31;
  static constexpr std::int64_t kMantissaMask = (std::int64_t{1} << 23) - 1;
  static constexpr double kMinNormal = 0x1p-126;
  static constexpr double kRoundMagic =
      0x1.8p23;  ///< x + this - this rounds |x| < 2^21 to an integer
  static constexpr std::int64_t kSqrtHalfBits = 0x3f3504f3;
  /// A power of two 2^s by which results are scaled up before they may become subnormal.
  static constexpr int kScale = 64;
  static constexpr double kScaleUp = 0x1p64, kScaleDown = 0x1p-64;
  // ln 2 in two parts: to the last bit, and with trailing zeros so that k * part is exact for every
  // exponent k.
  static constexpr double kLn2Hi = 0x1.62e430p-1, kLn2Lo = -0x1.05c610p-29;
  static constexpr double kLn2ShortHi = 0x1.62e400p-1, kLn2ShortLo = 0x1.7f7d1cp-20;
  static constexpr double kExpLow = -104, kExpHigh = 89;  ///< beyond these exp is 0 and infinite
};

template <>
struct Format<64> {
  static constexpr int kMantissaBits = 52;
  static constexpr std::int64_t kBias = 1023;
  static constexpr std::int64_t kSignMask = std::numeric_limits<std::int64_t>::min();
  static constexpr std::int64_t kMantissaMask = (std::int64_t{1} << 52) - 1;
  static constexpr double kMinNormal = 0x1p-1022;
  static constexpr double kRoundMagic = 0x1.8p52;
  static constexpr std::int64_t kSqrtHalfBits = 0x3fe6a09e667f3bcd;
  static constexpr int kScale = 128;
  static constexpr double kScaleUp = 0x1p128, kScaleDown = 0x1p-128;
  static constexpr double kLn2Hi = 0x1.62e42fefa39efp-1, kLn2Lo = 0x1.abc9e3b39803fp-56;
  static constexpr double kLn2ShortHi = 0x1.62e42fefa3800p-1, kLn2ShortLo = 0x1.ef35793c76730p-45;
  static constexpr double kExpLow = -746, kExpHigh = 710;
};

inline constexpr double kLog2E = 0x1.71547652b82fep+0;
inline constexpr double kInfinity = std::numeric_limits<double>::infinity();
inline constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// c[0] + c[1] x + c[2] x^2 ... by Horner's rule.
template <class F, std::size_t n>
F polynomial(const F& x, const double (&c)[n]) {
  F sum = fma(x, c[n - 1], c[n - 2]);
  for (std::size_t i = n - 2; i-- > 0;) sum = fma(sum, x, c[i]);
  return sum;
}

/// The polynomial of F's width.
template <class F, std::size_t n32, std::size_t n64>
F polynomial(const F& x, const double (&c32)[n32], const double (&c64)[n64]) {
  if constexpr (F::kBits == 32) {
    return polynomial(x, c32);
  } else {
    return polynomial(x, c64);
  }
}

/// high + low, |low| at most an ulp of high or so.
template <class F>
struct TwoPart {
  F high, low;
};

/// The same, with the rounding error of the last step.
template <class F, std::size_t n>
TwoPart<F> polynomial_in_two_parts(const F& x, const double (&c)[n]) {
  F sum = fma(x, c[n - 1], c[n - 2]);
  for (std::size_t i = n - 2; i-- > 1;) sum = fma(sum, x, c[i]);
  const F high = fma(sum, x, c[0]);
  return {high, fma(sum, x, c[0] - high)};
}

template <class F, std::size_t n32, std::size_t n64>
TwoPart<F> polynomial_in_two_parts(const F& x, const double (&c32)[n32], const double (&c64)[n64]) {
  if constexpr (F::kBits == 32) {
    return polynomial_in_two_parts(x, c32);
  } else {
    return polynomial_in_two_parts(x, c64);
  }
}

/// magnitude (not negative) with the sign of x.
template <class F>
F with_sign_of(const F& magnitude, const F& x) {
  return F::from_bits(bits(magnitude) | (bits(x) & Format<F::kBits>::kSignMask));
}

/// 2^(k + offset) for an Int whose low bits hold k (the rest is shifted out); the exponent must be
/// in the normal range.
template <class F>
F power_of_two(const typename F::Int& k, std::int64_t offset) {
  using Form = Format<F::kBits>;
  return F::from_bits((k << Form::kMantissaBits) + ((Form::kBias + offset) << Form::kMantissaBits));
}

}  // namespace tenon::math
