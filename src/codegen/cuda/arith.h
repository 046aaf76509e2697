#pragma once

/// Scalar operations as text. Each means what include/tenon/ir/expr.h says, for every operand.

#include <optional>

#include "codegen/cuda/c_text.h"
#include "codegen/cuda/prelude.h"
#include "tenon/ir/expr.h"

namespace tenon::codegen::cuda {

/// What is known of a binary operation's operands.
struct IntFacts {
  bool cannot_wrap = false;       ///< the result lies within the C type
  bool divides_plainly = false;   ///< a >= 0 and b > 0
  std::optional<std::int64_t> b;  ///< its value, where it is constant
};

/// Operands and result have the dtype; those of int64 the C type `type`, int or long long.
Scalar binary_text(Prelude* prelude, BinaryOp op, DType dtype, CType type, const Scalar& a,
                   const Scalar& b, const IntFacts& facts);
Scalar compare_text(BinaryOp op, const Scalar& a, const Scalar& b);
/// `type`: the C type of operand and result.
Scalar unary_text(Prelude* prelude, UnaryOp op, DType dtype, CType type, const Scalar& a,
                  bool cannot_wrap);
Scalar fma_text(DType dtype, const Scalar& a, const Scalar& b, const Scalar& c);
/// The conversions; from int64 values may be ints.
Scalar cast_text(Prelude* prelude, DType from, DType to, const Scalar& a);
Scalar reinterpret_text(Prelude* prelude, DType from, DType to, const Scalar& a);
/// What memory holds as a value, and the reverse.
Scalar from_memory(Prelude* prelude, DType dtype, const Scalar& a);
Scalar to_memory(Prelude* prelude, DType dtype, const Scalar& a);
/// Rounds a float to a 16-bit float; others stay.
Scalar round_to_storage(Prelude* prelude, DType dtype, const Scalar& a);

}  // namespace tenon::codegen::cuda
