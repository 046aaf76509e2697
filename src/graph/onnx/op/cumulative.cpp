// Running sums and products along an axis, in either direction, with or without the element itself.

#include "graph/onnx/tools.h"
#include "tenon/graph/expression.h"
#include "tenon/ir/builder.h"
#include "tenon/te/expr.h"
#include "tenon/te/scan.h"

namespace tenon::onnx {
namespace {

/// Slices along axis 0 joined one after the other: result t is the element joined with all before.
Value running(const NodeView& n, const Value& x, BinaryOp join) {
  const DType dtype = x->dtype;
  const DType wide = sum_dtype(dtype);
  const bool is_sum = join == BinaryOp::kAdd;
  const te::Tensor steps = te::placeholder(x->shape, dtype, "x");
  const std::vector<Expr> rest(x->shape.begin() + 1, x->shape.end());
  const te::Tensor first = te::compute(
      rest, [&](const std::vector<Expr>&) { return const_like(wide, is_sum ? 0 : 1); }, "first");
  const te::Tensor all = te::scan(
      x->shape[0], {first},
      [&](const Expr& t, const std::vector<te::Tensor>& states) {
        return std::vector<te::Tensor>{te::compute(
            rest,
            [&](const std::vector<Expr>& at) {
              graph::Indices place = at;
              place.insert(place.begin(), t);
              return te::binary(join, te::read(states[0], at), cast(wide, te::read(steps, place)));
            },
            "joined")};
      },
      n.node().op_type)[0];
  return cast_to(graph::make_expression(is_sum ? "cumsum" : "cumprod", {x}, {steps}, {all})[0],
                 dtype);
}

/// Slices of axis 0 moved by one towards the end, with `neutral` in front.
Value moved(const Value& x, double neutral) {
  return computed(
      "shifted", {x}, x->shape, [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
        graph::Indices before = at;
        before[0] = at[0] - 1;
        return te::select(gt(at[0], imm(0)), read(0, before), const_like(x->dtype, neutral));
      });
}

template <BinaryOp join>
std::vector<Value> convert_cumulative(const NodeView& n) {
  Value x = n.in(0);
  if (x->shape.empty() || x->dtype.is_bool()) n.invalid("expected numbers along an axis");
  const std::int64_t axis = normal_axis(n, n.int_scalar(1), x->shape.size());
  // The axis in front and back again: exchanging it with the first is its own inverse.
  std::vector<std::int64_t> order;
  for (std::int64_t d = 0; d < static_cast<std::int64_t>(x->shape.size()); ++d)
    order.push_back(d == 0 ? axis : d == axis ? 0 : d);
  const bool is_reverse = n.int_attr("reverse", 0) != 0;
  x = transpose(x, order);
  if (is_reverse) x = reversed(x);
  if (n.int_attr("exclusive", 0) != 0) x = moved(x, join == BinaryOp::kAdd ? 0 : 1);
  x = running(n, x, join);
  if (is_reverse) x = reversed(x);
  return {transpose(x, order)};
}

}  // namespace

std::vector<Conversion> cumulative_conversions() {
  constexpr Support kNative = Support::kNative;
  return {
      {"CumProd", 26, kNative, convert_cumulative<BinaryOp::kMul>},
      {"CumSum", 11, kNative, convert_cumulative<BinaryOp::kAdd>},
  };
}

}  // namespace tenon::onnx
