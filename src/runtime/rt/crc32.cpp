#include "runtime/rt/crc32.h"

namespace tenon::rt {
namespace {

struct Table {
  std::uint32_t row[8][256] = {};
};

constexpr Table make_table() {
  Table table;
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t value = i;
    for (int k = 0; k < 8; ++k) value = (value & 1u) != 0 ? (value >> 1) ^ 0xedb88320u : value >> 1;
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

}  // namespace

std::uint32_t crc32(std::uint32_t crc, const void* data, std::size_t bytes) {
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

}  // namespace tenon::rt
