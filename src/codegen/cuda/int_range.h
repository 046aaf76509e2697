#pragma once

/// Bounds of integer values, found while they are emitted: they decide what fits into an int and
/// what cannot wrap.

#include <cstdint>
#include <limits>

#include "tenon/ir/expr.h"

namespace tenon::codegen::cuda {

/// Inclusive. The default says nothing of an int64.
struct IntRange {
  std::int64_t lower = std::numeric_limits<std::int64_t>::min();
  std::int64_t upper = std::numeric_limits<std::int64_t>::max();
  /// Made of loop variables, symbols and small constants alone: such arithmetic does not overflow
  /// (tenon/ir/analyzer.h), even where the bounds do not show it.
  bool is_index = false;

  bool fits_int32() const;
  bool is_single() const { return lower == upper; }
};

IntRange single_value(std::int64_t v);
/// All values of the integer or bool dtype.
IntRange range_of(DType t);
IntRange join(const IntRange& a, const IntRange& b);
/// Of a op b in dtype t; `wraps` is set to whether the result may lie outside of t, in which case
/// the range is all of t.
IntRange range_of(BinaryOp op, DType t, const IntRange& a, const IntRange& b, bool* wraps);

}  // namespace tenon::codegen::cuda
