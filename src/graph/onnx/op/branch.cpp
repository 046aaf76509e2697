// If: one of two graphs.

#include "graph/onnx/tools.h"
#include "tenon/graph/control.h"
#include "tenon/ir/builder.h"

namespace tenon::onnx {
namespace {

/// Whether one value can stand for the results of both branches.
bool are_alike(const std::vector<Entry>& a, const std::vector<Entry>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!a[i].value || !b[i].value || !graph::same_shape(a[i].value->shape, b[i].value->shape) ||
        a[i].value->dtype != b[i].value->dtype) {
      return false;
    }
  }
  return true;
}

graph::SubGraph as_branch(const std::vector<Entry>& results) {
  graph::SubGraph branch;
  for (const Entry& e : results) branch.outputs.push_back(e.value);
  return branch;
}

std::vector<Entry> convert_if(const NodeView& n) {
  const Value condition = condition_scalar(n, n.in(0), "the condition");
  const Graph& then_graph = n.graph_attr("then_branch");
  const Graph& else_graph = n.graph_attr("else_branch");
  if (const auto known = n.known(condition); known && as_int((*known)[0]))
    return n.run(is_int((*known)[0], 0) ? else_graph : then_graph, {});
  const std::uint64_t serial = graph::ValueNode::next_serial();
  const std::vector<Entry> then = n.run(then_graph, {});
  const std::vector<Entry> otherwise = n.run(else_graph, {});
  if (then.size() != otherwise.size())
    n.invalid(
        detail::concat("the branches have ", then.size(), " and ", otherwise.size(), " outputs"));
  if (!are_alike(then, otherwise)) {
    // Then one of them has to be chosen now.
    const std::vector<Expr> chosen =
        n.elements(condition, "the condition, as the branches give results of different types,");
    if (!as_int(chosen[0]))
      n.unsupported(
          "the branches give results of different types, and which of them is taken "
          "depends on a size that is not fixed");
    return is_int(chosen[0], 0) ? otherwise : then;
  }
  std::vector<Entry> results;
  for (const Value& v :
       graph::make_if(condition, {}, as_branch(then), as_branch(otherwise), serial)) {
    results.push_back({v});
  }
  return results;
}

}  // namespace

std::vector<Conversion> branch_conversions() {
  return {{"If", 1, Support::kNative, nullptr, "", "", convert_if}};
}

}  // namespace tenon::onnx
