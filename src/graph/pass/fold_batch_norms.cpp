#include <algorithm>

#include "graph/operator.h"
#include "graph/pass/pass.h"
#include "tenon/ir/builder.h"

namespace tenon::graph {
namespace {

using Uses = std::unordered_map<const ValueNode*, std::size_t>;

/// product(x, weight) + bias, as a batch_norm finds it; `bias` is null when there is none.
struct Affine {
  Value product, bias;
};

bool is_product(const Value& v) {
  const bool known = v->op == "conv" || v->op == "conv_transpose" || v->op == "linear";
  return known && v->inputs[1]->is_constant();
}

bool as_affine(const Value& v, const Uses& uses, Affine* out) {
  if (uses.at(v.get()) != 1) return false;
  if (is_product(v)) {
    *out = {v, nullptr};
    return true;
  }
  if (v->op != "add" || !is_product(v->inputs[0]) || uses.at(v->inputs[0].get()) != 1) return false;
  const Value& bias = v->inputs[1];
  *out = {v->inputs[0], bias};
  return bias->is_constant() && bias->shape.size() == 1 &&
         same_extent(bias->shape[0], v->shape.back());
}

/// The weight times `scale` [output channels].
Value scaled(const Value& product, const Value& scale) {
  const Value& weight = product->inputs[1];
  if (product->op != "linear") return make_op("mul", {weight, scale});  // channels are last
  const Value column =
      make_op("reshape", {scale}, {{"shape", std::vector<Expr>{scale->shape[0], imm(1)}}});
  return make_op("mul", {weight, column});
}

}  // namespace

std::vector<Value> fold_batch_norms(const std::vector<Value>& outputs, int* num_folded,
                                    RewriteLog* log) {
  Uses uses;
  for (const Value& v : in_order(outputs)) {
    for (const Value& x : v->inputs) ++uses[x.get()];
  }
  for (const Value& v : outputs) ++uses[v.get()];
  return rewrite_graph(outputs, [&](const Value& v, const std::vector<Value>& inputs) -> Value {
    Affine affine;
    const bool fits = v->op == "batch_norm" && as_affine(v->inputs[0], uses, &affine) &&
                      std::all_of(v->inputs.begin() + 1, v->inputs.end(),
                                  [](const Value& p) { return p->is_constant(); });
    if (!fits) return nullptr;
    ++*num_folded;
    note(log, "fold_batch_norms", *v, "removed",
         "constant statistics: part of the weights and bias of the " + affine.product->op +
             " before it, which changes roundings");
    const Value &mean = inputs[1], &variance = inputs[2], &weight = inputs[3], &bias = inputs[4];
    const double eps_value = attr<double>(*v, "eps");
    const Array eps_array = Array::from_values<double>({}, kFloat64, {&eps_value, 1});
    const Value eps = make_op("cast", {make_constant(eps_array)}, {{"dtype", v->dtype}});
    const Value scale =
        make_op("mul", {make_op("rsqrt", {make_op("add", {variance, eps})}), weight});
    const Value shift = affine.bias ? make_op("sub", {affine.bias, mean}) : make_op("neg", {mean});
    const Value product = affine.bias ? inputs[0]->inputs[0] : inputs[0];
    const Value folded = with_inputs(*product, {product->inputs[0], scaled(product, scale)});
    return make_op("add", {folded, make_op("add", {make_op("mul", {shift, scale}), bias})});
  });
}

}  // namespace tenon::graph
