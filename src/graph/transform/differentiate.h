#pragma once

/// What reverse and forward mode share.

#include <string>
#include <unordered_set>

#include "graph/operator.h"
#include "tenon/te/tensor.h"

namespace tenon::graph {

/// Values that change when the inputs do, and of which derivatives can be taken.
using Active = std::unordered_set<const ValueNode*>;
Active active_values(const std::vector<Value>& order, const std::vector<Value>& inputs);

void check_differentiable(const std::vector<Value>& outputs, const std::vector<Value>& inputs);
/// `kind`: "cotangent" or "tangent".
void check_like(const char* kind, const Value& given, const Value& primal);

/// What `differentiate` returns; an error of the autodiff floor names the operator and its line.
std::vector<te::Tensor> named_errors(const ValueNode& v,
                                     const std::function<std::vector<te::Tensor>()>& differentiate);

/// a + b, where null is nothing.
Value add(const Value& a, const Value& b);

}  // namespace tenon::graph
