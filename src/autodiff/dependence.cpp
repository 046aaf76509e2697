#include "autodiff/dependence.h"

#include "autodiff/scan_derivative.h"
#include "te/checks.h"
#include "tenon/ir/analyzer.h"
#include "tenon/ir/builder.h"

namespace tenon::autodiff {
std::vector<te::Tensor> differentiable_operands_of(const te::Tensor& t) {
  if (t->vjp_rule != nullptr) return t->vjp_rule->inputs;
  return t->scan ? inputs_of_scan(*t->scan) : operands_of(t);
}

std::vector<te::Tensor> in_order(
    const std::vector<te::Tensor>& roots,
    const std::function<std::vector<te::Tensor>(const te::Tensor&)>& operands) {
  std::vector<te::Tensor> out;
  std::unordered_set<const te::TensorNode*> seen;
  std::vector<std::pair<te::Tensor, bool>> stack;  // a tensor, and whether its operands are done
  for (std::size_t i = roots.size(); i-- > 0;) stack.emplace_back(roots[i], false);
  while (!stack.empty()) {
    auto [t, finished] = stack.back();
    stack.pop_back();
    if (finished) {
      out.push_back(t);
      continue;
    }
    if (!seen.insert(t.get()).second) continue;
    stack.emplace_back(t, true);
    for (const te::Tensor& operand : operands(t)) stack.emplace_back(operand, false);
  }
  return out;
}

Dependence::Dependence(const std::vector<te::Tensor>& outputs,
                       const std::vector<te::Tensor>& variables) {
  for (const te::Tensor& t : variables) variables_.insert(t.get());
  for (const te::Tensor& t : in_order(outputs, differentiable_operands_of)) {
    bool active = variables_.count(t.get()) != 0;
    for (const te::Tensor& operand : differentiable_operands_of(t)) active |= is_active(operand);
    if (!active || !t->dtype.is_float()) continue;
    active_.insert(t.get());
    order_.push_back(t);
  }
}

void Dependence::check_rule(const te::Tensor& t) const {
  std::unordered_set<const te::TensorNode*> inputs;
  for (const te::Tensor& input : t->vjp_rule->inputs) inputs.insert(input.get());
  const auto others = [&](const te::Tensor& x) {
    std::vector<te::Tensor> out;
    for (const te::Tensor& operand : te::operands_of(x)) {
      if (inputs.count(operand.get()) == 0) out.push_back(operand);
    }
    return out;
  };
  for (const te::Tensor& x : in_order({t}, others)) {
    TENON_USER_CHECK(
        x.same_as(t) || variables_.count(x.get()) == 0, GradientError, "E0164", "'", t->name,
        "' has a vjp of its own, but depends on '", x->name,
        "' otherwise than through its arguments, so that part of the gradient would be lost",
        "\n  hint: give '", x->name, "' as an argument of the function");
  }
}

void check_variables(const char* caller, const std::vector<te::Tensor>& inputs) {
  for (const te::Tensor& t : inputs) {
    TENON_USER_CHECK(t->dtype.is_float(), DTypeError, "E0530", caller, ": input '", t->name,
                     "' has dtype ", to_string(t->dtype),
                     ", but only floats have derivatives\n  hint: differentiate with respect to "
                     "float tensors, and give integers as they are");
  }
}

void check_seed(const char* caller, const char* what, const te::Tensor& tensor,
                const te::Tensor& seed) {
  TENON_USER_CHECK(seed->dtype == tensor->dtype, DTypeError, "E0531", caller, ": the ", what,
                   " of '", tensor->name, "' has dtype ", to_string(seed->dtype), ", expected ",
                   to_string(tensor->dtype));
  bool equal = seed->shape.size() == tensor->shape.size();
  Analyzer analyzer;
  for (std::size_t d = 0; equal && d < seed->shape.size(); ++d)
    equal = analyzer.can_prove_equal(seed->shape[d], tensor->shape[d]);
  TENON_USER_CHECK(equal, ShapeError, "E0430", caller, ": the ", what, " of '", tensor->name,
                   "' has shape ", te::describe_shape(seed->shape), ", expected ",
                   te::describe_shape(tensor->shape));
}

}  // namespace tenon::autodiff
