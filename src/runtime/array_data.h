#pragma once

/// What an Array handle points to.

#include <atomic>
#include <functional>
#include <memory>
#include <span>

#include "tenon/runtime/array.h"

namespace tenon {

/// Highest rank of an array, as in the plan format.
inline constexpr std::size_t kMaxRank = 64;

/// Elements of a shape; ShapeError [E0458] when a size is negative or the bytes are beyond reason.
std::int64_t checked_size(std::span<const std::int64_t> shape, DType dtype);

/// One view of some elements. Exactly one of: `pooled` (tensor.data is from the pool), `base`
/// (another view keeps the elements), `release` (someone else's memory; may be empty).
struct Array::Data {
  static constexpr std::size_t kInlineRank = 6;

  std::atomic<int> ref_count{1};
  bool pooled = false;
  bool read_only = false;
  DType dtype;
  DLTensor tensor = {};
  std::int64_t inline_dims[2 * kInlineRank];  ///< shape, then strides
  std::unique_ptr<std::int64_t[]> more_dims;  ///< the same for higher ranks
  Data* base = nullptr;
  std::function<void()> release;

  /// Shape and strides (empty: row-major) set, no memory yet.
  static Data* make(std::span<const std::int64_t> shape, std::span<const std::int64_t> strides,
                    DType dtype);
  void drop() {
    if (ref_count.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }
  ~Data();
  Data() = default;
  Data(const Data&) = delete;
  Data& operator=(const Data&) = delete;
};

}  // namespace tenon
