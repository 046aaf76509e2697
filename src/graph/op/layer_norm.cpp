// layer_norm over the last axis: (x - mean) / sqrt(variance + eps) * weight + bias, of two passes.

#include "graph/kernel_builder.h"
#include "tenon/ir/builder.h"
#include "tenon/te/expr.h"

namespace tenon::graph {
namespace {

void infer(ValueNode* v) {
  const Value& x = v->inputs[0];
  check_float(*v, x);
  TENON_USER_CHECK(!x->shape.empty(), ShapeError, "E0411", describe(*v), ": a scalar has no axis");
  for (std::size_t i = 1; i < v->inputs.size(); ++i) {
    const Value& p = v->inputs[i];
    TENON_USER_CHECK(p->shape.size() == 1 && same_extent(p->shape[0], x->shape.back()), ShapeError,
                     "E0418", describe(*v),
                     ": weight and bias should have the size of x's last axis");
    TENON_USER_CHECK(p->dtype == x->dtype, DTypeError, "E0521", describe(*v),
                     ": all operands should have one dtype");
  }
  v->shape = x->shape;
  v->dtype = x->dtype;
}

void space(const ValueNode& v, std::vector<Expr>* lead, bool* is_flat) {
  lead->assign(v.shape.begin(), v.shape.end() - 1);
  *is_flat = true;
}

void build(KernelBuilder& b, const Value& v) {
  const Value& x = v->inputs[0];
  b.hold(x, "x");
  const Expr& extent = v->shape.back();
  const Expr count = tenon::cast(v->dtype, extent);
  const Expr eps = float_imm(v->dtype, attr<double>(*v, "eps"));
  const IterVar k = te::reduce_axis(extent, "k"), k2 = te::reduce_axis(extent, "k");
  const auto value = [&](Indices lead, const Expr& last) {
    lead.push_back(last);
    return b.read(x, lead);
  };
  const te::Tensor total = b.compute("mean_sum", {}, [&](const Indices& lead, const Indices&) {
    return te::sum(value(lead, k.var), {k});
  });
  const te::Tensor mean = b.compute("mean", {}, [&](const Indices& lead, const Indices&) {
    return b.at_row(total, lead, {}) / count;
  });
  const auto centred = [&](const Indices& lead, const Expr& last) {
    return value(lead, last) - b.at_row(mean, lead, {});
  };
  const te::Tensor squares = b.compute("var_sum", {}, [&](const Indices& lead, const Indices&) {
    return te::sum(centred(lead, k2.var) * centred(lead, k2.var), {k2});
  });
  const te::Tensor scale = b.compute("scale", {}, [&](const Indices& lead, const Indices&) {
    return te::math("rsqrt", {b.at_row(squares, lead, {}) / count + eps});
  });
  b.define(v, b.compute("layer_norm", {extent}, [&](const Indices& lead, const Indices& in) {
    Expr y = centred(lead, in[0]) * b.at_row(scale, lead, {});
    if (v->inputs.size() > 1) y = y * b.read(v->inputs[1], in);
    if (v->inputs.size() > 2) y = y + b.read(v->inputs[2], in);
    return y;
  }));
}

/// With weights of their own for each element of the batch the definition says how.
Value vmap(const ValueNode& v, const std::vector<Value>& operands,
           const std::vector<bool>& is_batched, const Expr&) {
  for (std::size_t i = 1; i < operands.size(); ++i) {
    if (is_batched[i]) return nullptr;
  }
  return is_batched[0] ? make_op(v.op, operands, v.attrs) : nullptr;
}

}  // namespace

std::vector<Operator> layer_norm_operators() {
  return {{.name = "layer_norm",
           .kind = OperatorKind::kRow,
           .min_inputs = 1,
           .max_inputs = 3,
           .infer = infer,
           .space = space,
           .build = build,
           .vmap = vmap}};
}

}  // namespace tenon::graph
