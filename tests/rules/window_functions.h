#pragma once

/// Convolutions, their gradients and pooling as tensor expressions, for tests of their schedules.

#include "tenon/ir/function.h"

namespace tenon::testing {

/// A convolution of images: sizes, stride and padding alike in both directions.
struct Shape {
  std::int64_t n, h, w, c, oc, k, stride = 1, pad = 0, dilation = 1, groups = 1;
  std::int64_t out(std::int64_t size) const {
    return (size + 2 * pad - (k - 1) * dilation - 1) / stride + 1;
  }
};

/// y[n, i, j, o] = sum over kh, kw, c of x[n, i s + kh d - p, ...] w[kh, kw, c, o], each group of
/// output channels over its part of the input channels. `batch` is a symbol for n.
Function forward(const Shape& s, const Expr& batch = nullptr);
/// The gradient of `forward` by x, for a stride of 1: a convolution of the result's gradient.
Function input_gradient(const Shape& s);
/// The same for any stride: only terms whose position is a multiple of it.
Function strided_input_gradient(const Shape& s);
/// The gradient by w: a sum over images and output pixels.
Function weight_gradient(const Shape& s, const Expr& batch = nullptr);
/// sum or max over a window of each channel; `weighted` multiplies with weights of the channel.
Function pooling(const Shape& s, bool is_max, bool weighted);

}  // namespace tenon::testing
