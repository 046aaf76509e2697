#pragma once

/// Windows that slide over the spatial axes of channels-last arrays: what convolutions and pooling
/// share.

#include <vector>

#include "graph/operator.h"
#include "tenon/te/tensor.h"

namespace tenon::graph {

/// Attributes of a sliding window, one number for each spatial axis: `strides`, `dilations` (1 by
/// default), and `padding`, before and after each axis (0 by default).
struct Window {
  std::vector<std::int64_t> extents, strides, dilations, before, after;

  std::size_t rank() const { return extents.size(); }
  /// The elements that the window spans along an axis.
  std::int64_t span(std::size_t axis) const { return (extents[axis] - 1) * dilations[axis] + 1; }
};

/// The window of an operator, for `extents` of the window itself. ShapeError [E0438] for strides,
/// dilations or extents below 1, or not one for each axis; [E0439] for padding that is negative or
/// not two for each axis.
Window window_of(const ValueNode& v, std::vector<std::int64_t> extents);

/// How many windows fit along each spatial axis of `shape` [n, ..., c]. ShapeError [E0440] when the
/// window is larger than an axis with its padding.
std::vector<Expr> num_windows(const ValueNode& v, const Window& window,
                              const std::vector<Expr>& shape);

/// Where window element `k` of output position `o` lies, along each axis, and the condition that it
/// is no padding (null when it never is).
struct WindowIndex {
  std::vector<Expr> at;
  Expr inside;
};
WindowIndex window_index(const Window& window, const Indices& o, const std::vector<IterVar>& k,
                         const std::vector<Expr>& shape);

/// Reduction axes over the window: kw; kh, kw; kd, kh, kw.
std::vector<IterVar> window_axes(const Window& window);

/// ShapeError [E0435] unless `x` is [n, spatial..., c] with 1 to 3 spatial axes.
void check_spatial(const ValueNode& v, const Value& x);

}  // namespace tenon::graph
