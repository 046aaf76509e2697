#pragma once

/// What a schedule did to one block: its loops, and where its copies and its init stand.

#include <optional>
#include <string>
#include <vector>

#include "tenon/schedule/schedule.h"

namespace tenon::autodiff {

/// One loop around a block.
struct TiledLoop {
  std::string axis;         ///< the block's iter that the loop runs over, without its leading v
  std::int64_t extent = 0;  ///< the largest; -1 when it is not constant
  bool is_outer = false;    ///< the outermost loop of its axis: its extent follows from the others
  ForKind kind = ForKind::kSerial;
};

/// Places count loops: the number of the block's loops that are around something.
struct TilingSummary {
  struct Axis {
    std::string name;
    IterKind kind = IterKind::kSpatial;
  };
  std::vector<Axis> axes;        ///< the block's iters
  std::vector<TiledLoop> loops;  ///< outermost first
  std::string copy_scope;        ///< of the buffer that is copied back; "" for none
  std::size_t copy_place = 0;
  std::optional<std::size_t> init_place;  ///< of the init, where it was moved out of the block

  /// The factors of an axis, its outermost loop left out, outermost first.
  std::vector<std::int64_t> factors(const std::string& axis) const;
  /// "i: 7, j: 32 vectorized; order i j k i j".
  std::string text() const;
};

/// The summary of a block of a scheduled function; nothing where loops run over several iters
/// (after fuse) or a binding is no sum of loops.
std::optional<TilingSummary> summarise_tiling(const Function& f, const std::string& block);

}  // namespace tenon::autodiff
