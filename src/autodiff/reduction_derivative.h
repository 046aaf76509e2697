#pragma once

/// Derivatives of reductions with respect to their terms.

#include "autodiff/element.h"
#include "autodiff/scalar_derivative.h"

namespace tenon::autodiff {

/// The derivative of `t`, whose element `e` is a reduction, with respect to one term, over the
/// domain of `e`: 1 for a sum; for a product the product of all other terms (from tensors of their
/// own, without division); for min and max whether the term is the one of lowest index that
/// equals the result (an integer tensor of its own), none where the result is NaN.
Partial partial_of_reduction(const Element& e, const te::Tensor& t);

}  // namespace tenon::autodiff
