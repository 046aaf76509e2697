#pragma once

/// Derivatives of tensor expressions.
///
/// Everything here takes tensors and returns tensors, so that a gradient is scheduled, fused and
/// differentiated again like anything else. How it is done: docs/design/autodiff.md.
///
/// **Conventions.** `min` and `max` reductions give the whole cotangent to the lowest index that
/// has the result; `minimum` and `maximum` to their first operand where both are equal; abs has
/// derivative 0 at 0; floor, ceil, round, trunc, comparisons, integers and bools have derivative 0.
/// The branch that a select does not take contributes nothing and is not evaluated. A product is
/// differentiated without division, in the square of its number of terms. Cotangents have the dtype
/// of their tensors.

#include <functional>
#include <vector>

#include "tenon/te/tensor.h"

namespace tenon::autodiff {

/// The cotangents of `inputs`: sums over outputs of cotangent times derivative (reverse mode).
///
/// `inputs` are placeholders or intermediate tensors, each a variable of its own. A null cotangent
/// stands for ones, which only a scalar output may have. A null result says that no output depends
/// on that input; the others are distinct computed tensors of the inputs' shapes and dtypes.
///
/// ExpressionError [E0160] for lists of different lengths, DTypeError [E0530] for an input that is
/// no float, [E0531] for a cotangent of another dtype than its output, ShapeError [E0430] for one
/// of another shape, [E0431] for an output that is no scalar and has no cotangent.
std::vector<te::Tensor> vjp(const std::vector<te::Tensor>& outputs,
                            const std::vector<te::Tensor>& inputs,
                            const std::vector<te::Tensor>& cotangents);

/// The tangents of `outputs`: sums over inputs of derivative times tangent (forward mode). A null
/// tangent stands for zero, a null result says that the output depends on no input with a tangent.
///
/// ExpressionError [E0160] for lists of different lengths, DTypeError [E0530] for an input that is
/// no float, [E0531] for a tangent of another dtype than its input, ShapeError [E0430] for one of
/// another shape.
std::vector<te::Tensor> jvp(const std::vector<te::Tensor>& outputs,
                            const std::vector<te::Tensor>& inputs,
                            const std::vector<te::Tensor>& tangents);

}  // namespace tenon::autodiff
