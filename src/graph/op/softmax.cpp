// softmax over the last axis.

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
  b.define(v, b.compute("softmax", {extent}, [&](const Indices& lead, const Indices& in) {
    return row(e, lead, in) / row(total, lead, {});
  }));
}

}  // namespace

std::vector<Operator> softmax_operators() {
  return {{.name = "softmax",
           .kind = OperatorKind::kRow,
           .min_inputs = 1,
           .max_inputs = 1,
           .infer = infer,
           .space = space,
           .build = build}};
}

}  // namespace tenon::graph
