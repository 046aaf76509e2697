#pragma once

/// pow. See docs/design/math.md.

#include "ir/math/exponential.h"
#include "ir/math/logarithm.h"

namespace tenon::math {

/// y log2(a) for positive finite a in two float32 parts, through float64.
template <class F>
TwoPart<F> scaled_log2_by_widening(const F& a, const F& y) {
  using Wide = typename F::Wide;
  const auto [exponent, fraction] = split_float(a);
  const Wide f = widen(fraction);
  const Wide log2 = fma(f, polynomial(f, kPowLog2Wide), widen(exponent));
  const Wide product = min(max(widen(y) * log2, log2.like(-200.0)), log2.like(200.0));
  const F high = narrow(product);
  return {high, narrow(product - widen(high))};
}

/// constant + x * factor, each in two parts, |constant| >= |x * factor|.
template <class F>
TwoPart<F> add_product(double constant, double constant_low, const TwoPart<F>& x,
                       const TwoPart<F>& factor) {
  const F product = x.high * factor.high;
  const F product_low =
      fma(x.high, factor.high, -product) + fma(x.high, factor.low, x.low * factor.high);
  const F sum = product + constant;
  return {sum, ((constant - sum) + product) + (product_low + constant_low)};
}

/// y log2(a) for positive finite a, in two parts throughout (for float64).
template <class F>
TwoPart<F> scaled_log2_in_two_parts(const F& a, const F& y) {
  const auto [exponent, f] = split_float(a);
  // s = f / (2 + f)
  const F sum = f + 2.0;
  const F sum_low = f - (sum - 2.0);
  const F inverse = 1.0 / sum;
  const F s = f * inverse;
  const F s_low = fma(-s, sum_low, fma(-s, sum, f)) * inverse;
  const F square = s * s;
  const F square_low = fma(s + s, s_low, fma(s, s, -square));
  const TwoPart<F> z = {square, square_low};
  // log2(1 + f) = s (c1 + z (c3 + z (c5 + z p(z))))
  constexpr double kFifth = 0x1.2776c50ef9bfep-1, kFifthLow = 0x1.e4b29ccc535d4p-55;
  const F tail = square * polynomial(square, kPowAtanhF64);
  const F fifth = tail + kFifth;
  const F fifth_low = ((kFifth - fifth) + tail) + kFifthLow;
  const TwoPart<F> third =
      add_product(0x1.ec709dc3a03fdp-1, 0x1.d27f05548af0cp-55, z, {fifth, fifth_low});
  const TwoPart<F> factor = add_product(0x1.71547652b82fep+1, 0x1.777d0ffda0d24p-55, z, third);
  const F log2 = s * factor.high;
  const F log2_low = fma(s, factor.high, -log2) + fma(s, factor.low, s_low * factor.high);
  const F total = exponent + log2;
  const F total_low = ((exponent - total) + log2) + log2_low;
  const F product = y * total;
  const F product_low = fma(y, total_low, fma(y, total, -product));
  // an infinite or absurd product is cut here, and its low part with it
  return {min(max(product, y.like(-1100.0)), y.like(1030.0)),
          min(max(product_low, y.like(-0x1p-40)), y.like(0x1p-40))};
}

/// 2^(high + low), rounded once, for parts bounded as the functions above do.
template <class F>
F exp2(const TwoPart<F>& x) {
  const F bounded =
      F::kBits == 32 ? min(max(x.high, x.high.like(-160.0)), x.high.like(130.0)) : x.high;
  const auto n = round_product(bounded, 1.0);
  const F f = (bounded - n.value) + x.low;
  const F p = fma(f, polynomial(f, kExp2F32, kExp2F64), 1.0);
  return scale_in_two_steps(p, n.low_bits, bounded < 0.0);
}

/// x^y within 2.5 ULP (float64: 3), with the special cases of C99 Annex F.
template <class F>
F pow(const F& x, const F& y) {
  const F a = abs(x);
  const F bounded =
      min(max(y, y.like(-0x1p80)), y.like(0x1p80));  // so that log2(1) = 0 times y stays 0
  const F ordinary = [&] {
    if constexpr (F::kBits == 32) {
      return exp2(scaled_log2_by_widening(a, bounded));
    } else {
      return exp2(scaled_log2_in_two_parts(a, bounded));
    }
  }();
  const auto y_negative = y < 0.0;
  const F of_zero = select(y_negative, x.like(kInfinity), x.like(0.0));
  const F of_infinity = select(y_negative, x.like(0.0), x.like(kInfinity));
  const F magnitude = select(a == 0.0, of_zero, select(a == kInfinity, of_infinity, ordinary));
  const F half = y * 0.5;
  const auto y_integer = floor(y) == y;
  const auto y_odd = y_integer & !(floor(half) == half);
  const F with_sign = select(y_odd, with_sign_of(magnitude, x), magnitude);
  const auto invalid = ((x < 0.0) & !(y_integer) & (x > -kInfinity)) | !((x == x) & (y == y));
  const F value = select(invalid, x.like(kNaN), with_sign);
  return select((x == 1.0) | (y == 0.0), x.like(1.0), value);
}

}  // namespace tenon::math
