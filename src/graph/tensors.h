#pragma once

/// Walks over DAGs of tensors.

#include <vector>

#include "tenon/ir/visit.h"
#include "tenon/te/renew.h"

namespace tenon::graph {

/// The loads of what a tensor computes with (its element, or the indices of a scatter), each once;
/// of a scan nothing.
std::vector<const LoadNode*> loads_of(const te::Tensor& t);
std::vector<const LoadNode*> loads_of(const Expr& e);

/// The computed tensors behind `outputs`, producers first.
std::vector<te::Tensor> computed_tensors(const std::vector<te::Tensor>& outputs);

using te::element_of;
using te::renew;
using te::TensorMap;

}  // namespace tenon::graph
