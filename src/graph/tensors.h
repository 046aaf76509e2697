#pragma once

/// Walks over DAGs of tensors.

#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "tenon/ir/visit.h"
#include "tenon/te/tensor.h"

namespace tenon::graph {

/// The loads of what a tensor computes with (its element, or the indices of a scatter), each once.
std::vector<const LoadNode*> loads_of(const te::Tensor& t);
std::vector<const LoadNode*> loads_of(const Expr& e);

/// The computed tensors behind `outputs`, producers first.
std::vector<te::Tensor> computed_tensors(const std::vector<te::Tensor>& outputs);

/// What stands for an element of another tensor.
using ReadFunction = std::function<Expr(const te::Tensor&, const std::vector<Expr>&)>;

/// The element of a `compute` at `indices`, with every read of a tensor replaced by `read`.
Expr element_of(const te::Tensor& t, const std::vector<Expr>& indices, const ReadFunction& read);

/// How a tensor is made again.
struct Renewal {
  ReadFunction read;
  /// What stands for the first values and the updates of a scatter.
  std::function<te::Tensor(const te::Tensor&)> whole;
  VarMap symbols = {};    ///< other sizes
  std::string name = "";  ///< empty: as it was
};

/// A tensor that computes what `t` does, of other tensors. A gradient written by hand does not come
/// along.
te::Tensor renew(const te::Tensor& t, const Renewal& renewal);

using TensorMap = std::unordered_map<const BufferNode*, te::Tensor>;
/// Likewise, with those in `replaced` in place of the tensors that it reads, and with its gradient.
te::Tensor renew(const te::Tensor& t, const TensorMap& replaced, const VarMap& symbols = {},
                 const std::string& name = "");

}  // namespace tenon::graph
