#pragma once

/// Operators that are tensor expressions.

#include <string>
#include <vector>

#include "tenon/graph/value.h"
#include "tenon/te/tensor.h"

namespace tenon::graph {

/// The operator `name` that computes `outputs`, expressions over `placeholders`, which stand for
/// `inputs`: one value for each output. Such an operator is fused, shared and differentiated as any
/// other; its structural class follows from the expression.
///
/// A symbol that is a whole dimension of a placeholder takes the size of the operand. Operands that
/// nothing reads are dropped. A tensor that several outputs need becomes a value of its own, so
/// that it is computed once.
///
/// ExpressionError [E0180] for placeholders that are not one distinct placeholder for each input,
/// [E0181] for an expression over other placeholders; ShapeError [E0486] and DTypeError [E0540] for
/// an operand that does not fit its placeholder.
std::vector<Value> make_expression(const std::string& name, const std::vector<Value>& inputs,
                                   const std::vector<te::Tensor>& placeholders,
                                   const std::vector<te::Tensor>& outputs);

/// Likewise one output, which `function` computes as it is scheduled: a schedule of the te function
/// from `function_inputs`, some of the placeholders, to the output. Gradients and batches follow
/// from the expression, with default schedules.
Value make_scheduled(const std::string& name, const std::vector<Value>& inputs,
                     const std::vector<te::Tensor>& placeholders, const te::Tensor& output,
                     const Function& function, const std::vector<te::Tensor>& function_inputs);

}  // namespace tenon::graph
