// Operators that only gradients see: stop_gradient, and custom_vjp, a value with a rule of its own.
// What is compiled has neither.

#include "graph/operator.h"
#include "graph/transform/differentiate.h"
#include "tenon/graph/transform.h"

namespace tenon::graph {
namespace {

void infer(ValueNode* v) {
  v->shape = v->inputs[0]->shape;
  v->dtype = v->inputs[0]->dtype;
}

Expr element(const ValueNode&, const Indices& indices, const ElementReader& read) {
  return read(0, indices);
}

std::vector<Value> no_cotangent(const Value& v, const Value&) {
  return std::vector<Value>(v->inputs.size());
}

Value stop_vmap(const ValueNode&, const std::vector<Value>& operands, const std::vector<bool>&,
                const Expr&) {
  return make_op("stop_gradient", operands);
}

std::vector<Value> custom_vjp(const Value& v, const Value& cotangent) {
  const auto num_arguments = static_cast<std::size_t>(attr<std::int64_t>(*v, "arguments"));
  const auto arguments = v->inputs.begin() + 1;
  const auto residuals = arguments + static_cast<std::ptrdiff_t>(num_arguments);
  std::vector<Value> found = v->gradient->vjp({residuals, v->inputs.end()}, cotangent);
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (found[i]) check_like("cotangent", found[i], arguments[static_cast<std::ptrdiff_t>(i)]);
  }
  found.insert(found.begin(), nullptr);  // the value itself: the rule stands for its derivative
  found.resize(v->inputs.size());
  return found;
}

Value broadcast(const Value& v, const Expr& extent) {
  std::vector<Expr> shape = v->shape;
  shape.insert(shape.begin(), extent);
  return make_op("broadcast_to", {v}, {{"shape", shape}});
}

/// The rule on batches: an argument that all elements share gets the sum of their cotangents.
std::shared_ptr<const CustomGradient> batched_rule(const ValueNode& v,
                                                   const std::vector<bool>& is_batched,
                                                   const Expr& extent) {
  std::vector<Value> variables;  // of one element
  const auto num_arguments = static_cast<std::size_t>(attr<std::int64_t>(v, "arguments"));
  for (std::size_t i = 1 + num_arguments; i < v.inputs.size(); ++i)
    variables.push_back(make_input(v.inputs[i]->shape, v.inputs[i]->dtype, "residual"));
  const Value g = make_input(v.shape, v.dtype, "cotangent");
  const std::vector<Value> found = v.gradient->vjp(variables, g);
  variables.push_back(g);
  std::vector<bool> flags(is_batched.begin() + 1 + static_cast<std::ptrdiff_t>(num_arguments),
                          is_batched.end());
  flags.push_back(true);
  return std::make_shared<const CustomGradient>(CustomGradient{
      [found, variables, flags, is_batched, extent](std::vector<Value> batches, const Value& all) {
        batches.push_back(all);
        std::vector<Value> outputs, result(found.size());
        for (const Value& x : found) {
          if (x) outputs.push_back(x);
        }
        std::vector<bool> is_result_batched;
        const std::vector<Value> made =
            vmap(outputs, variables, batches, flags, extent, &is_result_batched);
        std::size_t next = 0;
        for (std::size_t i = 0; i < found.size(); ++i) {
          if (!found[i]) continue;
          result[i] = is_result_batched[next] ? made[next] : broadcast(made[next], extent);
          ++next;
          if (!is_batched[i + 1])
            result[i] = make_op("sum", {result[i]}, {{"axes", std::vector<std::int64_t>{0}}});
        }
        return result;
      }});
}

Value custom_vmap(const ValueNode& v, const std::vector<Value>& operands,
                  const std::vector<bool>& is_batched, const Expr& extent) {
  const auto arguments = operands.begin() + 1;
  const auto residuals =
      arguments + static_cast<std::ptrdiff_t>(attr<std::int64_t>(v, "arguments"));
  return make_custom_vjp(is_batched[0] ? operands[0] : broadcast(operands[0], extent),
                         {arguments, residuals}, {residuals, operands.end()},
                         batched_rule(v, is_batched, extent));
}

}  // namespace

Value make_custom_vjp(const Value& result, const std::vector<Value>& arguments,
                      const std::vector<Value>& residuals,
                      std::shared_ptr<const CustomGradient> gradient) {
  std::vector<Value> inputs{result};
  inputs.insert(inputs.end(), arguments.begin(), arguments.end());
  inputs.insert(inputs.end(), residuals.begin(), residuals.end());
  const Value made = make_op("custom_vjp", std::move(inputs),
                             {{"arguments", static_cast<std::int64_t>(arguments.size())}});
  auto v = std::make_shared<ValueNode>(*made);
  v->gradient = std::move(gradient);
  return v;
}

std::vector<Operator> gradient_marks() {
  return {{.name = "stop_gradient",
           .kind = OperatorKind::kMovement,
           .min_inputs = 1,
           .max_inputs = 1,
           .infer = infer,
           .element = element,
           .vjp = no_cotangent,
           .vmap = stop_vmap},
          {.name = "custom_vjp",
           .kind = OperatorKind::kMovement,
           .min_inputs = 1,
           .max_inputs = -1,
           .infer = infer,
           .element = element,
           .vjp = custom_vjp,
           .vmap = custom_vmap}};
}

}  // namespace tenon::graph
