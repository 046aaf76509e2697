#include <map>

#include "graph/pass/pass.h"
#include "tenon/graph/control.h"

namespace tenon::graph {
namespace {

using Key = std::pair<std::vector<Value>, std::vector<Value>>;  ///< operands, the body's inputs

Key key_of(const ValueNode& v) { return {v.inputs, v.control->body().inputs}; }

std::size_t num_stacked(const ValueNode& v) {
  return v.control->num_results() - v.control->num_states;
}

}  // namespace

std::vector<Value> merge_loops(const std::vector<Value>& outputs, RewriteLog* log) {
  std::map<Key, std::vector<Value>> alike;
  for (const Value& v : in_order(outputs)) {
    if (v->control && v->control->kind == ControlKind::kLoop) alike[key_of(*v)].push_back(v);
  }
  std::map<Key, Value> merged;
  std::unordered_map<const ValueNode*, std::size_t> shift;  // of stacked results, by the old loop
  return rewrite_graph(outputs, [&](const Value& v, std::vector<Value> inputs) -> Value {
    if (v->is_op("item")) {
      const auto it = shift.find(v->inputs[0].get());
      if (it == shift.end()) return nullptr;
      auto index = static_cast<std::size_t>(attr<std::int64_t>(*v, "index"));
      if (index >= v->inputs[0]->control->num_states) index += it->second;
      return make_item(inputs[0], index);
    }
    if (!v->control || v->control->kind != ControlKind::kLoop) return nullptr;
    const std::vector<Value>& group = alike.at(key_of(*v));
    if (group.size() == 1) return nullptr;
    Value& made = merged[key_of(*v)];
    if (!made) {
      Control all = *group[0]->control;
      std::size_t next = 0;
      for (const Value& loop : group) {
        shift[loop.get()] = next;
        next += num_stacked(*loop);
        if (loop == group[0]) continue;
        note(log, "merge_loops", *loop, "merged",
             "an earlier loop has the same operands and body; it stacks these results too");
        const std::vector<Value>& from = loop->control->body().outputs;
        all.bodies[0].outputs.insert(all.bodies[0].outputs.end(),
                                     from.end() - static_cast<long>(num_stacked(*loop)),
                                     from.end());
      }
      auto copy = std::make_shared<ValueNode>(*group[0]);
      copy->inputs = std::move(inputs);
      copy->control = std::make_shared<const Control>(std::move(all));
      made = copy;
    }
    return made;
  });
}

}  // namespace tenon::graph
