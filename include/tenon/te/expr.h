#pragma once

/// Element operations for users: operands are checked and converted by the array-API promotion
/// rules.

#include <string>

#include "tenon/ir/expr.h"

namespace tenon::te {

/// a op b after promotion. DTypeError [E0502] for operands without a common dtype, [E0504] for an
/// operation that the dtype has not (bits of floats, `/` of integers: the hint names `//`).
Expr binary(BinaryOp op, const Expr& a, const Expr& b);
Expr unary(UnaryOp op, const Expr& a);
/// value as dtype.
Expr cast(DType dtype, const Expr& value);
/// condition ? t : f, lazily; t and f are promoted.
Expr select(const Expr& condition, const Expr& t, const Expr& f);
/// A float function by its name: exp log tanh erf sigmoid sin cos rsqrt gelu gelu_tanh softplus
/// (one operand), pow (two). DTypeError [E0505] for operands that are no floats.
Expr math(const std::string& name, std::vector<Expr> args);
/// Whether `name` is one of the above.
bool is_math_function(const std::string& name);

}  // namespace tenon::te
