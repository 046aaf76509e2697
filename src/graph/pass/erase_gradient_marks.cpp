#include "graph/pass/pass.h"

namespace tenon::graph {

std::vector<Value> erase_gradient_marks(const std::vector<Value>& outputs, RewriteLog* log) {
  return rewrite_graph(outputs, [&](const Value& v, const std::vector<Value>& inputs) -> Value {
    if (!v->is_op("stop_gradient") && !v->is_op("custom_vjp")) return nullptr;
    note(log, "erase_gradient_marks", *v, "removed", "only derivatives look at it");
    return inputs[0];
  });
}

}  // namespace tenon::graph
