#include "runtime/rt/crc32c.h"

#include <string.h>

#include "runtime/rt/cpu_features.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace tenon::rt {
namespace {

struct Table {
  std::uint32_t row[8][256] = {};
};

constexpr Table make_table() {
  Table table;
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t value = i;
    for (int k = 0; k < 8; ++k) value = (value & 1u) != 0 ? (value >> 1) ^ 0x82f63b78u : value >> 1;
    table.row[0][i] = value;
  }
  for (int r = 1; r < 8; ++r) {
    for (std::uint32_t i = 0; i < 256; ++i) {
      table.row[r][i] = (table.row[r - 1][i] >> 8) ^ table.row[0][table.row[r - 1][i] & 0xff];
    }
  }
  return table;
}

constexpr Table kTable = make_table();

#if defined(__x86_64__)

/// The instruction takes three cycles but one can begin in each: three runs of this many bytes are
/// read at a time.
constexpr std::size_t kRunBytes = 4096;

/// What a checksum becomes when kRunBytes zeros follow, byte by byte of it.
struct ZerosTable {
  std::uint32_t row[4][256] = {};
};

constexpr ZerosTable make_zeros_table() {
  std::uint32_t of_bit[32] = {};
  for (int bit = 0; bit < 32; ++bit) {
    std::uint32_t value = 1u << bit;
    for (std::size_t i = 0; i < kRunBytes; ++i) value = (value >> 8) ^ kTable.row[0][value & 0xff];
    of_bit[bit] = value;
  }
  ZerosTable table;
  for (int r = 0; r < 4; ++r) {
    for (std::uint32_t i = 0; i < 256; ++i) {
      for (int bit = 0; bit < 8; ++bit) {
        if ((i >> bit & 1u) != 0) table.row[r][i] ^= of_bit[8 * r + bit];
      }
    }
  }
  return table;
}

constexpr ZerosTable kZeros = make_zeros_table();

std::uint64_t followed_by_zeros(std::uint64_t crc) {
  return kZeros.row[0][crc & 0xff] ^ kZeros.row[1][crc >> 8 & 0xff] ^
         kZeros.row[2][crc >> 16 & 0xff] ^ kZeros.row[3][crc >> 24 & 0xff];
}

std::uint64_t word_at(const unsigned char* p) {
  std::uint64_t word;
  memcpy(&word, p, 8);
  return word;
}

__attribute__((target("sse4.2"))) std::uint32_t crc32c_by_instruction(std::uint32_t crc,
                                                                      const unsigned char* p,
                                                                      std::size_t bytes) {
  std::uint64_t value = static_cast<std::uint32_t>(~crc);
  for (; bytes >= 3 * kRunBytes; bytes -= 3 * kRunBytes, p += 3 * kRunBytes) {
    std::uint64_t second = 0;
    std::uint64_t third = 0;
    for (std::size_t i = 0; i < kRunBytes; i += 8) {
      value = _mm_crc32_u64(value, word_at(p + i));
      second = _mm_crc32_u64(second, word_at(p + i + kRunBytes));
      third = _mm_crc32_u64(third, word_at(p + i + 2 * kRunBytes));
    }
    value = followed_by_zeros(followed_by_zeros(value) ^ second) ^ third;
  }
  for (; bytes >= 8; bytes -= 8, p += 8) value = _mm_crc32_u64(value, word_at(p));
  std::uint32_t rest = static_cast<std::uint32_t>(value);
  for (; bytes > 0; --bytes, ++p) rest = _mm_crc32_u8(rest, *p);
  return ~rest;
}

bool has_instruction() { return (cpu_features() & cpu_feature_bit("sse4.2")) != 0; }
#endif

}  // namespace

std::uint32_t crc32c_by_tables(std::uint32_t crc, const void* data, std::size_t bytes) {
  const unsigned char* p = static_cast<const unsigned char*>(data);
  crc = ~crc;
  for (; bytes >= 8; bytes -= 8, p += 8) {  // eight bytes a step: eight independent look-ups
    const std::uint32_t low =
        crc ^ (p[0] | (p[1] << 8) | (p[2] << 16) | (static_cast<std::uint32_t>(p[3]) << 24));
    crc = kTable.row[7][low & 0xff] ^ kTable.row[6][(low >> 8) & 0xff] ^
          kTable.row[5][(low >> 16) & 0xff] ^ kTable.row[4][low >> 24] ^ kTable.row[3][p[4]] ^
          kTable.row[2][p[5]] ^ kTable.row[1][p[6]] ^ kTable.row[0][p[7]];
  }
  for (; bytes > 0; --bytes, ++p) crc = (crc >> 8) ^ kTable.row[0][(crc ^ *p) & 0xff];
  return ~crc;
}

std::uint32_t crc32c(std::uint32_t crc, const void* data, std::size_t bytes) {
#if defined(__x86_64__)
  if (has_instruction())
    return crc32c_by_instruction(crc, static_cast<const unsigned char*>(data), bytes);
#endif
  return crc32c_by_tables(crc, data, bytes);
}

}  // namespace tenon::rt
