#pragma once

/// Derivatives of the operations on elements.

#include <vector>

#include "tenon/ir/expr.h"

namespace tenon::autodiff {

/// The derivative of an operation with respect to one of its operands, a linear map of elements.
struct Partial {
  enum class Kind : std::uint8_t {
    kSame,       ///< g
    kNegate,     ///< -g
    kTimes,      ///< g * value
    kOver,       ///< g / value
    kWhenTrue,   ///< select(value, g, 0)
    kWhenFalse,  ///< select(value, 0, g)
    kCast,       ///< g in another float dtype
  };
  Expr operand;
  Kind kind = Kind::kSame;
  Expr value = nullptr;
};

/// One Partial for each float operand that the operation depends on smoothly; none for operations
/// whose derivative is zero everywhere (floor, comparisons, loads of integers) and for leaves.
/// `result` is the operation's own value, in whatever form it is at hand. Reductions and loads are
/// not operations on elements and have none.
std::vector<Partial> partials(const Expr& operation, const Expr& result);

/// The map applied to a cotangent of the operation: a cotangent of the operand, in float32 where
/// the operand is narrower (it is rounded once, where it is stored).
Expr pull_back(const Partial& partial, const Expr& cotangent);
/// The map applied to a tangent of the operand: a tangent of the operation, which has `dtype`.
Expr push_forward(const Partial& partial, const Expr& tangent, DType dtype);

/// Whether e is the constant +0 of a float dtype.
bool is_zero(const Expr& e);
/// a + b, where null stands for zero.
Expr add_terms(const Expr& a, const Expr& b);
/// a + b, masked by a select where both are: what is multiplied with the sum is then evaluated only
/// where one of them is.
Expr add_masked(const Expr& a, const Expr& b);
/// a * b without multiplications by one.
Expr times(const Expr& a, const Expr& b);

}  // namespace tenon::autodiff
