#pragma once

/// Which tensors a derivative runs through.

#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tenon/te/tensor.h"

namespace tenon::autodiff {

/// The tensors between variables and outputs.
class Dependence {
 public:
  Dependence(const std::vector<te::Tensor>& outputs, const std::vector<te::Tensor>& variables);

  /// Whether the tensor is, or is computed through floats from, a variable.
  bool is_active(const te::Tensor& t) const { return active_.count(t.get()) != 0; }
  /// Active tensors that outputs need, each after what it is computed from.
  const std::vector<te::Tensor>& order() const { return order_; }

 private:
  std::vector<te::Tensor> order_;
  std::unordered_set<const te::TensorNode*> active_;
};

/// Checks what vjp and jvp take: `seeds` are cotangents of outputs or tangents of inputs.
void check_variables(const char* caller, const std::vector<te::Tensor>& inputs);
void check_seed(const char* caller, const char* what, const te::Tensor& tensor,
                const te::Tensor& seed);

}  // namespace tenon::autodiff
