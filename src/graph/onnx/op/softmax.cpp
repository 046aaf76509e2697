// Softmax, its logarithm, and the place of the largest element as a vector.

#include "graph/onnx/tools.h"
#include "tenon/ir/builder.h"
#include "tenon/te/arg_reduction.h"
#include "tenon/te/tensor.h"

namespace tenon::onnx {
namespace {

constexpr Support kNative = Support::kNative;

/// `f` of rows: along the last axis of what `axis` of the operand became. Before opset 13 all axes
/// from `axis` on are one row.
Value along_rows(const NodeView& n, const std::function<Value(const Value&)>& f) {
  const Value& x = n.in(0);
  const std::size_t rank = x->shape.size();
  if (n.version() < 13) {
    std::int64_t axis = n.int_attr("axis", 1);
    // An axis behind the last one leaves rows of one element.
    if (axis != static_cast<std::int64_t>(rank)) axis = normal_axis(n, axis, rank);
    const auto d = static_cast<std::size_t>(axis);
    const Value rows = reshape(x, {product(x->shape, 0, d), product(x->shape, d, rank)});
    return reshape(f(rows), x->shape);
  }
  const auto axis = static_cast<std::size_t>(normal_axis(n, n.int_attr("axis", -1), rank));
  return along_axis(x, axis, f);
}

std::vector<Value> convert_softmax(const NodeView& n) {
  return {along_rows(n, [](const Value& x) { return op("softmax", {x}); })};
}

std::vector<Value> convert_log_softmax(const NodeView& n) {
  return {along_rows(n, [](const Value& x) { return op("log_softmax", {x}); })};
}

/// 1 at the first of the largest elements, 0 elsewhere.
std::vector<Value> convert_hardmax(const NodeView& n) {
  return {along_rows(n, [](const Value& x) {
    return computed("hardmax", {x}, x->shape,
                    [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                      const IterVar k = te::reduce_axis(x->shape.back(), "k");
                      graph::Indices place = at;
                      place.back() = k.var;
                      const Expr top = te::argmax(read(0, place), k);
                      return select(eq(at.back(), top), const_like(x->dtype, 1), zero(x->dtype));
                    });
  })};
}

}  // namespace

std::vector<Conversion> softmax_conversions() {
  return {
      {"Hardmax", 1, kNative, convert_hardmax},
      {"LogSoftmax", 1, kNative, convert_log_softmax},
      {"Softmax", 1, kNative, convert_softmax},
  };
}

}  // namespace tenon::onnx
