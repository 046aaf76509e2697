// sum, mean, prod, max and min of numbers, any and all of bools, over any axes.

#include <algorithm>

#include "graph/kernel_builder.h"
#include "tenon/ir/builder.h"
#include "tenon/te/arg_reduction.h"
#include "tenon/te/expr.h"

namespace tenon::graph {
namespace {

using Axes = std::vector<std::int64_t>;

bool is_reduced(const ValueNode& v, std::size_t d) {
  const auto& axes = attr<Axes>(v, "axes");
  return std::find(axes.begin(), axes.end(), static_cast<std::int64_t>(d)) != axes.end();
}

void infer(ValueNode* v) {
  const Value& x = v->inputs[0];
  Axes axes = attr<Axes>(*v, "axes");
  for (std::int64_t& axis : axes)
    axis = static_cast<std::int64_t>(normal_axis(*v, axis, x->shape.size()));
  std::sort(axes.begin(), axes.end());
  axes.erase(std::unique(axes.begin(), axes.end()), axes.end());
  TENON_USER_CHECK(!axes.empty(), ShapeError, "E0411", describe(*v),
                   ": there is no axis to reduce over");
  v->attrs["axes"] = axes;
  if (v->op == "mean") check_float(*v, x);
  const bool wants_bool = v->op == "any" || v->op == "all";
  TENON_USER_CHECK(x->dtype.is_bool() == wants_bool, DTypeError, "E0521", describe(*v),
                   wants_bool ? ": expected bools, got " : ": expected numbers, got ",
                   to_string(x->dtype));
  for (std::size_t d = 0; d < x->shape.size(); ++d) {
    if (!is_reduced(*v, d)) v->shape.push_back(x->shape[d]);
  }
  v->dtype = x->dtype;
}

void space(const ValueNode& v, std::vector<Expr>* lead, bool* is_flat) {
  *lead = v.shape;
  *is_flat = !is_reduced(v, 0) &&
             attr<Axes>(v, "axes").front() == static_cast<std::int64_t>(v.shape.size());
}

void build(KernelBuilder& b, const Value& v) {
  const Value& x = v->inputs[0];
  std::vector<IterVar> axes;
  Expr count = imm(1);
  for (std::size_t d = 0; d < x->shape.size(); ++d) {
    if (!is_reduced(*v, d)) continue;
    axes.push_back(te::reduce_axis(x->shape[d], "k" + std::to_string(axes.size())));
    count = count * x->shape[d];
  }
  const auto element = [&](const Indices& lead) {
    Indices at;
    std::size_t next_lead = 0, next_axis = 0;
    for (std::size_t d = 0; d < x->shape.size(); ++d)
      at.push_back(is_reduced(*v, d) ? axes[next_axis++].var : lead[next_lead++]);
    const Expr term = b.read(x, at);
    if (v->op == "max") return te::max(term, axes);
    if (v->op == "min") return te::min(term, axes);
    if (v->op == "prod") return te::prod(term, axes);
    if (v->op == "any") return te::any_of(term, axes);
    if (v->op == "all") return te::all_of(term, axes);
    return te::sum(term, axes);
  };
  const te::Tensor total =
      b.compute(v->op == "mean" ? "total" : v->op, {},
                [&](const Indices& lead, const Indices&) { return element(lead); });
  b.define(v, total);
  if (v->op != "mean") return;
  b.define(v, b.compute("mean", {}, [&](const Indices& lead, const Indices&) {
    return b.read(v, lead) / tenon::cast(v->dtype, count);
  }));
}

Value vmap(const ValueNode& v, const std::vector<Value>& operands, const std::vector<bool>&,
           const Expr&) {
  Axes axes = attr<Axes>(v, "axes");
  for (std::int64_t& axis : axes) ++axis;
  return make_op(v.op, operands, {{"axes", axes}});
}

Operator reduction(const char* name) {
  return {.name = name,
          .kind = OperatorKind::kRow,
          .min_inputs = 1,
          .max_inputs = 1,
          .infer = infer,
          .space = space,
          .build = build,
          .vmap = vmap};
}

}  // namespace

std::vector<Operator> reduce_operators() {
  return {reduction("sum"), reduction("mean"), reduction("prod"), reduction("max"),
          reduction("min"), reduction("any"),  reduction("all")};
}

}  // namespace tenon::graph
