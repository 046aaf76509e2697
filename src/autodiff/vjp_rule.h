#pragma once

/// Gradients written by hand (te::VjpRule).

#include <vector>

#include "tenon/te/tensor.h"

namespace tenon::autodiff {

/// The cotangents of the rule's inputs, checked; null for zero.
std::vector<te::Tensor> pull_back_by_rule(const te::Tensor& t, const te::Tensor& cotangent);

/// The tangent of `t` from those of the rule's inputs (null for zero), by transposing the rule;
/// null when it is zero.
te::Tensor push_forward_by_rule(const te::Tensor& t, const std::vector<te::Tensor>& tangents);

}  // namespace tenon::autodiff
