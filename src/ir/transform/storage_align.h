#pragma once

/// Padded strides of buffers that the schedule asked for.

#include <unordered_map>

#include "tenon/ir/function.h"

namespace tenon {

/// What annotations "storage_align" of blocks ("axis:factor:offset") say of the buffers that they
/// write.
class StorageAlign {
 public:
  explicit StorageAlign(const Function& f);
  /// Gives `placed`, which takes the place of `buffer` and has its shape already, strides:
  /// row-major ones, in which the stride of the axis is the smallest that is `offset` more than a
  /// multiple of `factor`. Leaves other buffers, and symbolic strides, as they are.
  void pad(const Buffer& buffer, BufferNode* placed) const;

 private:
  struct Padding {
    std::size_t axis;
    std::int64_t factor, offset;
  };
  std::unordered_map<const BufferNode*, Padding> paddings_;
};

}  // namespace tenon
