#include <unordered_map>

#include "autodiff/dependence.h"
#include "autodiff/read_adjoint.h"
#include "autodiff/reduction_derivative.h"
#include "autodiff/scalar_derivative.h"
#include "autodiff/scan_derivative.h"
#include "autodiff/scatter_derivative.h"
#include "autodiff/vjp_rule.h"
#include "tenon/autodiff/autodiff.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon::autodiff {
namespace {

/// The addends at the top of an expression.
void collect_addends(const Expr& e, std::vector<Expr>* out) {
  const auto* b = e.as<BinaryNode>();
  if (b == nullptr || b->op != BinaryOp::kAdd) {
    out->push_back(e);
    return;
  }
  collect_addends(b->a, out);
  collect_addends(b->b, out);
}

/// Forward mode over tensors.
class ForwardMode {
 public:
  ForwardMode(const std::vector<te::Tensor>& outputs, const std::vector<te::Tensor>& inputs,
              const std::vector<te::Tensor>& tangents)
      : dependence_(outputs, with_tangent(inputs, tangents)) {
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (tangents[i]) given_[inputs[i].get()] = tangents[i];
    }
    for (const te::Tensor& t : dependence_.order()) tangents_[t.get()] = tangent_of_tensor(t);
  }

  te::Tensor result(const te::Tensor& output) const { return tangent_of(output); }

