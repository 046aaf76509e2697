#pragma once

/// Quotients of a variable: how an expression depends on a group of its values.

#include <cstdint>
#include <vector>

#include "tenon/ir/expr.h"

namespace tenon {

/// Puts `quotient` in the place of `variable // c` wherever the expressions have it, for the first
/// constant c > 0 that is met and no other. Returns c; 0 where there is none. The variable may
/// still be used otherwise.
std::int64_t replace_quotient(const Expr& variable, const Expr& quotient, std::vector<Expr>* exprs);

}  // namespace tenon
