#pragma once

/// The simplifier as a pass.

#include "tenon/ir/analyzer.h"

namespace tenon {

/// Simplifies every expression with the ranges of the loops, iteration variables, conditions and
/// symbols around it.
///
/// Requires: nothing but well-formed IR of any level.
/// Does: canonical index expressions; drops loops that run nothing, branches that are never taken
/// and conditions that always hold; replaces a serial, parallel or unrolled loop of one iteration
/// by its body (loops with annotations, bound or vectorized ones stay); replaces variables bound by
/// let to a constant or a variable. Ensures: equal values and effects; blocks, their iters and the
/// definitions of loops that stay keep their identity. Why here in the order: after every pass that
/// substitutes into indices, before those that match them.
///
/// `keep_loops` leaves loops and blocks as they are (for schedules, whose handles are loops) and
/// only touches expressions.
struct SimplifyOptions {
  bool keep_loops = false;
};
Stmt simplify(const Stmt& s, Analyzer* analyzer, const SimplifyOptions& options = {});
/// With an analyzer that knows nothing.
Stmt simplify(const Stmt& s, const SimplifyOptions& options = {});
/// With the symbols of the function bound.
Function simplify(const Function& f, const SimplifyOptions& options = {});
/// Without any knowledge of variables.
Expr simplify(const Expr& e);

}  // namespace tenon
