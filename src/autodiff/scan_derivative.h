#pragma once

/// Derivatives of recurrences.

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "tenon/te/tensor.h"

namespace tenon::autodiff {

/// The tensors that a scan is computed from, as far as derivatives go: init, operands, and inputs
/// of gradients written by hand in its step.
std::vector<te::Tensor> inputs_of_scan(const te::Scan& scan);

/// The cotangents of the scan's inputs that `is_active` holds for, each with its input (one that
/// has several parts may be listed several times), for those of its results: one for each state,
/// null for zero. They are carried backwards by a scan in the opposite order, which reads the
/// states at hand; what else the steps compute is computed again, for all steps at once, and so are
/// the cotangents of what all steps use.
std::vector<std::pair<te::Tensor, te::Tensor>> pull_back_scan(
    const std::shared_ptr<const te::Scan>& scan, const std::vector<te::Tensor>& cotangents,
    const std::function<bool(const te::Tensor&)>& is_active);

/// The tangents of the scan's results, null for zero, from those of its inputs (null for zero): a
/// scan that reads the states at hand.
std::vector<te::Tensor> push_forward_scan(
    const std::shared_ptr<const te::Scan>& scan,
    const std::function<te::Tensor(const te::Tensor&)>& tangent_of);

}  // namespace tenon::autodiff
