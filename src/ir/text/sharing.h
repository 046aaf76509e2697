#pragma once

/// Which shared expressions the printer writes once.

#include <unordered_map>
#include <vector>

#include "tenon/ir/expr.h"

namespace tenon::text {

/// What to write once, and where: the nodes to name before the roots (key null), and those to name
/// at the head of the body of a `let` or a `reduce` (key: that node), because they use its
/// variables. Each list names operands before their users.
using SharePlan = std::unordered_map<const ExprNode*, std::vector<const ExprNode*>>;

/// The plan for expressions that are printed together. Empty where the plain text is small.
SharePlan plan_sharing(const std::vector<Expr>& roots);

}  // namespace tenon::text
