// Windows without a product to tile: depthwise ones and pooling.

#include <algorithm>

#include "rules/gpu/window_tile.h"
#include "tenon/ir/visit.h"

namespace tenon::rules::gpu {
namespace {

constexpr std::int64_t kMaxTerms = 64;  // more are shared out (column_sum.cpp)

/// Whether some operand is read at combinations of this spatial and a reduction iter.
bool slides(const BlockInfo& info, int d) {
  for (int r = info.num_spatial; r < info.num_spatial + info.num_reduction; ++r) {
    if (rules::slides(info, d, r)) return true;
  }
  return false;
}

/// The last axis along which the result and all that depends on it are neighbours in memory; -1
/// when there is none.
int channel_axis(const BlockInfo& info) {
  constexpr int kGroup = 8;
  for (int d = info.num_spatial; d-- > 0;) {
    const auto runs = [&](const LoadNode* l) {
      return lane_stride(info, l->buffer, l->indices, d, kGroup) >= 0;
    };
    if (lane_stride(info, info.output(), info.store->indices, d, kGroup) == 1 &&
        std::all_of(info.loads.begin(), info.loads.end(), runs))
      return d;
  }
  return -1;
}

/// Threads along the channels: all of them where that is one block, else a part of 64.
TileAxis channels_of(const BlockInfo& info, int axis) {
  constexpr std::int64_t kPart = 64;
  const std::int64_t extent = extent_of(info, axis);
  const bool is_one = extent > 0 && extent <= kThreads;
  return {axis, is_one ? extent : kPart, 1};
}

}  // namespace

void bind_neighbours(RuleContext& context, const BlockInfo& info,
                     const std::optional<std::string>& consumer) {
  constexpr std::int64_t kEach = 4;
  const int first = info.num_spatial;
  const std::int64_t terms = num_iterations(info, first, first + info.num_reduction);
  const int channels = channel_axis(info);
  if (info.num_context > 0 || terms < 0 || terms > kMaxTerms || channels < 0)
    detail::raise<ScheduleError>("E0299", "no window of few terms");
  int row = -1;
  for (int d = info.num_spatial; d-- > 0 && row < 0;) {
    const bool is_long = extent_of(info, d) < 0 || extent_of(info, d) >= kEach;
    if (d != channels && is_long && slides(info, d)) row = d;
  }
  if (row < 0) detail::raise<ScheduleError>("E0299", "no axis along a window has neighbours");
  WindowTile tile;
  tile.is_shared = false;
  tile.column = channels_of(info, channels);
  std::int64_t threads = 1;
  while (2 * threads * tile.column.threads <= kThreads &&
         (extent_of(info, row) < 0 || 2 * threads * kEach <= extent_of(info, row)))
    threads *= 2;
  constexpr std::int64_t kLeastChannels = 16, kLeastThreads = 64;
  if (tile.column.threads < kLeastChannels || threads * tile.column.threads < kLeastThreads)
    detail::raise<ScheduleError>("E0299", "too few channels for the threads of a block");
  tile.rows = {{row, threads, kEach}};
  bind_window_tile(context, info, consumer, tile);
}

}  // namespace tenon::rules::gpu
