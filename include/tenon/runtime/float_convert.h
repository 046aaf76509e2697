#pragma once

/// Conversions between float32 and the 16-bit formats: round to nearest even, subnormals kept, NaN
/// stays NaN (quiet). Elements of any float dtype as doubles.

#include <bit>
#include <cstdint>
#include <cstring>

#include "tenon/runtime/dtype.h"

namespace tenon {

/// Nearest bfloat16, as its bits; values beyond the largest become infinity.
constexpr std::uint16_t float_to_bfloat16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);
  const std::uint32_t rounding = 0x7fffu + ((bits >> 16) & 1u);
  return static_cast<std::uint16_t>((bits + rounding) >> 16);
}

/// The float32 of bfloat16 bits, exact.
constexpr float bfloat16_to_float(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

/// Nearest float16, as its bits; values that round beyond 65504 become infinity.
constexpr std::uint16_t float_to_float16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint16_t sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000u);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    return static_cast<std::uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
  }
  if (magnitude >= 0x477ff000u) return sign | 0x7c00u;  // 65520 and above round to infinity
  if (magnitude < 0x38800000u) {                        // below 2^-14: a subnormal or zero
    const std::uint32_t shift = 126u - (magnitude >> 23);
    if (shift > 24u) return sign;
    const std::uint32_t mantissa = (magnitude & 0x7fffffu) | 0x800000u;
    const std::uint32_t kept = mantissa >> shift;
    const std::uint32_t rest = mantissa & ((1u << shift) - 1u);
    const std::uint32_t half = 1u << (shift - 1u);
    const std::uint32_t up = (rest > half || (rest == half && (kept & 1u) != 0u)) ? 1u : 0u;
    return static_cast<std::uint16_t>(sign | (kept + up));
  }
  const std::uint32_t rebased = magnitude - 0x38000000u;  // exponent bias 127 -> 15
  const std::uint32_t rounding = 0xfffu + ((rebased >> 13) & 1u);
  return static_cast<std::uint16_t>(sign | ((rebased + rounding) >> 13));
}

/// The float32 of float16 bits, exact.
constexpr float float16_to_float(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
  const std::uint32_t exponent = (bits >> 10) & 0x1fu;
  const std::uint32_t mantissa = bits & 0x3ffu;
  if (exponent == 0x1fu) {
    const std::uint32_t quiet = mantissa != 0u ? 0x400000u : 0u;
    return std::bit_cast<float>(sign | 0x7f800000u | quiet | (mantissa << 13));
  }
  if (exponent == 0u) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return sign != 0u ? -magnitude : magnitude;
  }
  return std::bit_cast<float>(sign | ((exponent + 112u) << 23) | (mantissa << 13));
}

/// The element of a float dtype at an address, exact.
inline double load_float(DType dtype, const void* at) {
  double value = 0;
  float single = 0;
  std::uint16_t half = 0;
  if (dtype.bits == 64) {
    std::memcpy(&value, at, sizeof(value));
    return value;
  }
  if (dtype.bits == 32) {
    std::memcpy(&single, at, sizeof(single));
    return static_cast<double>(single);
  }
  std::memcpy(&half, at, sizeof(half));
  return static_cast<double>(dtype.code == DTypeCode::kBFloat ? bfloat16_to_float(half)
                                                              : float16_to_float(half));
}

/// Writes an element of a float dtype; 16-bit formats are rounded by way of float32.
inline void store_float(DType dtype, double value, void* at) {
  if (dtype.bits == 64) {
    std::memcpy(at, &value, sizeof(value));
    return;
  }
  const auto single = static_cast<float>(value);
  if (dtype.bits == 32) {
    std::memcpy(at, &single, sizeof(single));
    return;
  }
  const std::uint16_t half =
      dtype.code == DTypeCode::kBFloat ? float_to_bfloat16(single) : float_to_float16(single);
  std::memcpy(at, &half, sizeof(half));
}

}  // namespace tenon
