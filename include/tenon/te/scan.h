#pragma once

/// Recurrences.

#include "tenon/te/tensor.h"

namespace tenon::te {

/// The states after step `t`, as tensors that read `t` (an int64 index), the states before it, and
/// any other tensors. Called once.
using StepFunction =
    std::function<std::vector<Tensor>(const Expr& t, const std::vector<Tensor>& states)>;

/// The recurrence states(t) = step(t, states(t - 1)) from states(-1) = init, for t = 0 ... steps -
/// 1 in this order. One result for each state, of shape [steps] + its init's shape, with the state
/// after step t at index t.
///
/// ExpressionError [E0116] when the step gives another number of tensors than there are states, or
/// there is none, [E0117] (by `function`) when a tensor of the step is used outside of it;
/// ShapeError [E0403, E0404] for steps that are no size, [E0408] when a state changes its shape;
/// DTypeError [E0509] when it changes its dtype.
std::vector<Tensor> scan(const Expr& steps, const std::vector<Tensor>& init,
                         const StepFunction& step, const std::string& name = "scan");

/// The tensor of state `state` after each step: one result more of a scan that exists.
Tensor scan_result(const std::shared_ptr<const Scan>& scan, std::size_t state);

/// The state after the last step of a scan's result; the init where there is no step.
Tensor last_state(const Tensor& states);

/// Running sums along an axis (counted from 0, or from -1 at the end): element i is the sum of
/// elements 0 to i, in this order. bfloat16 and float16 accumulate in float32, 8- and 16-bit
/// integers in int32; each result is rounded once. ShapeError [E0409] for an axis that x does not
/// have; DTypeError [E0504] for bools.
Tensor cumsum(const Tensor& x, int axis = 0, const std::string& name = "cumsum");

}  // namespace tenon::te
