#pragma once

/// Conditions on indices, taken apart.

#include <vector>

#include "tenon/ir/stmt.h"

namespace tenon {

/// The operands of nested `and`s, left to right; nothing for a null handle.
std::vector<Expr> conjuncts(const Expr& condition);
/// All of them; null when there is none.
Expr conjunction(const std::vector<Expr>& conditions);
/// An expression that is not negative exactly where an integer comparison (`< <= > >=`) holds; null
/// for every other condition.
Expr slack_of(const Expr& condition);
/// Whether the value depends on memory or calls rather than on variables alone.
bool reads_memory(const Expr& e);
bool uses(const Expr& e, const Expr& variable);

}  // namespace tenon
