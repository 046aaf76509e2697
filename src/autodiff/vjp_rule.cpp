#include "autodiff/vjp_rule.h"

#include "autodiff/dependence.h"
#include "autodiff/element.h"
#include "tenon/autodiff/autodiff.h"
#include "tenon/ir/builder.h"

namespace tenon::autodiff {
namespace {

/// Another tensor with the same values, so that it can have a rule of its own.
te::Tensor with_rule(const te::Tensor& t, te::VjpRule rule) {
  SpanScope span(t->span);
  te::Tensor out = copy_of(t, t->name);
  const_cast<te::TensorNode*>(out.get())->vjp_rule =  // nobody else has seen it yet
      std::make_shared<const te::VjpRule>(std::move(rule));
  return out;
}

}  // namespace

te::Tensor stop_gradient(const te::Tensor& tensor) { return with_rule(tensor, {}); }

te::Tensor with_vjp(
    const te::Tensor& tensor, std::vector<te::Tensor> inputs,
    std::function<std::vector<te::Tensor>(const te::Tensor&, const te::Tensor&)> pull_back) {
  return with_rule(tensor, {std::move(inputs), std::move(pull_back)});
}

std::vector<te::Tensor> pull_back_by_rule(const te::Tensor& t, const te::Tensor& cotangent) {
  const te::VjpRule& rule = *t->vjp_rule;
  if (!rule.pull_back) return std::vector<te::Tensor>(rule.inputs.size());
  std::vector<te::Tensor> out = rule.pull_back(t, cotangent);
  TENON_USER_CHECK(out.size() == rule.inputs.size(), ExpressionError, "E0163", "the vjp of '",
                   t->name, "' gives ", out.size(), " cotangents, expected ", rule.inputs.size(),
                   ", one for each argument of the function");
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (out[i]) check_seed("custom_vjp", "cotangent", rule.inputs[i], out[i]);
  }
  return out;
}

te::Tensor push_forward_by_rule(const te::Tensor& t, const std::vector<te::Tensor>& tangents) {
  if (!t->vjp_rule->pull_back) return nullptr;
  // The rule is linear in the cotangent: its own vjp with respect to that is its transpose, and
  // takes tangents of the inputs to the tangent of the output.
  const te::Tensor cotangent = te::placeholder(t->shape, t->dtype, t->name + "_cotangent");
  const std::vector<te::Tensor> pulled = pull_back_by_rule(t, cotangent);
  std::vector<te::Tensor> outputs, seeds;
  for (std::size_t i = 0; i < pulled.size(); ++i) {
    if (!pulled[i] || !tangents[i]) continue;
    outputs.push_back(pulled[i]);
    seeds.push_back(tangents[i]);
  }
  te::Tensor tangent = vjp(outputs, {cotangent}, seeds)[0];
  if (!tangent) return nullptr;
  for (const te::Tensor& x : in_order({tangent}, te::operands_of)) {
    TENON_USER_CHECK(!x.same_as(cotangent), GradientError, "E0165", "the vjp of '", t->name,
                     "' is not linear in the cotangent, so that it gives no forward derivative",
                     "\n  hint: use reverse mode (te.vjp, te.grad)");
  }
  return tangent;
}

}  // namespace tenon::autodiff
