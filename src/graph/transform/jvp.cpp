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

/// The tangent of `v`, derived from its definition.
Value derived(const Value& v, const std::vector<Value>& tangents) {
  const Definition d = definition_of(*v);
  std::vector<te::Tensor> variables, directions, placeholders = d.placeholders;
  std::vector<Value> operands = v->inputs;
  for (std::size_t i = 0; i < v->inputs.size(); ++i) {
    if (!tangents[i]) continue;
    variables.push_back(d.placeholders[i]);
    directions.push_back(
        te::placeholder(d.placeholders[i]->shape, d.placeholders[i]->dtype, "tangent"));
    placeholders.push_back(directions.back());
    operands.push_back(tangents[i]);
  }
  const std::vector<te::Tensor> found =
      named_errors(*v, [&] { return autodiff::jvp({d.output}, variables, directions); });
  if (!found[0]) return nullptr;
  return make_expression(v->op + "_jvp", operands, placeholders, found)[0];
}

/// The tangent of an operator that brings its own reverse rule: that rule is linear in the
/// cotangent, and its transpose is the derivative.
Value transposed(const Value& v, const std::vector<Value>& tangents) {
  const Value g = make_input(v->shape, v->dtype, "cotangent");
  const std::vector<Value> cotangents = operator_of(*v)->vjp(v, g);
  std::vector<Value> outputs, directions;
  for (std::size_t i = 0; i < cotangents.size(); ++i) {
    if (!tangents[i] || !cotangents[i]) continue;
    outputs.push_back(cotangents[i]);
    directions.push_back(tangents[i]);
  }
  return vjp(outputs, {g}, directions)[0];
}

}  // namespace

std::vector<Value> jvp(const std::vector<Value>& outputs, const std::vector<Value>& inputs,
                       const std::vector<Value>& tangents) {
  check_differentiable(outputs, inputs);
  const std::vector<Value> order = in_order(outputs);
  const Active active = active_values(order, inputs);
  std::unordered_map<const ValueNode*, Value> tangent;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (tangents[i]) check_like("tangent", tangents[i], inputs[i]);
    tangent[inputs[i].get()] = tangents[i];
  }
  std::unordered_map<const ValueNode*, std::vector<Value>> of_results;  // of branches and loops
  for (const Value& v : order) {
    if (active.count(v.get()) == 0 || tangent.count(v.get()) != 0) continue;
    if (v->is_op("item")) {
      const auto it = of_results.find(v->inputs[0].get());
      if (it != of_results.end())
        tangent[v.get()] = it->second[static_cast<std::size_t>(attr<std::int64_t>(*v, "index"))];
      continue;
    }
    std::vector<Value> directions;
    bool is_any = false;
    for (const Value& x : v->inputs) {
      const auto it = tangent.find(x.get());
      directions.push_back(it == tangent.end() ? nullptr : it->second);
      is_any = is_any || directions.back();
    }
    if (!is_any) continue;
    if (v->control) {
      of_results[v.get()] = jvp_control(v, directions);
      continue;
    }
    const SpanScope span(v->span);
    tangent[v.get()] =
        operator_of(*v)->vjp != nullptr ? transposed(v, directions) : derived(v, directions);
  }
  std::vector<Value> result;
  for (const Value& y : outputs) {
    const auto it = tangent.find(y.get());
    result.push_back(it == tangent.end() ? nullptr : it->second);
  }
  return result;
}

}  // namespace tenon::graph
