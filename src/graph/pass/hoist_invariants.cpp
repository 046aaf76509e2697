#include "graph/pass/pass.h"
#include "tenon/graph/control.h"

namespace tenon::graph {
namespace {

using ValueSet = std::unordered_set<const ValueNode*>;

/// What the outputs use that changes from iteration to iteration, or is made of constants alone,
/// which is as good inside.
ValueSet staying(const std::vector<Value>& order, const Control& c) {
  const std::size_t first_captured = 1 + c.num_states + c.num_slices;
  ValueSet varying, of_constants;
  for (std::size_t i = 0; i < first_captured; ++i) varying.insert(c.body().inputs[i].get());
  for (const Value& v : order) {
    bool is_fixed = v->is_constant() || (!v->is_input() && !v->control);
    for (const Value& x : v->inputs) {
      is_fixed = is_fixed && of_constants.count(x.get()) != 0;
      if (varying.count(x.get()) != 0) varying.insert(v.get());
    }
    if (is_fixed) of_constants.insert(v.get());
  }
  varying.merge(of_constants);
  return varying;
}

/// The loop with what does not change among its operands.
void hoist(Control* c, std::vector<Value>* operands, RewriteLog* log) {
  SubGraph& body = c->bodies[0];
  const std::vector<Value> order = in_order(body.outputs);
  const ValueSet stays = staying(order, *c);
  std::vector<Value> moved;
  ValueSet is_moved;
  const auto move = [&](const Value& v) {
    if (stays.count(v.get()) == 0 && !v->is_input() && is_moved.insert(v.get()).second)
      moved.push_back(v);
  };
  for (const Value& v : order) {
    if (stays.count(v.get()) == 0) continue;
    for (const Value& x : v->inputs) move(x);
  }
  for (const Value& v : body.outputs) move(v);
  if (moved.empty()) return;
  for (const Value& v : moved)
    note(log, "hoist_invariants", *v, "moved",
         "the same in each iteration: computed before the loop");
  std::unordered_map<const ValueNode*, Value> outside, inside;
  for (std::size_t i = 1 + c->num_states + c->num_slices; i < body.inputs.size(); ++i)
    outside[body.inputs[i].get()] = (*operands)[c->first_state_operand() + i - 1];
  const auto substitute = [](const std::unordered_map<const ValueNode*, Value>& by) {
    return [&by](const Value& v, const std::vector<Value>&) -> Value {
      const auto it = by.find(v.get());
      return it == by.end() ? nullptr : it->second;
    };
  };
  const std::vector<Value> before = rewrite_graph(moved, substitute(outside));
  operands->insert(operands->end(), before.begin(), before.end());
  for (const Value& v : moved) {
    body.inputs.push_back(make_input(v->shape, v->dtype, v->name));
    inside[v.get()] = body.inputs.back();
  }
  body.outputs = rewrite_graph(body.outputs, substitute(inside));
}

}  // namespace

std::vector<Value> hoist_invariants(const std::vector<Value>& outputs, RewriteLog* log) {
  return rewrite_graph(outputs, [&](const Value& v, std::vector<Value> inputs) -> Value {
    if (!v->control) return nullptr;
    Control c = *v->control;
    for (SubGraph& body : c.bodies) body.outputs = hoist_invariants(body.outputs, log);
    if (c.kind == ControlKind::kLoop) hoist(&c, &inputs, log);
    auto copy = std::make_shared<ValueNode>(*v);
    copy->inputs = std::move(inputs);
    copy->control = std::make_shared<const Control>(std::move(c));
    return copy;
  });
}

}  // namespace tenon::graph
