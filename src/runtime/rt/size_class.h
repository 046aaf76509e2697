#pragma once

/// The sizes that pools of memory round up to: by at most an eighth, so that freed blocks fit later
/// requests.

#include <bit>
#include <cstdint>

namespace tenon::rt {

inline constexpr std::uint32_t kNumSizeClasses = 8 + (46 - 9 + 1) * 8;

struct SizeClass {
  std::uint64_t bytes;
  std::uint32_t index;  ///< below kNumSizeClasses
};

/// The class of `bytes`, at most 2^46.
inline SizeClass size_class_of(std::uint64_t bytes) {
  if (bytes <= 448) {
    const std::uint64_t units = bytes == 0 ? 1 : (bytes + 63) / 64;
    return {units * 64, static_cast<std::uint32_t>(units)};
  }
  const std::uint64_t exponent =
      static_cast<std::uint64_t>(std::bit_width(bytes < 512 ? 512 : bytes)) - 1;
  const std::uint64_t step = std::uint64_t{1} << (exponent - 3);
  const std::uint64_t rounded = (bytes + step - 1) / step * step;
  const std::uint64_t top =
      static_cast<std::uint64_t>(std::bit_width(rounded)) - 1;  // rounding may reach the next power
  const std::uint64_t eighth = (rounded >> (top - 3)) - 8;
  return {rounded, static_cast<std::uint32_t>(8 + (top - 9) * 8 + eighth)};
}

}  // namespace tenon::rt
