#include <algorithm>
#include <cstring>

#include "graph/pass/pass.h"

namespace tenon::graph {
namespace {

constexpr std::int64_t kPanel = 64;

/// Blocks of 64 rows by 16 columns at a time, so that both sides stay in the cache.
template <typename T>
void pack(const T* from, T* to, std::int64_t depth, std::int64_t columns, bool is_transposed) {
  for (std::int64_t first = 0; first < columns; first += kPanel, to += depth * kPanel) {
    const std::int64_t width = std::min(kPanel, columns - first);
    if (width < kPanel) std::memset(to, 0, sizeof(T) * static_cast<std::size_t>(depth * kPanel));
    if (!is_transposed) {
      for (std::int64_t k = 0; k < depth; ++k)
        std::copy_n(from + k * columns + first, width, to + k * kPanel);
      continue;
    }
    for (std::int64_t k0 = 0; k0 < depth; k0 += 16) {
      const std::int64_t end = std::min(depth, k0 + 16);
      for (std::int64_t j = 0; j < width; ++j) {
        const T* row = from + (first + j) * depth;
        for (std::int64_t k = k0; k < end; ++k) to[k * kPanel + j] = row[k];
      }
    }
  }
}

}  // namespace

Array pack_panels(const Array& matrix, bool is_transposed) {
  const std::int64_t columns = is_transposed ? matrix.shape().front() : matrix.shape().back();
  std::int64_t depth = 1;
  for (std::size_t d = 0; d + 1 < matrix.shape().size(); ++d)
    depth *= matrix.shape()[is_transposed ? d + 1 : d];
  Array panels = Array::empty({(columns + kPanel - 1) / kPanel, depth, kPanel}, matrix.dtype());
  const auto run = [&]<typename T>(T) {
    pack(static_cast<const T*>(matrix.raw()), static_cast<T*>(panels.raw_mutable()), depth, columns,
         is_transposed);
  };
  switch (matrix.dtype().bytes()) {
    case 1:
      run(std::uint8_t{});
      break;
    case 2:
      run(std::uint16_t{});
      break;
    case 4:
      run(std::uint32_t{});
      break;
    default:
      run(std::uint64_t{});
      break;
  }
  return panels;
}

}  // namespace tenon::graph
