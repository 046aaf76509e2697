#pragma once

/// How reductions compute: accumulator dtypes, the single step, and the order of summation (design
/// 3a).

#include <string>
#include <vector>

#include "tenon/ir/expr.h"

namespace tenon::te {

/// The dtype in which a reduction of `source` accumulates: float32 for bfloat16 and float16, int32
/// for 8- and 16-bit integers under sum and prod; the source's otherwise.
DType accumulator_dtype(ReduceOp op, DType source);
/// The wider of source and result dtype where both are floats or both integers; the source's
/// otherwise.
DType promote_for_sum(DType source, DType result);

/// Arithmetic on bfloat16 and float16 done in float32: every operation on narrow floats becomes one
/// on float32 whose narrow operands (loads, constants, explicit casts) are widened. The result of a
/// narrow expression is float32; the store rounds once.
Expr widen_narrow_floats(const Expr& e);

/// accumulator op source: an fma where the source is a product under sum; skipped where `condition`
/// is false.
Expr reduction_step(const ReduceNode& reduce, const Expr& accumulator);

/// How a float sum or product is ordered (design 3a (b)).
struct ReductionOrder {
  std::string name;  ///< "row" or "chain"; "" for reductions whose bits do not depend on the order
  /// Of a row: how many of the last axes, taken together, are the last indices of every operand
  /// with a reduction axis. They count as one axis, the index of which chooses the lane.
  int row_axes = 0;
};
ReductionOrder reduction_order(const ReduceNode& reduce, const std::vector<IterVar>& spatial);

}  // namespace tenon::te
