#include <algorithm>
#include <unordered_map>
#include <unordered_set>

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

bool is_one_of(const te::Tensor& t, const std::vector<te::Tensor>& tensors) {
  return std::any_of(tensors.begin(), tensors.end(),
                     [&](const te::Tensor& other) { return other.same_as(t); });
}

/// The elements of a tensor in their places.
AdjointTerm read_everywhere(const te::Tensor& t) {
  AdjointTerm out;
  std::vector<Expr> indices;
  for (std::size_t d = 0; d < t->shape.size(); ++d) {
    indices.push_back(var("i" + std::to_string(d)));
    out.axes.push_back({indices.back(), {imm(0), t->shape[d]}, IterKind::kSpatial});
  }
  out.element = te::read(t, indices);
  return out;
}

/// Reverse mode over tensors: each gets its cotangent when all its readers have theirs.
class ReverseMode {
 public:
  ReverseMode(const std::vector<te::Tensor>& outputs, const std::vector<te::Tensor>& inputs)
      : dependence_(outputs, inputs) {
    for (const te::Tensor& t : inputs) wanted_.insert(t.get());
  }

  void seed(const te::Tensor& output, const te::Tensor& cotangent) {
    if (!dependence_.is_active(output)) return;
    AdjointTerm ones{{}, const_like(output->dtype, 1), ""};
    terms_[output.get()].push_back(cotangent ? read_everywhere(cotangent) : ones);
  }

  void run() {
    const auto& order = dependence_.order();
    for (const te::Tensor& t : order) {
      if (t->scan) ++scans_[t->scan.get()].num_waiting;
    }
    for (std::size_t i = order.size(); i-- > 0;) {
      const te::Tensor& t = order[i];
      const auto found = terms_.find(t.get());
      SpanScope span(t->span);
      if (found == terms_.end()) {
        if (t->scan) arrive_at_scan(t, nullptr);
        continue;
      }
      const AdjointTerm total = join(t, found->second);
      terms_.erase(found);
      if (wanted_.count(t.get()) != 0) results_[t.get()] = stored(t, total);
      if (t->scan) {
        const auto known = results_.find(t.get());
        arrive_at_scan(t, known != results_.end() ? known->second : stored(t, total));
        continue;
      }
      if (!reaches_variable(t)) continue;
      if (t->vjp_rule != nullptr) {
        apply_rule(t, total);
      } else if (t->kind == te::TensorKind::kScatter) {
        const auto [of_init, of_updates] = pull_back_scatter(t, stored(t, total));
        add_tensor(t->init, of_init);
        add_tensor(t->updates, of_updates);
      } else {
        pull_back_through(t, total);
      }
    }
  }

  te::Tensor result(const te::Tensor& input) const {
    const auto found = results_.find(input.get());
    return found == results_.end() ? nullptr : found->second;
  }

 private:
  /// Whether an operand is active (a variable itself may be computed from constants only).
  bool reaches_variable(const te::Tensor& t) const {
    for (const te::Tensor& operand : differentiable_operands_of(t)) {
      if (dependence_.is_active(operand)) return true;
    }
    return false;
  }

  /// A scan goes on when all its results have their cotangents (null for zero).
  void arrive_at_scan(const te::Tensor& t, const te::Tensor& cotangent) {
    WaitingScan& scan = scans_.at(t->scan.get());
    scan.cotangents.resize(t->scan->init.size());
    te::Tensor& sum = scan.cotangents[t->state];
    scan.has_any = scan.has_any || cotangent;
    if (sum && cotangent) {
      sum = te::compute(
          t->shape,
          [&](const std::vector<Expr>& i) { return te::read(sum, i) + te::read(cotangent, i); },
          t->name + "_grad");
    } else if (cotangent) {
      sum = cotangent;
    }
    if (--scan.num_waiting > 0 || !scan.has_any || !reaches_variable(t)) return;
    const auto is_active = [&](const te::Tensor& x) { return dependence_.is_active(x); };
    for (const auto& [input, part] : pull_back_scan(t->scan, scan.cotangents, is_active))
      add_tensor(input, part);
  }

  /// The cotangents that a rule gives.
  void apply_rule(const te::Tensor& t, const AdjointTerm& total) {
    dependence_.check_rule(t);
    const std::vector<te::Tensor> found = pull_back_by_rule(t, stored(t, total));
    for (std::size_t i = 0; i < found.size(); ++i) add_tensor(t->vjp_rule->inputs[i], found[i]);
  }

  /// A part of the cotangent of `t`, null for zero.
  void add_tensor(const te::Tensor& t, const te::Tensor& part) {
    if (part && dependence_.is_active(t)) terms_[t.get()].push_back(read_everywhere(part));
  }

  /// All terms as one; sums among several become tensors of their own.
  AdjointTerm join(const te::Tensor& t, const std::vector<AdjointTerm>& terms) {
    if (terms.size() == 1) return terms[0];
    AdjointTerm out{terms[0].axes, nullptr, ""};
    const std::string name = t->name + "_grad_part";
    for (const AdjointTerm& term : terms) {
      VarMap map;
      for (std::size_t d = 0; d < out.axes.size(); ++d)
        map[term.axes[d].var.get()] = out.axes[d].var;
      Expr element = term.element;
      if (has_reduction(element)) {
        std::vector<Expr> indices;
        for (const IterVar& axis : term.axes) indices.push_back(axis.var);
        const te::Tensor part = define(name, term.axes, element, t->dtype);
        annotate(part, term.mirrors);
        element = te::read(part, indices);
      }
      if (t->dtype.bits == 16) element = cast(kFloat32, element);
      out.element = add_terms(out.element, substitute(element, map));
    }
    return out;
  }

