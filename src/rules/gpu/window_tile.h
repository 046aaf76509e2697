#pragma once

/// Tiles of reductions through windows: what a block of threads makes, and the loops for it.

#include <optional>
#include <string>
#include <vector>

#include "rules/gpu/gpu_rule.h"

namespace tenon::rules::gpu {

/// A spatial iter of a tile: so many threads, each with so many neighbours. No longer than the
/// axis: what lies outside would have to be proved to be unused.
struct TileAxis {
  int iter = -1;
  std::int64_t threads = 1, each = 1;
};

/// What a block of threads makes: one or two axes of rows by columns. Sums do not depend on it.
struct WindowTile {
  std::vector<TileAxis> rows;  ///< outermost first
  TileAxis column;             ///< on threadIdx.x
  /// Whether both operands are laid out in shared memory for each step of terms; else each thread
  /// reads them as they are.
  bool is_shared = true;
};

/// Divides `size` elements of an axis into threads and at most `each` neighbours.
TileAxis divide_axis(int iter, std::int64_t size, std::int64_t each);

/// Schedules the reduction, a nest of its own as written, in such tiles; `consumer` is an
/// element-wise block that reads the result at the same place.
void bind_window_tile(RuleContext& context, const BlockInfo& info,
                      const std::optional<std::string>& consumer, const WindowTile& tile);

}  // namespace tenon::rules::gpu
