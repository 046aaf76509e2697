// Arithmetic, comparisons, logic and activations.

#include "graph/onnx/tools.h"
#include "tenon/ir/builder.h"
#include "tenon/te/expr.h"

namespace tenon::onnx {
namespace {

constexpr Support kNative = Support::kNative;

/// The operator of the graph that has that name.
#define TENON_GRAPH_OP(function, name) \
  std::vector<Value> function(const NodeView& n) { return {op(name, n.all())}; }
TENON_GRAPH_OP(convert_add, "add")
TENON_GRAPH_OP(convert_sub, "sub")
TENON_GRAPH_OP(convert_mul, "mul")
TENON_GRAPH_OP(convert_relu, "relu")
#undef TENON_GRAPH_OP

/// Floats divide; integers truncate.
std::vector<Value> convert_div(const NodeView& n) {
  if (n.in(0)->dtype.is_float()) return {op("div", n.all())};
  return {pointwise("div", n.all(), [](const std::vector<Expr>& x) {
    const Expr quotient = te::binary(BinaryOp::kFloorDiv, x[0], x[1]);
    const Expr is_exact = eq(quotient * x[1], x[0]);
    const Expr is_negative = ne(lt(x[0], zero(x[0]->dtype)), lt(x[1], zero(x[1]->dtype)));
    return te::select(logical_and(is_negative, logical_not(is_exact)),
                      quotient + int_imm(quotient->dtype, 1), quotient);
  })};
}

}  // namespace

std::vector<Conversion> elementwise_conversions() {
  return {
      {"Add", 7, kNative, convert_add},   {"Sub", 7, kNative, convert_sub},
      {"Mul", 7, kNative, convert_mul},   {"Div", 7, kNative, convert_div},
      {"Relu", 1, kNative, convert_relu},
  };
}

}  // namespace tenon::onnx
