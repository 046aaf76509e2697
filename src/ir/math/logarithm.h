#pragma once

/// log, and the parts that pow shares with it. See docs/design/math.md.

#include "ir/math/format.h"

namespace tenon::math {

/// x = 2^exponent * (1 + fraction), 1 + fraction in [sqrt(1/2), sqrt 2).
template <class F>
struct SplitFloat {
  F exponent;
  F fraction;
};

/// Splits a positive finite x, subnormals included (anything else gives some finite or NaN parts).
template <class F>
SplitFloat<F> split_float(const F& x) {
  using Form = Format<F::kBits>;
  constexpr double kUp = F::kBits == 32 ? 0x1p23 : 0x1p52;
  const auto subnormal = x < Form::kMinNormal;
  const auto pattern = bits(select(subnormal, x * kUp, x));
  const auto exponent = (pattern - Form::kSqrtHalfBits) >> Form::kMantissaBits;
  const F mantissa = F::from_bits(pattern - (exponent << Form::kMantissaBits));
  const F moved = select(subnormal, x.like(-Form::kMantissaBits), x.like(0.0));
  return {F::from_int(exponent) + moved, mantissa - 1.0};
}

/// The natural logarithm within 1 ULP.
template <class F>
F log(const F& x) {
  using Form = Format<F::kBits>;
  const auto [exponent, f] = split_float(x);
  const F rest = f * f * fma(polynomial(f, kLogF32, kLogF64), f, -0.5);
  const F sum = fma(exponent, Form::kLn2ShortHi, f);
  const F sum_low = fma(exponent, Form::kLn2ShortHi, -sum) + f;
  const F y = sum + (sum_low + fma(exponent, Form::kLn2ShortLo, rest));
  const F outside = select(x == 0.0, x.like(-kInfinity), x.like(kNaN));
  return select(x > 0.0, select(x < kInfinity, y, x), outside);
}

/// 1 / sqrt(x) within 1 ULP: the quotient, corrected by its residual.
template <class F>
F rsqrt(const F& x) {
  const F y = 1.0 / sqrt(x);
  const F product = x * y;
  const F product_low = fma(x, y, -product);
  const F residual = fma(-product_low, y, fma(-product, y, 1.0));
  const F corrected = fma(y * 0.5, residual, y);
  return select(residual == residual, corrected, y);  // 0 and infinity have no residual
}

}  // namespace tenon::math
