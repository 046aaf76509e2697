#include "tenon/te/renew.h"

#include <algorithm>
#include <unordered_set>

#include "te/checks.h"
#include "tenon/ir/builder.h"
#include "tenon/te/scan.h"
#include "tenon/te/scatter.h"

namespace tenon::te {
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
    return read(as_tensor(l->buffer), indices);
  });
}

/// `variables`, and the axes of `t` at `indices`.
VarMap axes_at(const Tensor& t, const std::vector<Expr>& indices, const VarMap& variables = {}) {
  VarMap at = variables;
  for (std::size_t d = 0; d < t->axes.size(); ++d) at[t->axes[d].var.get()] = indices[d];
  return at;
}

/// The gradient of `t`, written for tensors that are replaced.
VjpRule renewed_rule(const Tensor& t, const TensorMap& replaced, const VarMap& variables) {
  VjpRule rule = *t->vjp_rule;
  for (Tensor& x : rule.inputs) {
    const auto it = replaced.find(x.get());
    if (it != replaced.end()) x = it->second;
  }
  if (!rule.pull_back) return rule;
  std::vector<Tensor> keys;  // kept, so that no other tensor gets the address of one
  for (const auto& [from, to] : replaced) keys.emplace_back(static_cast<const TensorNode*>(from));
  rule.pull_back = [t, replaced, keys, variables](const Tensor& output, const Tensor& cotangent) {
    // What the rule makes may use the steps of the scans that it was written in.
    std::vector<std::unique_ptr<StepScope>> steps;
    for (const auto& [v, value] : variables) {
      if (static_cast<const VarNode*>(v)->symbol == nullptr)
        steps.push_back(std::make_unique<StepScope>(Expr(v)));
    }
    TensorMap all = replaced;
    all[t.get()] = output;
    std::vector<Tensor> found = t->vjp_rule->pull_back(t, cotangent), behind;
    for (const Tensor& x : found) {
      if (x) behind.push_back(x);
    }
    ScanMap scans;
    for (const Tensor& x : in_order(behind, all)) {
      if (x->kind != TensorKind::kPlaceholder && x->kind != TensorKind::kState)
        all[x.get()] = renew(x, all, variables, "", &scans);
    }
    for (Tensor& x : found) {
      const auto it = x ? all.find(x.get()) : all.end();
      if (it != all.end()) x = it->second;
    }
    return found;
  };
  return rule;
}

void give_rule(const Tensor& made, const Tensor& t, const TensorMap& replaced,
               const VarMap& variables) {
  if (!t->vjp_rule) return;
  const_cast<TensorNode*>(made.get())->vjp_rule =  // nobody else has seen it yet
      std::make_shared<const VjpRule>(renewed_rule(t, replaced, variables));
}

/// The results of the scan, made again.
std::vector<Tensor> renewed_scan(const Scan& s, const std::string& name, const Renewal& renewal) {
  std::vector<Tensor> init;
  for (const Tensor& x : s.init) init.push_back(renewal.whole(x));
  const auto step = [&](const Expr& t, const std::vector<Tensor>& states) {
    TensorMap own;
    ScanMap scans;
    for (std::size_t i = 0; i < states.size(); ++i) own[s.states[i].get()] = states[i];
    Renewal inner = renewal;
    inner.read = [&](const Tensor& x, const std::vector<Expr>& at) {
      const auto it = own.find(x.get());
      return it == own.end() ? renewal.read(x, at) : te::read(it->second, at);
    };
    inner.whole = [&](const Tensor& x) {
      const auto it = own.find(x.get());
      return it == own.end() ? renewal.whole(x) : it->second;
    };
    inner.variables[s.step.var.get()] = t;
    inner.scans = &scans;
    for (const Tensor& x : s.body) {
      const Tensor made = renew(x, inner);
      if (x->vjp_rule && renewal.keeps_rules) {
        TensorMap replaced = own;
        for (const Tensor& input : x->vjp_rule->inputs) {
          if (replaced.count(input.get()) == 0) replaced[input.get()] = renewal.whole(input);
        }
        give_rule(made, x, replaced, inner.variables);
      }
      own[x.get()] = made;
    }
    std::vector<Tensor> next;
    for (const Tensor& x : s.next) next.push_back(inner.whole(x));
    return next;
  };
  return scan(substitute(s.step.domain.extent, renewal.variables), init, step, name);
}

}  // namespace

Expr element_of(const Tensor& t, const std::vector<Expr>& indices, const ReadFunction& read) {
  return with_reads(t->body, axes_at(t, indices), read);
}

