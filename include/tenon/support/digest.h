#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace tenon {

/// A 128-bit digest of bytes: two FNV-1a sums with different starts. Finds buckets and damage; it
/// is no protection against someone who wants two inputs to meet (keys are compared whole).
class Digest {
 public:
  void add(const void* data, std::size_t bytes) {
    const auto* at = static_cast<const unsigned char*>(data);
    for (std::size_t i = 0; i < bytes; ++i) {
      low_ = (low_ ^ at[i]) * kPrime;
      high_ = (high_ ^ (at[i] + 0x5bu)) * kPrime;
    }
  }
  std::uint64_t low() const { return low_; }
  /// 32 characters.
  std::string hex() const {
    std::string text;
    for (const std::uint64_t word : {high_, low_}) {
      for (int shift = 60; shift >= 0; shift -= 4) text += "0123456789abcdef"[(word >> shift) & 15];
    }
    return text;
  }

 private:
  static constexpr std::uint64_t kPrime = 0x100000001b3;
  std::uint64_t low_ = 0xcbf29ce484222325;
  std::uint64_t high_ = 0x9ae16a3b2f90404f;
};

}  // namespace tenon
