#pragma once

/// Any operator as tensors over placeholders.

#include "graph/operator.h"
#include "tenon/te/tensor.h"

namespace tenon::graph {

struct Definition {
  std::vector<te::Tensor> placeholders;  ///< one for each operand
  te::Tensor output;
};

/// What the operator of `v` computes.
Definition definition_of(const ValueNode& v);

}  // namespace tenon::graph