  static bool has_reduction(const Expr& e) {
    bool found = false;
    post_order_visit(e, [&](const Node& n) { found |= n.kind == NodeKind::kReduce; });
    return found;
  }

  /// The term as a tensor; what only reads a tensor in place is that tensor.
  static te::Tensor stored(const te::Tensor& t, const AdjointTerm& term) {
    if (te::Tensor same = tensor_in_place(t, term)) return same;
    te::Tensor out = define(t->name + "_grad", term.axes, term.element, t->dtype);
    annotate(out, term.mirrors);
    return out;
  }

  void pull_back_through(const te::Tensor& t, const AdjointTerm& total) {
    const Element& e = elements_.of(t);
    const IsActive is_active = [&](const te::Tensor& x) {
      return dependence_.is_active(x) || lifted_active(x);
    };
    std::vector<Expr> place;
    for (const IterVar& axis : e.axes) place.push_back(axis.var);
    Expr g = total.element;
    if (g.as<FloatImmNode>() == nullptr) {
      const auto known = results_.find(t.get());
      g = te::read(known != results_.end() ? known->second : stored(t, total), place);
    }
    g = cast(e.element->dtype, g);
    Expr result;
    if (e.reduce != nullptr) {
      g = pull_back(partial_of_reduction(e, t), g);
    } else {
      result = cast(e.element->dtype, te::read(t, place));
    }
    for (const ReadAdjoint& read : pull_back_to_reads(e.element, g, result, is_active)) {
      const auto* load = read.load.as<LoadNode>();
      const te::Tensor target = te::as_tensor(load->buffer);
      const std::string name = target->name + "_grad_" + t->name;
      AdjointTerm term = depends_on_data(*load) ? read_everywhere(scatter_adjoint(e, read, name))
                                                : gather(e, t->name, read, name);
      if (dependence_.is_active(target)) {
        terms_[target.get()].push_back(std::move(term));
      } else {
        SpanScope span(target->span);
        pull_back_through(target, term);  // a reduction that was inside t
      }
    }
  }

  /// A reduction that was inside an active tensor, made a tensor of its own.
  bool lifted_active(const te::Tensor& x) {
    const auto known = lifted_.find(x.get());
    if (known != lifted_.end()) return known->second;
    bool active = false;
    if (elements_.is_lifted(x)) {
      for (const te::Tensor& operand : te::operands_of(x))
        active = active || dependence_.is_active(operand) || lifted_active(operand);
    }
    lifted_[x.get()] = active;
    return active;
  }

  struct WaitingScan {
    std::size_t num_waiting = 0;  ///< results whose cotangents are not complete
    bool has_any = false;
    std::vector<te::Tensor> cotangents;  ///< one for each state
  };

  Dependence dependence_;
  Elements elements_;
  std::unordered_map<const te::Scan*, WaitingScan> scans_;
  std::unordered_set<const te::TensorNode*> wanted_;
  std::unordered_map<const te::TensorNode*, std::vector<AdjointTerm>> terms_;
  std::unordered_map<const te::TensorNode*, te::Tensor> results_;
  std::unordered_map<const te::TensorNode*, bool> lifted_;
};

}  // namespace

std::vector<te::Tensor> vjp(const std::vector<te::Tensor>& outputs,
                            const std::vector<te::Tensor>& inputs,
                            const std::vector<te::Tensor>& cotangents) {
  TENON_USER_CHECK(outputs.size() == cotangents.size(), ExpressionError, "E0160",
                   "vjp: ", outputs.size(), " outputs but ", cotangents.size(), " cotangents");
  check_variables("vjp", inputs);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    TENON_USER_CHECK(outputs[i]->dtype.is_float(), DTypeError, "E0532", "vjp: output '",
                     outputs[i]->name, "' has dtype ", to_string(outputs[i]->dtype),
                     ", but only floats have derivatives");
    if (cotangents[i]) {
      check_seed("vjp", "cotangent", outputs[i], cotangents[i]);
    } else {
      TENON_USER_CHECK(outputs[i]->shape.empty(), ShapeError, "E0431", "vjp: output '",
                       outputs[i]->name, "' has ", outputs[i]->shape.size(),
                       " dimensions and no cotangent",
                       "\n  hint: give a cotangent, or reduce the output to a scalar");
    }
  }
  ReverseMode mode(outputs, inputs);
  for (std::size_t i = 0; i < outputs.size(); ++i) mode.seed(outputs[i], cotangents[i]);
  mode.run();
  std::vector<te::Tensor> out;
  std::unordered_set<const te::TensorNode*> given;
  for (const te::Tensor& t : inputs) {
    te::Tensor gradient = mode.result(t);
    const bool is_own = gradient && gradient->kind == te::TensorKind::kCompute &&
                        !is_one_of(gradient, cotangents) && given.insert(gradient.get()).second;
    if (gradient && !is_own) gradient = copy_of(gradient, t->name + "_grad");
    out.push_back(gradient);
  }
  return out;
}

}  // namespace tenon::autodiff
