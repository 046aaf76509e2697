#pragma once

/// Walks over DAGs of tensors.

#include <functional>
#include <unordered_map>
#include <vector>

#include "tenon/ir/visit.h"
#include "tenon/te/tensor.h"

namespace tenon::graph {

/// The loads of an element, each once.
std::vector<const LoadNode*> loads_of(const Expr& body);

/// The computed tensors behind `outputs`, producers first.
std::vector<te::Tensor> computed_tensors(const std::vector<te::Tensor>& outputs);

/// The element of `t` at `indices`, with every read of a tensor replaced by `read`.
Expr element_of(const te::Tensor& t, const std::vector<Expr>& indices,
                const std::function<Expr(const te::Tensor&, const std::vector<Expr>&)>& read);

/// `t` with other tensors where it reads those in `replaced`, other sizes for symbols, and perhaps
/// another name.
te::Tensor rebuild(const te::Tensor& t,
                   const std::unordered_map<const BufferNode*, te::Tensor>& replaced,
                   const VarMap& symbols, const std::string& name = "");

}  // namespace tenon::graph
