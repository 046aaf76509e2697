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
    TENON_USER_CHECK(t->kind == te::TensorKind::kCompute || t->kind == te::TensorKind::kScatter,
                     ExpressionError, "E0145", "'", t->name,
                     "' is a scan, which operators of tensor expressions cannot hold yet"
                     "\n  hint: build it as a function of its own with tn.build");
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
  if (t->kind == te::TensorKind::kScatter) {
    const auto places = [&](const std::vector<Expr>& position) {
      std::vector<Expr> place;
      for (const Expr& index : t->indices) {
        const Expr e = with_reads(unchecked(index), axes_at(t, position), renewal.read);
        place.push_back(substitute(e, renewal.symbols));
      }
      return place;
    };
    return te::scatter(renewal.whole(t->init), te::PlaceFunction(places), renewal.whole(t->updates),
                       t->mode, name);
  }
  std::vector<Expr> shape;
  for (const Expr& e : t->shape) shape.push_back(substitute(e, renewal.symbols));
  std::vector<std::string> axis_names;
  for (const IterVar& axis : t->axes) axis_names.push_back(axis.var.as<VarNode>()->name);
  const auto body = [&](const std::vector<Expr>& indices) {
    return substitute(element_of(t, indices, renewal.read), renewal.symbols);
  };
  return te::compute(std::move(shape), body, name, std::move(axis_names));
}

namespace {

/// The gradient of `t`, written for tensors that are replaced.
te::VjpRule renewed_rule(const te::Tensor& t, const TensorMap& replaced, const VarMap& symbols) {
  te::VjpRule rule = *t->vjp_rule;
  for (te::Tensor& x : rule.inputs) {
    const auto it = replaced.find(x.get());
    if (it != replaced.end()) x = it->second;
  }
  if (!rule.pull_back) return rule;
  rule.pull_back = [t, replaced, symbols](const te::Tensor& output, const te::Tensor& cotangent) {
    TensorMap all = replaced;
    all[t.get()] = output;
    std::vector<te::Tensor> found = t->vjp_rule->pull_back(t, cotangent), behind;
    for (const te::Tensor& x : found) {
      if (x) behind.push_back(x);
    }
    for (const te::Tensor& x : computed_tensors(behind)) {
      if (all.count(x.get()) == 0) all[x.get()] = renew(x, all, symbols);
    }
    for (te::Tensor& x : found) {
      const auto it = x ? all.find(x.get()) : all.end();
      if (it != all.end()) x = it->second;
    }
    return found;
  };
  return rule;
}

}  // namespace

te::Tensor renew(const te::Tensor& t, const TensorMap& replaced, const VarMap& symbols,
                 const std::string& name) {
  const auto renewed = [&](const te::Tensor& x) {
    const auto it = replaced.find(x.get());
    return it == replaced.end() ? x : it->second;
  };
  const auto read = [&](const te::Tensor& x, const std::vector<Expr>& at) {
    return te::read(renewed(x), at);
  };
  const te::Tensor made =
      renew(t, {.read = read, .whole = renewed, .symbols = symbols, .name = name});
  if (t->vjp_rule) {
    const_cast<te::TensorNode*>(made.get())->vjp_rule =  // nobody else has seen it yet
        std::make_shared<const te::VjpRule>(renewed_rule(t, replaced, symbols));
  }
  return made;
}

}  // namespace tenon::graph
