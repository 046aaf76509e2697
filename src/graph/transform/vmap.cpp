#include "graph/pass/pass.h"
#include "graph/transform/control.h"
#include "graph/transform/definition.h"
#include "tenon/autodiff/autodiff.h"
#include "tenon/graph/control.h"
#include "tenon/graph/expression.h"
#include "tenon/graph/transform.h"

namespace tenon::graph {
namespace {

/// The operator of batches, derived from its definition.
Value derived(const Value& v, const std::vector<Value>& operands,
              const std::vector<bool>& is_batched, const Expr& extent) {
  const Definition d = definition_of(*v);
  const autodiff::Batched batched = autodiff::vmap({d.output}, d.placeholders, is_batched, extent);
  return make_expression(v->op, operands, batched.inputs, batched.outputs)[0];
}

}  // namespace

std::vector<Value> vmap(const std::vector<Value>& outputs, const std::vector<Value>& inputs,
                        const std::vector<Value>& batches, const std::vector<bool>& is_batched,
                        const Expr& extent, std::vector<bool>* result_is_batched) {
  std::unordered_map<const ValueNode*, Value> renewed;
  std::unordered_set<const ValueNode*> batched;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    renewed[inputs[i].get()] = batches[i];
    if (is_batched[i]) batched.insert(inputs[i].get());
  }
  // Of branches and loops that a batch reaches: their results, and which of these it reaches.
  std::unordered_map<const ValueNode*, std::pair<std::vector<Value>, std::vector<bool>>> of_control;
  for (const Value& v : in_order(outputs)) {
    if (renewed.count(v.get()) != 0 || of_control.count(v.get()) != 0) continue;
    if (const auto it = v->is_op("item") ? of_control.find(v->inputs[0].get()) : of_control.end();
        it != of_control.end()) {
      const auto index = static_cast<std::size_t>(attr<std::int64_t>(*v, "index"));
      renewed[v.get()] = it->second.first[index];
      if (it->second.second[index]) batched.insert(v.get());
      continue;
    }
    std::vector<Value> operands;
    std::vector<bool> flags;
    bool is_changed = false, is_any = false;
    for (const Value& x : v->inputs) {
      operands.push_back(renewed.at(x.get()));
      flags.push_back(batched.count(x.get()) != 0);
      is_changed = is_changed || operands.back() != x;
      is_any = is_any || flags.back();
    }
    const SpanScope span(v->span);
    if (!is_any) {
      renewed[v.get()] = is_changed ? with_inputs(*v, operands) : v;
      continue;
    }
    if (v->control) {
      auto& [results, result_flags] = of_control[v.get()];
      results = vmap_control(v, operands, flags, extent, &result_flags);
      continue;
    }
    batched.insert(v.get());
    const Operator& op = *operator_of(*v);
    Value made = op.vmap == nullptr ? nullptr : op.vmap(*v, operands, flags, extent);
    if (!made) made = derived(v, operands, flags, extent);
    renewed[v.get()] = made;
  }
  std::vector<Value> results;
  result_is_batched->clear();
  for (const Value& y : outputs) {
    results.push_back(renewed.at(y.get()));
    result_is_batched->push_back(batched.count(y.get()) != 0);
  }
  return results;
}

std::vector<Value> replace_inputs(const std::vector<Value>& outputs,
                                  const std::vector<Value>& inputs,
                                  const std::vector<Value>& replacements) {
  std::unordered_map<const ValueNode*, Value> replaced;
  for (std::size_t i = 0; i < inputs.size(); ++i) replaced[inputs[i].get()] = replacements[i];
  return rewrite_graph(outputs, [&](const Value& v, const std::vector<Value>&) -> Value {
    const auto it = replaced.find(v.get());
    return it == replaced.end() ? nullptr : it->second;
  });
}

}  // namespace tenon::graph
