#include "graph/pass/pass.h"
#include "graph/transform/control.h"
#include "graph/transform/definition.h"
#include "graph/transform/differentiate.h"
#include "tenon/autodiff/autodiff.h"
#include "tenon/graph/control.h"
#include "tenon/graph/expression.h"
#include "tenon/graph/transform.h"

namespace tenon::graph {
namespace {

/// The cotangents of the operands of `v` that are active, derived from its definition.
std::vector<Value> derived(const Value& v, const Value& cotangent, const Active& active) {
  const Definition d = definition_of(*v);
  std::vector<std::size_t> wanted;
  std::vector<te::Tensor> variables;
  for (std::size_t i = 0; i < v->inputs.size(); ++i) {
    if (active.count(v->inputs[i].get()) == 0) continue;
    wanted.push_back(i);
    variables.push_back(d.placeholders[i]);
  }
  const te::Tensor g = te::placeholder(d.output->shape, v->dtype, "cotangent");
  const std::vector<te::Tensor> found =
      named_errors(*v, [&] { return autodiff::vjp({d.output}, variables, {g}); });
  std::vector<te::Tensor> placeholders = d.placeholders, outputs;
  placeholders.push_back(g);
  std::vector<Value> operands = v->inputs, result(v->inputs.size());
  operands.push_back(cotangent);
  for (const te::Tensor& t : found) {
    if (t) outputs.push_back(t);
  }
  const std::vector<Value> made = make_expression(v->op + "_grad", operands, placeholders, outputs);
  std::size_t next = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (found[i]) result[wanted[i]] = made[next++];
  }
  return result;
}

}  // namespace

std::vector<Value> vjp(const std::vector<Value>& outputs, const std::vector<Value>& inputs,
                       const std::vector<Value>& cotangents) {
  check_differentiable(outputs, inputs);
  const std::vector<Value> order = in_order(outputs);
  const Active active = active_values(order, inputs);
  std::unordered_map<const ValueNode*, Value> adjoint;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    TENON_USER_CHECK(cotangents[i] || outputs[i]->shape.empty(), ShapeError, "E0487",
                     "the gradient of a ", type_str(*outputs[i]), " that is no scalar needs a ",
                     "cotangent\n  hint: reduce it to a scalar (.sum()), or use tn.vjp");
    const Value g = cotangents[i] ? cotangents[i] : number(outputs[i]->dtype, 1);
    check_like("cotangent", g, outputs[i]);
    Value& sum = adjoint[outputs[i].get()];
    sum = add(sum, g);
  }
  std::unordered_set<const ValueNode*> variables;
  for (const Value& x : inputs) variables.insert(x.get());
  std::unordered_map<const ValueNode*, std::vector<Value>> items;  // of branches and loops
  for (const Value& v : order) {
    if (v->is_op("item")) items[v->inputs[0].get()].push_back(v);
  }
  const auto pass_on = [&](const Value& v, const std::vector<Value>& found) {
    for (std::size_t k = 0; k < found.size(); ++k) {
      const ValueNode* x = v->inputs[k].get();
      if (!found[k] || active.count(x) == 0) continue;
      Value& sum = adjoint[x];
      sum = add(sum, found[k]);
    }
  };
  for (std::size_t i = order.size(); i-- > 0;) {
    const Value& v = order[i];
    if (active.count(v.get()) == 0 || variables.count(v.get()) != 0) continue;
    if (v->control) {
      // The results come after it in this order, so that their cotangents are complete.
      std::vector<Value> given(v->control->num_results());
      bool is_any = false;
      for (const Value& item : items[v.get()]) {
        const auto at = adjoint.find(item.get());
        if (at == adjoint.end()) continue;
        Value& sum = given[static_cast<std::size_t>(attr<std::int64_t>(*item, "index"))];
        sum = add(sum, at->second);
        is_any = true;
      }
      if (is_any) pass_on(v, vjp_control(v, given, active));
      continue;
    }
    const auto it = adjoint.find(v.get());
    if (it == adjoint.end() || v->is_op("item")) continue;
    const SpanScope span(v->span);
    const Operator& op = *operator_of(*v);
    const Value cotangent = it->second;
    pass_on(v, op.vjp != nullptr ? op.vjp(v, cotangent) : derived(v, cotangent, active));
  }
  std::vector<Value> result;
  for (const Value& x : inputs) {
    const auto it = adjoint.find(x.get());
    result.push_back(it == adjoint.end() ? nullptr : it->second);
  }
  return result;
}

}  // namespace tenon::graph