Tensor renew(const Tensor& t, const Renewal& renewal) {
  const SpanScope span(t->span);
  const std::string& name = renewal.name.empty() ? t->name : renewal.name;
  if (t->kind == TensorKind::kScan) {
    const Scan& s = *t->scan;
    if (renewal.scans != nullptr) {
      const auto known = renewal.scans->find(&s);
      if (known != renewal.scans->end()) return known->second[t->state];
    }
    const std::vector<Tensor> made =
        renewed_scan(s, renewal.name.empty() ? s.name : renewal.name, renewal);
    if (renewal.scans != nullptr) (*renewal.scans)[&s] = made;
    return made[t->state];
  }
  if (t->kind == TensorKind::kScatter) {
    const auto places = [&](const std::vector<Expr>& position) {
      std::vector<Expr> place;
      for (const Expr& index : t->indices) {
        place.push_back(
            with_reads(unchecked(index), axes_at(t, position, renewal.variables), renewal.read));
      }
      return place;
    };
    return scatter(renewal.whole(t->init), PlaceFunction(places), renewal.whole(t->updates),
                   t->mode, name);
  }
  std::vector<Expr> shape;
  for (const Expr& e : t->shape) shape.push_back(substitute(e, renewal.variables));
  std::vector<std::string> axis_names;
  for (const IterVar& axis : t->axes) axis_names.push_back(axis.var.as<VarNode>()->name);
  const auto body = [&](const std::vector<Expr>& indices) {
    return with_reads(t->body, axes_at(t, indices, renewal.variables), renewal.read);
  };
  return compute(std::move(shape), body, name, std::move(axis_names));
}

Tensor renew(const Tensor& t, const TensorMap& replaced, const VarMap& variables,
             const std::string& name, ScanMap* scans) {
  const auto renewed = [&](const Tensor& x) {
    const auto it = replaced.find(x.get());
    return it == replaced.end() ? x : it->second;
  };
  const auto read = [&](const Tensor& x, const std::vector<Expr>& at) {
    return te::read(renewed(x), at);
  };
  const Tensor made = renew(t, {.read = read,
                                .whole = renewed,
                                .variables = variables,
                                .name = name,
                                .scans = scans,
                                .keeps_rules = true});
  give_rule(made, t, replaced, variables);
  return made;
}

std::vector<Tensor> in_order(const std::vector<Tensor>& roots, const TensorMap& known,
                             bool with_rules) {
  std::vector<Tensor> order;
  std::unordered_set<const BufferNode*> done;
  std::vector<std::pair<Tensor, bool>> stack;  // a tensor, and whether its operands are done
  for (std::size_t i = roots.size(); i-- > 0;) stack.emplace_back(roots[i], false);
  while (!stack.empty()) {
    auto [t, is_finished] = stack.back();
    stack.pop_back();
    if (is_finished) {
      if (done.insert(t.get()).second) order.push_back(t);
      continue;
    }
    if (done.count(t.get()) != 0 || known.count(t.get()) != 0) continue;
    stack.emplace_back(t, true);
    for (const Tensor& x : operands_of(t)) stack.emplace_back(x, false);
    if (!with_rules) continue;
    if (t->vjp_rule) {
      for (const Tensor& x : t->vjp_rule->inputs) stack.emplace_back(x, false);
    }
    if (t->scan) {
      for (const Tensor& x : rule_inputs_of(*t->scan)) stack.emplace_back(x, false);
    }
  }
  return order;
}

std::vector<Tensor> replace(const std::vector<Tensor>& roots, TensorMap replaced) {
  ScanMap scans;
  for (const Tensor& t : in_order(roots, replaced, true)) {
    std::vector<Tensor> behind = operands_of(t);
    if (t->vjp_rule)
      behind.insert(behind.end(), t->vjp_rule->inputs.begin(), t->vjp_rule->inputs.end());
    if (t->scan) {
      for (const Tensor& x : rule_inputs_of(*t->scan)) behind.push_back(x);
    }
    const bool is_changed = std::any_of(behind.begin(), behind.end(), [&](const Tensor& x) {
      return replaced.count(x.get()) != 0;
    });
    if (is_changed) replaced[t.get()] = renew(t, replaced, {}, "", &scans);
  }
  std::vector<Tensor> out;
  for (const Tensor& t : roots) {
    const auto it = replaced.find(t.get());
    out.push_back(it == replaced.end() ? t : it->second);
  }
  return out;
}

std::vector<Tensor> rule_inputs_of(const Scan& scan) {
  std::unordered_set<const BufferNode*> known;
  for (const auto* tensors : {&scan.states, &scan.body, &scan.operands}) {
    for (const Tensor& t : *tensors) known.insert(t.get());
  }
  std::vector<Tensor> out;
  const auto add = [&](const Tensor& t) {
    if (known.insert(t.get()).second) out.push_back(t);
  };
  for (const Tensor& t : scan.body) {
    if (t->vjp_rule) std::for_each(t->vjp_rule->inputs.begin(), t->vjp_rule->inputs.end(), add);
    if (t->scan) {
      for (const Tensor& x : rule_inputs_of(*t->scan)) add(x);
    }
  }
  return out;
}

}  // namespace tenon::te
