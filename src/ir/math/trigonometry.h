#pragma once

/// sin and cos. See docs/design/math.md.

#include <array>

#include "ir/math/format.h"

namespace tenon::math {

/// |x| = quadrant * pi / 2 + high + low, |high| <= pi / 4 (a little more); only the quadrant's two
/// lowest bits count.
template <class F>
struct ReducedAngle {
  F high, low;
  typename F::Int quadrant;
};

/// Constants of the two reductions.
template <int bits>
struct AngleFormat;

template <>
struct AngleFormat<32> {
  static constexpr double kNearLimit = 0x1p16;  ///< below this the Cody-Waite reduction holds
  static constexpr double kHalfPi[3] = {0x1.921fb6p+0, -0x1.777a5cp-25, -0x1.ee59dap-50};
  static constexpr int kLeadingZeros = 12;
  static constexpr int kIndexBits = 2;
  /// 2 / pi from its binary point on, behind kLeadingZeros zeros.
  static constexpr std::array<std::int64_t, 7> kTwoOverPi = {
      0x000a2f98, 0x36e4e441, 0x529fc275, 0x7d1f534d, 0xdc0db629, 0x5993c439, 0x041fe516};
  static constexpr int kDroppedBits = 8;  ///< what a float does not hold of a fraction's first word
};

template <>
struct AngleFormat<64> {
  static constexpr double kNearLimit = 0x1p16;
  static constexpr double kHalfPi[3] = {0x1.921fb54442d18p+0, 0x1.1a62633145c07p-54,
                                        -0x1.f1976b7ed8fbcp-110};
  static constexpr int kLeadingZeros = 40;
  static constexpr int kIndexBits = 4;
  static constexpr std::array<std::uint64_t, 19> kTwoOverPi = {
      0x0000000000a2f983, 0x6e4e441529fc2757, 0xd1f534ddc0db6295, 0x993c439041fe5163,
      0xabdebbc561b7246e, 0x3a424dd2e006492e, 0xea09d1921cfe1deb, 0x1cb129a73ee88235,
      0xf52ebb4484e99c70, 0x26b45f7e413991d6, 0x39835339f49c845f, 0x8bbdf9283b1ff897,
      0xffde05980fef2f11, 0x8b5a0a6d1f6d367e, 0xcf27cb09b74f463f, 0x669e5fea2d7527ba,
      0xc7ebe5f17b3d0739, 0xf78a5292ea6bfb5f, 0xb11f8d5d08560330};
  static constexpr int kDroppedBits = 10;
};

/// The reduction of 0 <= a < kNearLimit: three constants, the first two steps exact, the rest kept
/// in `low`.
template <class F>
ReducedAngle<F> reduce_near(const F& a) {
  const auto& c = AngleFormat<F::kBits>::kHalfPi;
  const F shifted = fma(a, 0x1.45f306dc9c883p-1, Format<F::kBits>::kRoundMagic);
  const F n = shifted - Format<F::kBits>::kRoundMagic;
  const F first = fma(n, -c[0], a);
  const F second = n * c[1];
  const F high = first - second;
  const F low = fma(n, -c[2], ((first - high) - second) - fma(n, c[1], -second));
  return {high, low, bits(shifted)};
}

/// The three words of 2 / pi that begin at bit `start` (from 0 to 2^kIndexBits words less one bit).
template <class F>
std::array<typename F::Int, 3> two_over_pi_window(const typename F::Int& start) {
  using Angle = AngleFormat<F::kBits>;
  using Int = typename F::Int;
  constexpr int kWordBits = F::kBits;
  constexpr int kLog2WordBits = kWordBits == 32 ? 5 : 6;
  std::array<Int, Angle::kTwoOverPi.size()> words;
  std::size_t count = words.size();
  for (std::size_t i = 0; i < count; ++i) {
    words[i] = start.like(static_cast<std::int64_t>(Angle::kTwoOverPi[i]));
  }
  for (int bit = Angle::kIndexBits - 1; bit >= 0; --bit) {
    const std::size_t step = std::size_t{1} << bit;
    const auto is_clear = (start & (std::int64_t{1} << (kLog2WordBits + bit))) == 0;
    count = step + 3;  // what the lower bits of the index may still reach
    for (std::size_t i = 0; i < count; ++i) words[i] = select(is_clear, words[i], words[i + step]);
  }
  const Int left = start & (kWordBits - 1);
  const Int right = (kWordBits - 1) - left;
  std::array<Int, 3> out;
  for (std::size_t i = 0; i < 3; ++i) {
    out[i] = (words[i] << left) | shift_right_logical(shift_right_logical(words[i + 1], 1), right);
  }
  return out;
}

/// The reduction of any finite a >= kNearLimit by the method of Payne and Hanek: the bits of 2 / pi
/// whose products can matter are multiplied with the mantissa as integers.
template <class F>
ReducedAngle<F> reduce_far(const F& a) {
  using Form = Format<F::kBits>;
  using Angle = AngleFormat<F::kBits>;
  using Int = typename F::Int;
  constexpr int kWordBits = F::kBits;
  constexpr int kDropped = Angle::kDroppedBits;
  constexpr int kKept =
      Form::kMantissaBits + 1 - kDropped;  // of the second word, beside those dropped of the first
  const Int pattern = bits(a);
  const Int mantissa = (pattern & Form::kMantissaMask) | (Form::kMantissaMask + 1);
  // a = mantissa * 2^e; bits of weight 4 and more vanish, so the window starts at bit e - 2
  const Int start = shift_right_logical(pattern, Form::kMantissaBits) -
                    (Form::kBias + Form::kMantissaBits + 2 - Angle::kLeadingZeros);
  const auto window = two_over_pi_window<F>(start);
  const Int middle = mantissa * window[1];
  const Int second = middle + multiply_high(mantissa, window[2]);
  const Int carry = select(less_unsigned(second, middle), middle.like(1), middle.like(0));
  const Int first = mantissa * window[0] + multiply_high(mantissa, window[1]) + carry;
  const Int quadrant =
      shift_right_logical(first + (std::int64_t{1} << (kWordBits - 3)), kWordBits - 2);
  const Int fraction = first - (quadrant << (kWordBits - 2));
  // the fraction as three floats, each exact
  constexpr std::int64_t kLowMask = (std::int64_t{1} << kDropped) - 1;
  constexpr double kUnit = kWordBits == 32 ? 0x1p-30 : 0x1p-62;
  constexpr double kUnitNext = kWordBits == 32 ? 0x1p-46 : 0x1p-105;
  constexpr double kUnitLast = kWordBits == 32 ? 0x1p-62 : 0x1p-126;
  const F top = F::from_int(fraction & ~kLowMask) * kUnit;
  const F next = F::from_int(((fraction & kLowMask) << kKept) |
                             shift_right_logical(second, kWordBits - kKept)) *
                 kUnitNext;
  const F last = F::from_int(second & ((std::int64_t{1} << (kWordBits - kKept)) - 1)) * kUnitLast;
  const F turn = top + next;
  const F turn_low = ((top - turn) + next) + last;
  const F high = turn * Angle::kHalfPi[0];
  const F low = fma(turn, Angle::kHalfPi[0], -high) +
                fma(turn, Angle::kHalfPi[1], turn_low * Angle::kHalfPi[0]);
  return {high, low, quadrant};
}

/// sin (offset 0) or cos (offset 1) of |x|, sign of x left aside.
template <class F>
F sine_of_magnitude(const F& x, std::int64_t offset) {
  const F a = abs(x);
  const auto near = reduce_near(a);
  const auto far = reduce_far(a);
  const auto is_near = a < AngleFormat<F::kBits>::kNearLimit;
  const F r = select(is_near, near.high, far.high);
  const F low = select(is_near, near.low, far.low) + (a - a);  // NaN for infinity
  const auto quadrant = select(is_near, near.quadrant, far.quadrant) + offset;
  const F square = r * r;
  const F half = square * 0.5;
  const F most = 1.0 - half;
  const F sine = r + fma(square * r, polynomial(square, kSinF32, kSinF64), low * most);
  const F fourth = fma(square * square, polynomial(square, kCosF32, kCosF64), -(r * low));
  const F cosine = most + (((1.0 - most) - half) + fourth);
  const F value = select((quadrant & 1) == 0, sine, cosine);
  return F::from_bits(bits(value) ^ ((quadrant & 2) << (F::kBits - 2)));
}

/// The sine within 1 ULP, for every argument; NaN for infinities.
template <class F>
F sin(const F& x) {
  const F magnitude = sine_of_magnitude(x, 0);
  return F::from_bits(bits(magnitude) ^ (bits(x) & Format<F::kBits>::kSignMask));
}

/// The cosine within 1 ULP, for every argument; NaN for infinities.
template <class F>
F cos(const F& x) {
  return sine_of_magnitude(x, 1);
}

}  // namespace tenon::math
