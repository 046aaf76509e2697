#pragma once

#include <string_view>

#include "tenon/ir/stmt.h"

namespace tenon {

/// Replaces calls of float functions by arithmetic.
///
/// Requires: calls of the functions below have float operands of the call's own dtype, scalars or
/// vectors. 16-bit operands are
///   computed in float32 and rounded once.
/// Does: replaces each call of exp, log, tanh, erf, sigmoid, softplus, sin, cos, pow, rsqrt, gelu
/// and gelu_tanh by the expression
///   that the function's template in src/ir/math builds; operands stay shared nodes.
/// Ensures: none of these calls is left, and other calls (`checked_index`) stay. The bits are the
/// same in the interpreter, in
///   generated code, in scalars and vectors.
/// Why here: last, so that no pass before it walks the long expansions; simplifying them would gain
/// nothing.
Stmt expand_math(const Stmt& s);
Expr expand_math(const Expr& e);

/// Whether expand_math replaces calls of this name.
bool is_math_function(std::string_view name);

}  // namespace tenon
