#include <algorithm>
#include <cmath>

#include "graph/operator.h"
#include "graph/pass/pass.h"
#include "tenon/runtime/float_convert.h"

namespace tenon::graph {
namespace {

using Uses = std::unordered_map<const ValueNode*, std::size_t>;

/// product(x, weight) + bias, as a batch_norm finds it; `bias` is null when there is none.
struct Affine {
  Value product, bias;
};

bool is_product(const Value& v) {
  const bool known = v->is_op("conv") || v->is_op("conv_transpose") || v->is_op("linear");
  return known && v->inputs[1]->is_constant();
}

bool as_affine(const Value& v, const Uses& uses, Affine* out) {
  if (uses.at(v.get()) != 1) return false;
  if (is_product(v)) {
    *out = {v, nullptr};
    return true;
  }
  if (!v->is_op("add") || !is_product(v->inputs[0]) || uses.at(v->inputs[0].get()) != 1)
    return false;
  const Value& bias = v->inputs[1];
  *out = {v->inputs[0], bias};
  return bias->is_constant() && bias->shape.size() == 1 &&
         same_extent(bias->shape[0], v->shape.back());
}

// Constants are computed here rather than by kernels: those would be one for each shape.

double element(const Array& x, std::size_t i) {
  const auto bytes = static_cast<std::size_t>(x.dtype().bytes());
  return load_float(x.dtype(), static_cast<const char*>(x.raw()) + i * bytes);
}

void set_element(Array* x, std::size_t i, double value) {
  const auto bytes = static_cast<std::size_t>(x->dtype().bytes());
  store_float(x->dtype(), value, static_cast<char*>(x->raw_mutable()) + i * bytes);
}

std::vector<double> numbers(const Value& constant) {
  const Array data = constant->data.contiguous();
  std::vector<double> values(static_cast<std::size_t>(data.size()));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = element(data, i);
  return values;
}

Value vector_of(DType dtype, const std::vector<double>& values) {
  Array result = Array::empty({static_cast<std::int64_t>(values.size())}, dtype);
  for (std::size_t i = 0; i < values.size(); ++i) set_element(&result, i, values[i]);
  return make_constant(result);
}

/// The weight times `scale` along its output channels: the first axis of a linear's, else the last.
Value scaled(const Value& product, const std::vector<double>& scale) {
  const Value& weight = product->inputs[1];
  const Array data = weight->data.contiguous();
  Array result = Array::empty(data.shape(), data.dtype());
  const auto size = static_cast<std::size_t>(data.size());
  const std::size_t channels = scale.size(), rows = size / std::max<std::size_t>(channels, 1);
  const bool is_first = product->is_op("linear");
  if (data.dtype() == kFloat32 && !is_first) {
    const std::vector<float> factors(scale.begin(), scale.end());
    const auto* from = data.data<float>();
    auto* to = result.mutable_data<float>();
    for (std::size_t i = 0; i < size; i += channels) {
      for (std::size_t c = 0; c < channels; ++c) to[i + c] = from[i + c] * factors[c];
    }
  } else {
    for (std::size_t i = 0; i < size; ++i)
      set_element(&result, i, element(data, i) * scale[is_first ? i / rows : i % channels]);
  }
  return make_constant(result, weight->name);
}

/// batch_norm(product + bias) as a product with another weight and another bias.
Value folded(const Value& v, const std::vector<Value>& inputs, const Affine& affine) {
  const std::vector<double> mean = numbers(inputs[1]), variance = numbers(inputs[2]),
                            weight = numbers(inputs[3]), bias = numbers(inputs[4]);
  const std::vector<double> before =
      affine.bias ? numbers(affine.bias) : std::vector<double>(mean.size(), 0);
  const double eps = attr<double>(*v, "eps");
  std::vector<double> scale(mean.size()), shift(mean.size());
  for (std::size_t c = 0; c < mean.size(); ++c) {
    scale[c] = weight[c] / std::sqrt(variance[c] + eps);
    shift[c] = (before[c] - mean[c]) * scale[c] + bias[c];
  }
  const Value product = affine.bias ? inputs[0]->inputs[0] : inputs[0];
  const Value x = with_inputs(*product, {product->inputs[0], scaled(product, scale)});
  return make_op("add", {x, vector_of(v->dtype, shift)});
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
    const bool fits = v->is_op("batch_norm") && as_affine(v->inputs[0], uses, &affine) &&
                      std::all_of(v->inputs.begin() + 1, v->inputs.end(),
                                  [](const Value& p) { return p->is_constant(); });
    if (!fits) return nullptr;
    ++*num_folded;
    note(log, "fold_batch_norms", *v, "removed",
         "constant statistics: part of the weights and bias of the " + affine.product->op +
             " before it, which changes roundings");
    return folded(v, inputs, affine);
  });
}

}  // namespace tenon::graph
