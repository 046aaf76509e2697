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
/// differentiated without division. Cotangents have the dtype of their tensors.

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

struct Batched {
  std::vector<te::Tensor> inputs;   ///< new placeholders; those that are not batched as they were
  std::vector<te::Tensor> outputs;  ///< null never; with a leading axis, also where nothing depends
};

/// The same computation for a batch: each input with `is_batched` is replaced by a placeholder with
/// a leading axis of `batch_extent` (constant or symbol), and every output gets that axis. What no
/// batched input reaches is computed once.
///
/// ExpressionError [E0160] for lists of different lengths.
Batched vmap(const std::vector<te::Tensor>& outputs, const std::vector<te::Tensor>& inputs,
             const std::vector<bool>& is_batched, const Expr& batch_extent);

/// The tensor's values, through which no derivative passes.
te::Tensor stop_gradient(const te::Tensor& tensor);

/// The tensor's values with a gradient written by hand: `pull_back` takes the result and its
/// cotangent to the cotangents of `inputs` (null for zero) and is linear in the cotangent. Forward
/// mode transposes it.
///
/// When it is used: ExpressionError [E0163] for another number of cotangents than inputs,
/// DTypeError [E0531] and ShapeError [E0430] for cotangents that do not fit, GradientError [E0164]
/// when the tensor depends on a variable of differentiation otherwise than through `inputs`,
/// [E0165] for a tangent through a rule that is not linear.
te::Tensor with_vjp(
    const te::Tensor& tensor, std::vector<te::Tensor> inputs,
    std::function<std::vector<te::Tensor>(const te::Tensor&, const te::Tensor&)> pull_back);

}  // namespace tenon::autodiff
