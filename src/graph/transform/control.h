#pragma once

/// Derivatives and batches of branches and loops.

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

/// The results of `v` for a batch: `operands` have a leading axis of `extent` where `is_batched`,
/// and so have results where `result_is_batched`. A loop carries the axis on states and slices.
/// Where its condition or limit differs in the batch it runs while that of any element holds, and
/// the others keep their states. A branch stays one unless its predicate differs in the batch: then
/// both are computed, and one is taken for each element; or, if they read at indices that data
/// decide, elements take theirs one after the other.
std::vector<Value> vmap_control(const Value& v, const std::vector<Value>& operands,
                                const std::vector<bool>& is_batched, const Expr& extent,
                                std::vector<bool>* result_is_batched);

}  // namespace tenon::graph
