#include "graph/pass/pass.h"

namespace tenon::graph {

std::vector<Value> erase_gradient_marks(const std::vector<Value>& outputs) {
  return rewrite_graph(outputs, [](const Value& v, const std::vector<Value>& inputs) -> Value {
    return v->is_op("stop_gradient") || v->is_op("custom_vjp") ? inputs[0] : nullptr;
  });
}

}  // namespace tenon::graph
