// softmax and log_softmax over the last axis.

#include "graph/kernel_builder.h"
#include "tenon/ir/builder.h"
#include "tenon/te/expr.h"

namespace tenon::graph {
namespace {

void infer(ValueNode* v) {
  const Value& x = v->inputs[0];
  check_float(*v, x);
  TENON_USER_CHECK(!x->shape.empty(), ShapeError, "E0411", describe(*v), ": a scalar has no axis");
  v->shape = x->shape;
  v->dtype = x->dtype;
}

void space(const ValueNode& v, std::vector<Expr>* lead, bool* is_flat) {
  lead->assign(v.shape.begin(), v.shape.end() - 1);
  *is_flat = true;
}

Indices joined(Indices lead, const Expr& last) {
  lead.push_back(last);
  return lead;
}

void build(KernelBuilder& b, const Value& v) {
  const Value& x = v->inputs[0];
  b.hold(x, "x");
  const Expr& extent = v->shape.back();
  const IterVar k = te::reduce_axis(extent, "k");
  const te::Tensor top = b.compute("top", {}, [&](const Indices& lead, const Indices&) {
    return te::max(b.read(x, joined(lead, k.var)), {k});
  });
  const auto row = [&](const te::Tensor& t, const Indices& lead, const Indices& in) {
    return b.at_row(t, lead, in);
  };
  const te::Tensor e = b.compute("e", {extent}, [&](const Indices& lead, const Indices& in) {
    return te::math("exp", {b.read(x, joined(lead, in[0])) - row(top, lead, {})});
  });
  const te::Tensor total = b.compute("total", {}, [&](const Indices& lead, const Indices&) {
    return te::sum(row(e, lead, {k.var}), {k});
  });
  b.define(v, b.compute(v->op, {extent}, [&](const Indices& lead, const Indices& in) {
    if (v->op == "softmax") return row(e, lead, in) / row(total, lead, {});
    return b.read(x, joined(lead, in[0])) - row(top, lead, {}) -
           te::math("log", {row(total, lead, {})});
  }));
}

/// The sum of each row, as a column.
Value sum_of_rows(const Value& x) {
  const auto last = static_cast<std::int64_t>(x->shape.size()) - 1;
  std::vector<Expr> column = x->shape;
  column.back() = imm(1);
  return make_op("reshape", {make_op("sum", {x}, {{"axes", std::vector{last}}})},
                 {{"shape", column}});
}

/// From the result, without dividing again: y * (g - sum(g * y)), and of its logarithm
/// g - exp(y) * sum(g).
std::vector<Value> vjp(const Value& y, const Value& g) {
  if (y->op == "softmax")
    return {make_op("mul", {y, make_op("sub", {g, sum_of_rows(make_op("mul", {g, y}))})})};
  return {make_op("sub", {g, make_op("mul", {make_op("exp", {y}), sum_of_rows(g)})})};
}

Value vmap(const ValueNode& v, const std::vector<Value>& operands, const std::vector<bool>&,
           const Expr&) {
  return make_op(v.op, operands);
}

}  // namespace

std::vector<Operator> softmax_operators() {
  const auto of_rows = [](const char* name) {
    return Operator{.name = name,
                    .kind = OperatorKind::kRow,
                    .min_inputs = 1,
                    .max_inputs = 1,
                    .infer = infer,
                    .space = space,
                    .build = build,
                    .vjp = vjp,
                    .vmap = vmap};
  };
  return {of_rows("softmax"), of_rows("log_softmax")};
}

}  // namespace tenon::graph
