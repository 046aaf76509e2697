#include "tenon/runtime/float_convert.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace tenon {
namespace {

/// The nearest of all finite values of a 16-bit format, ties to the even pattern; the slow
/// definition.
template <typename Decode>
std::uint16_t nearest(float value, Decode decode, std::uint16_t largest) {
  const std::uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const double magnitude = std::fabs(static_cast<double>(value));
  std::uint16_t low = 0;
  std::uint16_t high = largest;
  while (low < high) {  // the largest pattern whose value is at most magnitude
    const std::uint16_t middle = static_cast<std::uint16_t>((low + high + 1) / 2);
    if (static_cast<double>(decode(middle)) <= magnitude) {
      low = middle;
    } else {
      high = static_cast<std::uint16_t>(middle - 1);
    }
  }
  const double below = decode(low);
  const double step =
      below - static_cast<double>(decode(static_cast<std::uint16_t>(low == 0 ? 0 : low - 1)));
  const double above = low == largest
                           ? below + step
                           : static_cast<double>(decode(static_cast<std::uint16_t>(low + 1)));
  const bool up = magnitude - below > above - magnitude ||
                  (magnitude - below == above - magnitude && (low & 1) != 0);
  return static_cast<std::uint16_t>(sign | (low + (up ? 1 : 0)));
}

TEST(FloatConvertTest, every_16_bit_value_survives_a_round_trip) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const std::uint16_t b = static_cast<std::uint16_t>(bits);
    const float half = float16_to_float(b);
    const float brain = bfloat16_to_float(b);
    if (std::isnan(half)) {
      EXPECT_TRUE(std::isnan(float16_to_float(float_to_float16(half))));
    } else {
      EXPECT_EQ(float_to_float16(half), b);
    }
    if (std::isnan(brain)) {
      EXPECT_TRUE(std::isnan(bfloat16_to_float(float_to_bfloat16(brain))));
    } else {
      EXPECT_EQ(float_to_bfloat16(brain), b);
    }
  }
}

TEST(FloatConvertTest, rounds_to_nearest_even_as_the_definition_says) {
  for (std::uint64_t i = 0; i < (std::uint64_t{1} << 32); i += 10007) {
    const float value = std::bit_cast<float>(static_cast<std::uint32_t>(i));
    if (!std::isfinite(value)) continue;
    ASSERT_EQ(float_to_bfloat16(value), nearest(value, bfloat16_to_float, 0x7f7f)) << value;
    ASSERT_EQ(float_to_float16(value),
              nearest(std::fmin(std::fmax(value, -65520.0F), 65520.0F), float16_to_float, 0x7bff))
        << value;
  }
}

TEST(FloatConvertTest, limits) {
  EXPECT_EQ(float_to_float16(65504.0F), 0x7bff);
  EXPECT_EQ(float_to_float16(65519.99F), 0x7bff);
  EXPECT_EQ(float_to_float16(65520.0F), 0x7c00);
  EXPECT_EQ(float_to_float16(-std::numeric_limits<float>::infinity()), 0xfc00);
  EXPECT_EQ(float_to_float16(0x1p-25F), 0x0000);
  EXPECT_EQ(float_to_float16(0x1.000002p-25F), 0x0001);
  EXPECT_EQ(float_to_bfloat16(std::numeric_limits<float>::max()), 0x7f80);
}

}  // namespace
}  // namespace tenon
