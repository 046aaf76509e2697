#include "graph/tensors.h"

#include "tenon/ir/builder.h"

namespace tenon::graph {

std::vector<const LoadNode*> loads_of(const Expr& body) {
  std::vector<const LoadNode*> found;
  post_order_visit(body, [&](const Node& n) {
    if (n.kind == NodeKind::kLoad) found.push_back(&static_cast<const LoadNode&>(n));
  });
  return found;
}

std::vector<te::Tensor> computed_tensors(const std::vector<te::Tensor>& outputs) {
  std::vector<te::Tensor> order;
  std::unordered_set<const BufferNode*> done;
  std::vector<std::pair<te::Tensor, bool>> stack;
  for (std::size_t i = outputs.size(); i-- > 0;) stack.emplace_back(outputs[i], false);
  while (!stack.empty()) {
    auto [t, is_finished] = stack.back();
    stack.pop_back();
    if (is_finished) {
      if (done.insert(t.get()).second) order.push_back(t);
      continue;
    }
    if (t->kind == te::TensorKind::kPlaceholder || done.count(t.get()) != 0) continue;
    stack.emplace_back(t, true);
    for (const LoadNode* l : loads_of(t->body)) stack.emplace_back(te::as_tensor(l->buffer), false);
  }
  return order;
}

Expr element_of(const te::Tensor& t, const std::vector<Expr>& indices,
                const std::function<Expr(const te::Tensor&, const std::vector<Expr>&)>& read) {
  VarMap at;
  for (std::size_t d = 0; d < t->axes.size(); ++d) at[t->axes[d].var.get()] = indices[d];
  return rewrite_exprs(substitute(t->body, at), [&](const Expr& e) -> Expr {
    const auto* l = e.as<LoadNode>();
    if (l == nullptr) return nullptr;
    std::vector<Expr> index;  // without the check, which the new read makes for itself
    for (const Expr& i : l->indices) {
      const auto* c = i.as<CallNode>();
      index.push_back(c != nullptr && c->name == "checked_index" ? c->args[0] : i);
    }
    return read(te::as_tensor(l->buffer), index);
  });
}

te::Tensor rebuild(const te::Tensor& t,
                   const std::unordered_map<const BufferNode*, te::Tensor>& replaced,
                   const VarMap& symbols, const std::string& name) {
  const SpanScope span(t->span);
  std::vector<Expr> shape;
  for (const Expr& e : t->shape) shape.push_back(substitute(e, symbols));
  std::vector<std::string> names;
  for (const IterVar& axis : t->axes) names.push_back(axis.var.as<VarNode>()->name);
  const auto body = [&](const std::vector<Expr>& indices) {
    const Expr element =
        element_of(t, indices, [&](const te::Tensor& x, const std::vector<Expr>& at) {
          const auto it = replaced.find(x.get());
          return te::read(it == replaced.end() ? x : it->second, at);
        });
    return substitute(element, symbols);
  };
  return te::compute(std::move(shape), body, name.empty() ? t->name : name, std::move(names));
}

}  // namespace tenon::graph
