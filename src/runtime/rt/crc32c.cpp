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
__attribute__((target("sse4.2"))) std::uint32_t crc32c_by_instruction(std::uint32_t crc,
                                                                      const unsigned char* p,
                                                                      std::size_t bytes) {
  std::uint64_t value = ~crc;
  for (; bytes >= 8; bytes -= 8, p += 8) {
    std::uint64_t word;
    memcpy(&word, p, 8);
    value = _mm_crc32_u64(value, word);
  }
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
