// batch_norm with given statistics, element by element: (x - mean) / sqrt(variance + eps) * weight
// + bias along the last axis.

#include "graph/operator.h"
#include "tenon/ir/builder.h"
#include "tenon/te/expr.h"

namespace tenon::graph {
namespace {

void infer(ValueNode* v) {
  const Value& x = v->inputs[0];
  check_float(*v, x);
  TENON_USER_CHECK(!x->shape.empty(), ShapeError, "E0444", describe(*v), ": a scalar has no axis");
  for (std::size_t i = 1; i < v->inputs.size(); ++i) {
    const Value& p = v->inputs[i];
    TENON_USER_CHECK(
        p->shape.size() == 1 && same_extent(p->shape[0], x->shape.back()), ShapeError, "E0444",
        describe(*v),
        ": mean, variance, weight and bias should have the size of x's last axis, its channels");
    TENON_USER_CHECK(p->dtype == x->dtype, DTypeError, "E0537", describe(*v),
                     ": all operands should have one dtype");
  }
  v->shape = x->shape;
  v->dtype = x->dtype;
}

Expr element(const ValueNode& v, const Indices& indices, const ElementReader& read) {
  const Indices channel{indices.back()};
  const Expr eps = float_imm(v.dtype, attr<double>(v, "eps"));
  const Expr scale = te::math("rsqrt", {read(2, channel) + eps});
  return (read(0, indices) - read(1, channel)) * (scale * read(3, channel)) + read(4, channel);
}

}  // namespace

std::vector<Operator> batch_norm_operators() {
  return {{.name = "batch_norm",
           .kind = OperatorKind::kElementwise,
           .min_inputs = 5,
           .max_inputs = 5,
           .infer = infer,
           .element = element}};
}

}  // namespace tenon::graph
