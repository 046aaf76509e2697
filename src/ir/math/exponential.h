#pragma once

/// exp and the functions built on it: tanh, sigmoid, softplus. See docs/design/math.md.

#include "ir/math/format.h"

namespace tenon::math {

/// x rounded to an integer, as a float and in the low bits of an Int.
template <class F>
struct RoundedProduct {
  F value;
  typename F::Int low_bits;
};

/// round(x * factor), half to even, for |x * factor| below the type's rounding range.
template <class F>
RoundedProduct<F> round_product(const F& x, double factor) {
  constexpr double kMagic = Format<F::kBits>::kRoundMagic;
  const F shifted = fma(x, factor, kMagic);
  return {shifted - kMagic, bits(shifted)};
}

/// p * 2^k, rounded once, for p in [1/2, 2], k in the low bits of `k` and `negative` telling k's
/// sign: the power is applied in two steps, the first of which is exact.
template <class F>
F scale_in_two_steps(const F& p, const typename F::Int& k, const typename F::Bool& negative) {
  using Form = Format<F::kBits>;
  const auto low = (Form::kBias + Form::kScale) << Form::kMantissaBits;
  const auto high = (Form::kBias - Form::kScale) << Form::kMantissaBits;
  const F first =
      F::from_bits((k << Form::kMantissaBits) + select(negative, k.like(low), k.like(high)));
  return p * first * select(negative, p.like(Form::kScaleDown), p.like(Form::kScaleUp));
}

/// e^x within 1 ULP.
template <class F>
F exp(const F& x) {
  using Form = Format<F::kBits>;
  const F bounded = min(max(x, x.like(Form::kExpLow)), x.like(Form::kExpHigh));
  const auto n = round_product(bounded, kLog2E);
  const F r = fma(n.value, -Form::kLn2Lo, fma(n.value, -Form::kLn2Hi, bounded));
  const F p = fma(fma(polynomial(r, kExpF32, kExpF64), r, 1.0), r, 1.0);
  return scale_in_two_steps(p, n.low_bits, bounded < 0.0);
}

/// e^-a = (1 + rest) * power * 2^-kScale, and its value.
template <class F>
struct Decay {
  F rest, power, value;
};

/// e^-a for a >= 0 (NaN gives NaN).
template <class F>
Decay<F> exp_of_negated(const F& a) {
  using Form = Format<F::kBits>;
  const F bounded = min(a, a.like(-Form::kExpLow));
  const auto n = round_product(bounded, -kLog2E);
  const F most = fma(n.value, -Form::kLn2Hi, -bounded);  // exact
  const F least = n.value * -Form::kLn2Lo;
  const F r = most + least;
  const F rest = fma(r * r, polynomial(r, kExpF32, kExpF64), least) + most;
  const F power = power_of_two<F>(n.low_bits, Form::kScale);
  return {rest, power, (rest + 1.0) * power * Form::kScaleDown};
}

/// 1 / (1 + e^-x) within 2.5 ULP (float64: 2), down to the last subnormal.
template <class F>
F sigmoid(const F& x) {
  using Form = Format<F::kBits>;
  const auto e = exp_of_negated(abs(x));
  const F denominator = e.value + 1.0;
  const F denominator_low = (1.0 - denominator) + e.value;
  // for x < 0, what the denominator lost is taken from the numerator (they are close where it
  // matters)
  const F below = (fma(-denominator_low, e.rest + 1.0, e.rest) + 1.0) * e.power;
  const auto negative = x < 0.0;
  const F quotient = select(negative, below, x.like(1.0)) / denominator;
  return quotient * select(negative, x.like(Form::kScaleDown), x.like(1.0));
}

/// log(1 + e^x) within 2.5 ULP (float64: 2).
template <class F>
F softplus(const F& x) {
  const F e = exp_of_negated(abs(x)).value;
  return max(x, x.like(0.0)) + fma(e * e, polynomial(e, kLog1pF32, kLog1pF64), e);
}

/// tanh x within 1 ULP: (e^2a - 1) / (e^2a + 1), a = |x|, with numerator, denominator and quotient
/// in two parts each.
template <class F>
F tanh(const F& x) {
  using Form = Format<F::kBits>;
  const F a = min(abs(x), x.like(F::kBits == 32 ? 9.5 : 20.0));
  const F doubled = a + a;
  const auto n = round_product(doubled, kLog2E);
  const F r = fma(n.value, -Form::kLn2Lo, fma(n.value, -Form::kLn2Hi, doubled));
  // e^2a = s + grown + grown_low
  const F s = power_of_two<F>(n.low_bits, 0);
  const F linear = s * r;
  const F rest = linear * r * polynomial(r, kExpF32, kExpF64);
  const F grown = linear + rest;
  const F grown_low = (linear - grown) + rest;
  const F below = s - 1.0;
  const F numerator = below + grown;
  const F numerator_low = ((below - numerator) + grown) + grown_low;
  const F above = s + 1.0;
  const F denominator = above + grown;
  const F denominator_low = ((above - denominator) + grown) + grown_low;
  const F inverse = 1.0 / denominator;
  const F quotient = numerator * inverse;
  const F remainder =
      fma(-quotient, denominator, numerator) + fma(-quotient, denominator_low, numerator_low);
  // far out 1 - 2 / (e^2a + 1) is better, because s + 1 rounds
  return with_sign_of(select(a > 4.0, fma(inverse, -2.0, 1.0), fma(remainder, inverse, quotient)),
                      x);
}

}  // namespace tenon::math
