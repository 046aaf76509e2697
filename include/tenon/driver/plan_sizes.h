#pragma once

/// Integer expressions over a function's symbols as instructions of a plan.

#include <unordered_map>
#include <vector>

#include "tenon/ir/function.h"
#include "tenon/runtime/plan.h"

namespace tenon {

/// Registers of variables (the symbols of a function or network).
using SymbolRegisters = std::unordered_map<const ExprNode*, PlanRegister>;

/// Appends what computes `e`: int64 constants, known variables, + - * // %, min, max, comparisons,
/// and, or, not, select, let. InternalError for anything else.
PlanRegister add_size(PlanProgram* program, const Expr& e, const SymbolRegisters& symbols);
/// The same for each of a shape.
std::vector<PlanRegister> add_sizes(PlanProgram* program, const std::vector<Expr>& shape,
                                    const SymbolRegisters& symbols);

}  // namespace tenon
