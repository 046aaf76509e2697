#include "autodiff/batch_tensors.h"
#include "autodiff/element.h"
#include "tenon/autodiff/autodiff.h"

namespace tenon::autodiff {

Batched vmap(const std::vector<te::Tensor>& outputs, const std::vector<te::Tensor>& inputs,
             const std::vector<bool>& is_batched, const Expr& batch_extent) {
  TENON_USER_CHECK(inputs.size() == is_batched.size(), ExpressionError, "E0160",
                   "vmap: ", inputs.size(), " inputs but ", is_batched.size(),
                   " statements whether they are batched");
  Batched out;
  te::TensorMap map;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const te::Tensor& t = inputs[i];
    out.inputs.push_back(t);
    if (!is_batched[i]) continue;
    const SpanScope span(t->span);
    std::vector<Expr> shape{batch_extent};
    shape.insert(shape.end(), t->shape.begin(), t->shape.end());
    out.inputs.back() = te::placeholder(std::move(shape), t->dtype, t->name);
    map[t.get()] = out.inputs.back();
  }
  BatchTensors batch(std::move(map), batch_extent);
  batch.run(outputs);
  for (const te::Tensor& t : outputs) {
    const te::Tensor found = batch.of_any(t);
    // A batched input itself is no computed tensor.
    const bool is_computed = found->kind != te::TensorKind::kPlaceholder;
    out.outputs.push_back(is_computed ? found : copy_of(found, t->name));
  }
  return out;
}

}  // namespace tenon::autodiff
