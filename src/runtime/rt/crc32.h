#pragma once

/// CRC-32 (IEEE 802.3, as in zip and PNG).

#include <cstddef>
#include <cstdint>

namespace tenon::rt {

/// Continues `crc` (0 to begin with) over `bytes` bytes.
std::uint32_t crc32(std::uint32_t crc, const void* data, std::size_t bytes);

}  // namespace tenon::rt
