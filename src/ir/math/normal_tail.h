#pragma once

/// erf and the two forms of GELU. See docs/design/math.md.

#include "ir/math/exponential.h"

namespace tenon::math {

/// w Phi(-a) = mantissa * 2^power, the power in the low bits of an Int.
template <class F>
struct NormalTail {
  F mantissa;
  typename F::Int power;
};

/// w times the normal distribution's upper tail at a >= 0, with full relative accuracy, given a^2 /
/// 2 = high + low.
template <class F>
NormalTail<F> weighted_normal_tail(const F& w, const F& a, const F& high, const F& low) {
  using Form = Format<F::kBits>;
  constexpr double kCenter = F::kBits == 32 ? kTailCenterF32 : kTailCenterF64;
  // v = 1 / (a + 4), and the relative error of this v
  const F sum = a + 4.0;
  const F sum_low = a - (sum - 4.0);
  const F v = 1.0 / sum;
  const F v_error = fma(-v, sum_low, fma(-v, sum, 1.0));
  const auto p = polynomial_in_two_parts(v - kCenter, kTailF32, kTailF64);
  const auto n = round_product(high, -kLog2E);
  // the error of v as a term of the exponent: d log(v p) / d log(v) is close to 1 + 8.8 v
  const F correction = fma(v_error, fma(v, 8.8, 1.0), -low);
  const F r = fma(n.value, -Form::kLn2Hi, -high) + fma(n.value, -Form::kLn2Lo, correction);
  const F rest = fma(r * r, polynomial(r, kExpF32, kExpF64), r);
  // w v p (1 + rest), each product in two parts
  const F weight = w * v;
  const F weight_low = fma(w, v, -weight);
  const F product = weight * p.high;
  const F product_low = fma(weight, p.low, fma(weight_low, p.high, fma(weight, p.high, -product)));
  return {product + fma(product, rest, product_low), n.low_bits};
}

/// x Phi(x) = x (1 + erf(x / sqrt 2)) / 2 within 2.5 ULP (float64: 2), down to the last subnormal.
template <class F>
F gelu(const F& x) {
  using Form = Format<F::kBits>;
  const F a = min(abs(x), x.like(F::kBits == 32 ? 14.8 : 39.0));
  const F half = a * 0.5;
  const F high = half * a;
  // scaled up twice, so that neither a tiny a nor a far tail loses bits
  const auto tail = weighted_normal_tail(a * Form::kScaleUp, a, high, fma(half, a, -high));
  const F beyond = tail.mantissa * power_of_two<F>(tail.power, Form::kScale) *
                   (Form::kScaleDown * Form::kScaleDown);
  return select(x < 0.0, x.like(-0.0), x) - beyond;
}

/// x / (1 + e^-2u), u = sqrt(2 / pi) (x + 0.044715 x^3): GELU's tanh form, within 2.5 ULP (float64:
/// 2).
template <class F>
F gelu_tanh(const F& x) {
  using Form = Format<F::kBits>;
  // 2 u log2(e) = a (c + d a^2), every product in two parts
  constexpr double kC = F::kBits == 32 ? 0x1.26aec2p+1 : 0x1.26aec21bce759p+1;
  constexpr double kCLow = F::kBits == 32 ? 0x1.bce75ap-27 : 0x1.2ed2859b4314fp-53;
  constexpr double kD = F::kBits == 32 ? 0x1.a5a7d0p-4 : 0x1.a5a7cf7572a98p-4;
  constexpr double kDLow = F::kBits == 32 ? -0x1.151aaep-29 : -0x1.b91c940e4cfcfp-58;
  const F a = min(abs(x), x.like(F::kBits == 32 ? 11.0 : 21.9));
  const F square = a * a;
  const F square_low = fma(a, a, -square);
  const F cubic = square * kD;
  const F cubic_low = fma(square, kD, -cubic);
  const F factor = cubic + kC;
  const F carried = factor - cubic;
  const F factor_low = ((cubic - (factor - carried)) + (kC - carried)) +
                       (fma(square_low, kD, fma(square, kDLow, kCLow)) + cubic_low);
  const F power = a * factor;
  const F power_low = fma(a, factor_low, fma(a, factor, -power));
  const auto n = round_product(power, -1.0);
  const F f = (-power - n.value) - power_low;
  // e^-2|u| = (1 + f q) s 2^-kScale
  const F q = polynomial(f, kExp2F32, kExp2F64);
  const F s = power_of_two<F>(n.low_bits, Form::kScale);
  const F e = fma(f, q, 1.0) * s * Form::kScaleDown;
  const F denominator = e + 1.0;
  const F denominator_low = (1.0 - denominator) + e;
  const auto negative = x < 0.0;
  // what the denominator lost is taken from the numerator; 1 - e / 2 is about 1 / (1 + e), and more
  // exactness is lost on so little
  const F share = fma(f, q, 1.0) * fma(e, -0.5, 1.0);
  const F below = (a + a * fma(f, q, -(share * denominator_low))) * s;
  const F quotient = select(negative, -below, x) / denominator;
  return quotient * select(negative, x.like(Form::kScaleDown), x.like(1.0));
}

/// 1 - erf(a) = 2^-(a q(a - 2)), for float32 and a >= 1.
template <class F>
F erf_beyond_one(const F& a) {
  using Form = Format<32>;
  const F bounded = min(a, a.like(3.95));
  const F q = polynomial(bounded - 2.0, kErfcLog2F32);
  const F shifted = fma(bounded, q, Form::kRoundMagic);
  const F f = fma(-bounded, q, shifted - Form::kRoundMagic);
  const F p = fma(f, polynomial(f, kExp2F32), 1.0);
  const F s =
      F::from_bits((Form::kBias << Form::kMantissaBits) - (bits(shifted) << Form::kMantissaBits));
  return fma(-p, s, 1.0);
}

/// The error function within 1 ULP (float64: 2).
template <class F>
F erf(const F& x) {
  const F a = abs(x);
  const F near = fma(a, polynomial(a * a, kErfF32, kErfF64), a);
  const auto far = [&] {
    if constexpr (F::kBits == 32) {
      return erf_beyond_one(a);
    } else {
      const F bounded = min(a, a.like(6.0));
      const F high = bounded * bounded;
      const F low = fma(bounded, bounded, -high);
      const auto tail =
          weighted_normal_tail(a.like(2.0), bounded * 0x1.6a09e667f3bcdp+0, high, low);
      return fma(tail.mantissa, -power_of_two<F>(tail.power, 0), 1.0);
    }
  };
  return with_sign_of(select(a < 1.0, near, far()), x);
}

}  // namespace tenon::math