 private:
  static std::vector<te::Tensor> with_tangent(const std::vector<te::Tensor>& inputs,
                                              const std::vector<te::Tensor>& tangents) {
    std::vector<te::Tensor> out;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (tangents[i]) out.push_back(inputs[i]);
    }
    return out;
  }

  /// The tangent of an active tensor; null when it is zero.
  te::Tensor tangent_of_tensor(const te::Tensor& t) {
    const auto given = given_.find(t.get());
    te::Tensor own = given == given_.end() ? nullptr : given->second;
    if (t->kind == te::TensorKind::kPlaceholder) return own;
    SpanScope span(t->span);
    if (t->vjp_rule != nullptr) return sum_of(own, tangent_by_rule(t));
    if (t->kind == te::TensorKind::kScatter) return sum_of(own, tangent_of_scatter(t));
    if (t->kind == te::TensorKind::kScan) return sum_of(own, tangent_of_scan(t));
    const Element& e = elements_.of(t);
    Expr element = tangent_of_element(e, t);
    if (!element) return own;
    if (own) {
      std::vector<Expr> place;
      for (const IterVar& axis : e.axes) place.push_back(axis.var);
      element = element + cast(element->dtype, te::read(own, place));
    }
    return define(t->name + "_tangent", e.axes, element, t->dtype);
  }

  static te::Tensor sum_of(const te::Tensor& a, const te::Tensor& b) {
    if (!a || !b) return a ? a : b;
    return te::compute(
        a->shape,
        [&](const std::vector<Expr>& indices) {
          return te::read(a, indices) + te::read(b, indices);
        },
        b->name);
  }

  te::Tensor tangent_of(const te::Tensor& t) const {
    const auto found = tangents_.find(t.get());
    return found == tangents_.end() ? nullptr : found->second;
  }

  te::Tensor tangent_of_scatter(const te::Tensor& t) const {
    const te::Tensor init = tangent_of(t->init), updates = tangent_of(t->updates);
    return init || updates ? push_forward_scatter(t, init, updates) : nullptr;
  }

  te::Tensor tangent_of_scan(const te::Tensor& t) {
    std::vector<te::Tensor>& of_states = of_scans_[t->scan.get()];
    if (of_states.empty()) {
      of_states = push_forward_scan(t->scan, [&](const te::Tensor& x) { return tangent_of(x); });
    }
    return of_states[t->state];
  }

  /// Where a rule is at hand.
  te::Tensor tangent_by_rule(const te::Tensor& t) {
    dependence_.check_rule(t);
    std::vector<te::Tensor> tangents;
    for (const te::Tensor& input : t->vjp_rule->inputs) tangents.push_back(tangent_of(input));
    return push_forward_by_rule(t, tangents);
  }

  Expr tangent_of_element(const Element& e, const te::Tensor& t) {
    Expr result;
    if (e.reduce == nullptr) {
      std::vector<Expr> place;
      for (const IterVar& axis : e.axes) place.push_back(axis.var);
      result = cast(e.element->dtype, te::read(t, place));
    }
    Expr tangent = push_through(e.element, result);
    if (!tangent || e.reduce == nullptr) return tangent;
    tangent = push_forward(partial_of_reduction(e, t), tangent, tangent->dtype);
    std::vector<Expr> conditions;
    if (e.condition) conditions.push_back(e.condition);
    tangent = without_masks(tangent, &conditions);
    Expr condition;
    for (const Expr& c : conditions) condition = and_predicate(condition, c);
    // A sum for each addend: products stay the terms of contractions.
    std::vector<Expr> addends;
    collect_addends(tangent, &addends);
    Expr out;
    for (const Expr& a : addends) out = add_terms(out, te::sum(a, e.reduce_axes, condition));
    return out;
  }

  /// Forward mode over the operations of one element, operands first; null for zero.
  Expr push_through(const Expr& root, const Expr& result) {
    std::unordered_map<const ExprNode*, Expr> tangents;
    std::unordered_map<const ExprNode*, std::vector<Partial>> nodes;
    std::vector<std::pair<Expr, bool>> stack{{root, false}};
    while (!stack.empty()) {
      auto [e, finished] = stack.back();
      stack.pop_back();
      if (!finished) {
        if (nodes.count(e.get()) != 0) continue;
        nodes[e.get()] = partials(e, e.same_as(root) && result ? result : e);
        stack.emplace_back(e, true);
        for (const Partial& p : nodes[e.get()]) stack.emplace_back(p.operand, false);
        continue;
      }
      tangents[e.get()] = e.as<LoadNode>() != nullptr ? tangent_of_read(*e.as<LoadNode>())
                                                      : combined(e, nodes.at(e.get()), tangents);
    }
    return tangents.at(root.get());
  }

  Expr tangent_of_read(const LoadNode& l) {
    if (!l.dtype.is_float()) return nullptr;
    const te::Tensor t = te::as_tensor(l.buffer);
    auto found = tangents_.find(t.get());
    if (found == tangents_.end() && lifted(t))
      found = tangents_.emplace(t.get(), tangent_of_tensor(t)).first;
    if (found == tangents_.end() || !found->second) return nullptr;
    return load(found->second, l.indices, l.predicate);
  }

  /// Whether `t` is a reduction that was inside an active tensor.
  bool lifted(const te::Tensor& t) const {
    if (!elements_.is_lifted(t)) return false;
    for (const te::Tensor& operand : te::operands_of(t)) {
      if (dependence_.is_active(operand) || lifted(operand)) return true;
    }
    return false;
  }

  static Expr combined(const Expr& e, const std::vector<Partial>& parts,
                       const std::unordered_map<const ExprNode*, Expr>& tangents) {
    if (const auto* s = e.as<SelectNode>()) {
      const Expr& t = tangents.at(s->true_value.get());
      const Expr& f = tangents.at(s->false_value.get());
      if (t && f) return select(s->condition, t, f);
    }
    Expr sum;
    for (const Partial& p : parts) {
      const Expr& tangent = tangents.at(p.operand.get());
      if (tangent) sum = add_terms(sum, push_forward(p, tangent, e->dtype));
    }
    return sum;
  }

  Dependence dependence_;
  Elements elements_;
  std::unordered_map<const te::TensorNode*, te::Tensor> given_;
  std::unordered_map<const te::TensorNode*, te::Tensor> tangents_;
  std::unordered_map<const te::Scan*, std::vector<te::Tensor>> of_scans_;
};

}  // namespace

std::vector<te::Tensor> jvp(const std::vector<te::Tensor>& outputs,
                            const std::vector<te::Tensor>& inputs,
                            const std::vector<te::Tensor>& tangents) {
  TENON_USER_CHECK(inputs.size() == tangents.size(), ExpressionError, "E0160",
                   "jvp: ", inputs.size(), " inputs but ", tangents.size(), " tangents");
  check_variables("jvp", inputs);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (tangents[i]) check_seed("jvp", "tangent", inputs[i], tangents[i]);
  }
  const ForwardMode mode(outputs, inputs, tangents);
  std::vector<te::Tensor> out;
  for (const te::Tensor& t : outputs) out.push_back(mode.result(t));
  return out;
}

}  // namespace tenon::autodiff
