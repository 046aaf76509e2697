#include "graph/tensors.h"

#include "tenon/ir/builder.h"
#include "tenon/te/scatter.h"

namespace tenon::graph {
namespace {

/// The index without the check, which a new read or scatter makes for itself.
const Expr& unchecked(const Expr& index) {
  const auto* c = index.as<CallNode>();
  return c != nullptr && c->name == "checked_index" ? c->args[0] : index;
}

Expr with_reads(const Expr& e, const VarMap& at, const ReadFunction& read) {
  return rewrite_exprs(substitute(e, at), [&](const Expr& x) -> Expr {
    const auto* l = x.as<LoadNode>();
    if (l == nullptr) return nullptr;
    std::vector<Expr> indices;
    for (const Expr& i : l->indices) indices.push_back(unchecked(i));
    return read(te::as_tensor(l->buffer), indices);
  });
}

VarMap axes_at(const te::Tensor& t, const std::vector<Expr>& indices) {
  VarMap at;
  for (std::size_t d = 0; d < t->axes.size(); ++d) at[t->axes[d].var.get()] = indices[d];
  return at;
}

}  // namespace

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
    for (const te::Tensor& x : te::operands_of(t)) stack.emplace_back(x, false);
  }
  return order;
}

Expr element_of(const te::Tensor& t, const std::vector<Expr>& indices, const ReadFunction& read) {
  return with_reads(t->body, axes_at(t, indices), read);
}

te::Tensor renew(const te::Tensor& t, const Renewal& renewal) {
  const SpanScope span(t->span);
  const std::string& name = renewal.name.empty() ? t->name : renewal.name;
  std::vector<std::string> axis_names;
  if (!renewal.batch) {
    for (const IterVar& axis : t->axes) axis_names.push_back(axis.var.as<VarNode>()->name);
  }
  // `own` are the indices of `t`; reads get the batch's in front.
  const auto at = [&](const std::vector<Expr>& indices, auto&& f) {
    const std::vector<Expr> own(indices.begin() + (renewal.batch ? 1 : 0), indices.end());
    return f(own, [&](const te::Tensor& x, const std::vector<Expr>& i) {
      if (!renewal.batch) return renewal.read(x, i);
      std::vector<Expr> all{indices[0]};
      all.insert(all.end(), i.begin(), i.end());
      return renewal.read(x, all);
    });
  };
  if (t->kind == te::TensorKind::kScatter) {
    const auto places = [&](const std::vector<Expr>& position) {
      return at(position, [&](const std::vector<Expr>& own, const ReadFunction& read) {
        std::vector<Expr> place;
        if (renewal.batch) place.push_back(position[0]);
        for (const Expr& index : t->indices) {
          const Expr e = with_reads(unchecked(index), axes_at(t, own), read);
          place.push_back(substitute(e, renewal.symbols));
        }
        return place;
      });
    };
    return te::scatter(renewal.whole(t->init), te::PlaceFunction(places), renewal.whole(t->updates),
                       t->mode, name);
  }
  std::vector<Expr> shape;
  if (renewal.batch) shape.push_back(renewal.batch);
  for (const Expr& e : t->shape) shape.push_back(substitute(e, renewal.symbols));
  const auto body = [&](const std::vector<Expr>& indices) {
    return at(indices, [&](const std::vector<Expr>& own, const ReadFunction& read) {
      return substitute(element_of(t, own, read), renewal.symbols);
    });
  };
  return te::compute(std::move(shape), body, name, std::move(axis_names));
}

te::Tensor renew(const te::Tensor& t,
                 const std::unordered_map<const BufferNode*, te::Tensor>& replaced,
                 const VarMap& symbols, const std::string& name) {
  const auto renewed = [&](const te::Tensor& x) {
    const auto it = replaced.find(x.get());
    return it == replaced.end() ? x : it->second;
  };
  return renew(t, {.read = [&](const te::Tensor& x,
                               const std::vector<Expr>& at) { return te::read(renewed(x), at); },
                   .whole = renewed,
                   .symbols = symbols,
                   .name = name});
}

}  // namespace tenon::graph
