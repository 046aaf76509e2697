#include "graph/tensors.h"

#include "tenon/ir/visit.h"

namespace tenon::graph {
std::vector<const LoadNode*> loads_of(const Expr& e) {
  std::vector<const LoadNode*> found;
  post_order_visit(e, [&](const Node& n) {
    if (n.kind == NodeKind::kLoad) found.push_back(&static_cast<const LoadNode&>(n));
  });
  return found;
}

std::vector<const LoadNode*> loads_of(const te::Tensor& t) {
  std::vector<const LoadNode*> found;
  if (t->body) found = loads_of(t->body);
  for (const Expr& index : t->indices) {
    for (const LoadNode* l : loads_of(index)) found.push_back(l);
  }
  return found;
}

std::vector<te::Tensor> computed_tensors(const std::vector<te::Tensor>& outputs) {
  std::vector<te::Tensor> order;
  for (const te::Tensor& t : te::in_order(outputs)) {
    const bool is_leaf =
        t->kind == te::TensorKind::kPlaceholder || t->kind == te::TensorKind::kState;
    if (!is_leaf) order.push_back(t);
  }
  return order;
}

}  // namespace tenon::graph
