#include "graph/pass/pass.h"

namespace tenon::graph {
namespace {

/// Whether the columns of the matrices are rows of what is in memory.
bool is_transposed_view(const Value& v) {
  if (!v->is_op("transpose")) return false;
  const auto& axes = attr<std::vector<std::int64_t>>(*v, "axes");
  return axes.back() + 1 != static_cast<std::int64_t>(axes.size());
}

Value in_memory(const Value& v) { return make_op("copy", {v}); }

}  // namespace

std::vector<Value> lay_out_products(const std::vector<Value>& outputs, RewriteLog* log) {
  return rewrite_graph(outputs, [&](const Value& v, const std::vector<Value>& inputs) -> Value {
    const SpanScope span(v->span);
    const bool is_product = v->is_op("linear") && inputs[0]->shape.size() > 1;
    const bool is_added = (is_product && !inputs[1]->is_constant()) ||
                          (v->is_op("matmul") && is_transposed_view(inputs[1]));
    if (is_added) {
      note(log, "lay_out_products", *v, "added",
           "a copy of its right operand, whose rows and columns lie exchanged in memory");
    }
    if (is_product && !inputs[1]->is_constant())
      return make_op("matmul", {inputs[0], in_memory(transposed(inputs[1]))});
    if (v->is_op("matmul") && is_transposed_view(inputs[1]))
      return make_op("matmul", {inputs[0], in_memory(inputs[1])});
    return nullptr;
  });
}

}  // namespace tenon::graph
