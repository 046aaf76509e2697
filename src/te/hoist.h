#pragma once

/// Reductions inside larger expressions.

#include <functional>
#include <vector>

#include "tenon/ir/expr.h"

namespace tenon::te {

/// `e` with each outermost reduction replaced by what `f` gives for it. Reductions inside a
/// reduction are left to `f`; a shared one is replaced once.
Expr replace_reductions(const Expr& e, const std::function<Expr(const ReduceNode&)>& f);

/// Those of `axes`, in their order, that the reduction depends on, directly or through the domain
/// of an axis.
std::vector<IterVar> axes_of(const ReduceNode& reduce, const std::vector<IterVar>& axes);

}  // namespace tenon::te
