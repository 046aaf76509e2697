#pragma once

/// Derivatives of branches and loops.

#include "graph/transform/differentiate.h"

namespace tenon::graph {

/// Reverse mode: the cotangents of the operands of `v` (null: none) for those of its results (null:
/// zero). A loop runs backwards over the states that it had; what its bodies compute by sums is
/// kept, the rest is computed again. A branch is computed again.
/// GradientError [E0174] for a loop whose number of iterations depends on data.
std::vector<Value> vjp_control(const Value& v, const std::vector<Value>& cotangents,
                               const Active& active);

/// Forward mode: the tangents of the results (null: zero) for those of the operands.
std::vector<Value> jvp_control(const Value& v, const std::vector<Value>& tangents);

}  // namespace tenon::graph
