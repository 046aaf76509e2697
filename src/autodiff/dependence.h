#pragma once

/// Which tensors a derivative runs through.

#include <functional>
#include <unordered_set>
#include <vector>

#include "tenon/te/tensor.h"

namespace tenon::autodiff {

/// What a tensor's derivative depends on: its operands, or the inputs of its rule; of a scan those
/// of rules in its step too.
std::vector<te::Tensor> differentiable_operands_of(const te::Tensor& t);
/// Everything that `roots` are computed from, roots included, each after its operands.
std::vector<te::Tensor> in_order(
    const std::vector<te::Tensor>& roots,
    const std::function<std::vector<te::Tensor>(const te::Tensor&)>& operands);

/// The tensors between variables and outputs.
class Dependence {
 public:
  Dependence(const std::vector<te::Tensor>& outputs, const std::vector<te::Tensor>& variables);

  /// Whether the tensor is, or is computed through floats from, a variable.
  bool is_active(const te::Tensor& t) const { return active_.count(t.get()) != 0; }
  /// Active tensors that outputs need, each after what it is computed from.
  const std::vector<te::Tensor>& order() const { return order_; }
  /// GradientError [E0164] when `t`, which has a rule, depends on a variable that no input of the
  /// rule does.
  void check_rule(const te::Tensor& t) const;

 private:
  std::unordered_set<const te::TensorNode*> variables_;
  std::vector<te::Tensor> order_;
  std::unordered_set<const te::TensorNode*> active_;
};

/// Checks what vjp and jvp take: `seeds` are cotangents of outputs or tangents of inputs.
void check_variables(const char* caller, const std::vector<te::Tensor>& inputs);
void check_seed(const char* caller, const char* what, const te::Tensor& tensor,
                const te::Tensor& seed);

}  // namespace tenon::autodiff
