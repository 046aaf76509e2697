#pragma once

/// Windows of convolutions and pooling, as nodes say them.

#include <cstdint>
#include <vector>

#include "graph/onnx/node_view.h"

namespace tenon::onnx {

/// One number for each spatial axis.
struct NodeWindow {
  std::vector<std::int64_t> extents, strides, dilations;
  std::vector<std::int64_t> before, after;  ///< padding that windows reach
  std::vector<std::int64_t> counted_after;  ///< of `after`: what the node asks for itself

  std::size_t rank() const { return extents.size(); }
  std::int64_t span(std::size_t d) const { return (extents[d] - 1) * dilations[d] + 1; }
  /// Before and after each axis in turn, as operators of the graph have it.
  std::vector<std::int64_t> padding() const;
};

/// The window of a node over `shape` [n, c, spatial...]: its strides, dilations, pads or auto_pad,
/// ceil_mode. `extents`: of the window. ModelError [E0881] for lists of a wrong length and numbers
/// out of range; UnsupportedError [E0880] for negative padding, and where the padding depends on a
/// size that is not fixed.
NodeWindow window_of(const NodeView& n, const std::vector<Expr>& shape,
                     const std::vector<std::int64_t>& extents);
/// The attribute kernel_shape, `rank` numbers.
std::vector<std::int64_t> kernel_shape(const NodeView& n, std::size_t rank);
/// A list of `rank` numbers within [least, 2^31); `otherwise` for each when it is absent.
std::vector<std::int64_t> spatial_attr(const NodeView& n, const char* name, std::size_t rank,
                                       std::int64_t least, std::int64_t otherwise);
/// How many spatial axes operand 0 has, [n, c, spatial...]: 1 to 3.
std::size_t spatial_rank(const NodeView& n);

/// Arrays [n, c, spatial...] as [n, spatial..., c], and back.
Value channels_last(const Value& x);
Value channels_first(const Value& x);
/// The permutations that these are.
std::vector<std::int64_t> axes_to_last(std::size_t rank);
std::vector<std::int64_t> axes_to_first(std::size_t rank);

}  // namespace tenon::onnx
