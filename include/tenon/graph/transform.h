#pragma once

/// Derivatives and batches of graphs. Everything here takes values and returns values, so that
/// results are fused, compiled and differentiated again like anything else. How it is done:
/// docs/design/network_gradients.md.

#include <functional>
#include <memory>
#include <vector>

#include "tenon/graph/value.h"

namespace tenon::graph {

/// The cotangents of `inputs` (reverse mode): sums over outputs of cotangent times derivative.
///
/// A null cotangent stands for one, which only a scalar output may have. A null result says that no
/// output depends on that input. Values that are computed before an input do not count: an input is
/// a variable of its own.
///
/// ShapeError [E0487] for an output that is no scalar and has no cotangent, [E0488] for a cotangent
/// of another shape; DTypeError [E0541] for an input or output that is no float, [E0542] for a
/// cotangent of another dtype; ExpressionError [E0185] when an operator on the way has no
/// derivative.
std::vector<Value> vjp(const std::vector<Value>& outputs, const std::vector<Value>& inputs,
                       const std::vector<Value>& cotangents);

/// The tangents of `outputs` (forward mode) for tangents of `inputs`; a null tangent stands for
/// zero. A null result says that the output depends on no input with a tangent. Errors are those of
/// vjp.
std::vector<Value> jvp(const std::vector<Value>& outputs, const std::vector<Value>& inputs,
                       const std::vector<Value>& tangents);

/// `outputs` for each element of a batch: `batches` holds for each of `inputs` values with a
/// leading dimension of size `extent`, or the value of all elements where `is_batched` is false.
/// The result has that leading dimension where `result_is_batched` says so.
std::vector<Value> vmap(const std::vector<Value>& outputs, const std::vector<Value>& inputs,
                        const std::vector<Value>& batches, const std::vector<bool>& is_batched,
                        const Expr& extent, std::vector<bool>* result_is_batched);

/// `outputs` computed from `replacements` in place of `inputs`.
std::vector<Value> replace_inputs(const std::vector<Value>& outputs,
                                  const std::vector<Value>& inputs,
                                  const std::vector<Value>& replacements);

/// A derivative that stands for that of the definition.
struct CustomGradient {
  /// The cotangents of the arguments (null: none), from the residuals and the result's cotangent;
  /// linear in the latter.
  std::function<std::vector<Value>(std::vector<Value> residuals, const Value& cotangent)> vjp;
};

/// `result`, computed from `arguments`, with `gradient` as its derivative with respect to them.
/// Compilation drops arguments, residuals and rule.
Value make_custom_vjp(const Value& result, const std::vector<Value>& arguments,
                      const std::vector<Value>& residuals,
                      std::shared_ptr<const CustomGradient> gradient);

}  // namespace tenon::graph
