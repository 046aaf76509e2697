#include "tenon/ir/quotient.h"

#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon {

std::int64_t replace_quotient(const Expr& variable, const Expr& quotient,
                              std::vector<Expr>* exprs) {
  std::int64_t divisor = 0;
  const auto replace = [&](const Expr& e) -> Expr {
    const auto* b = e.as<BinaryNode>();
    if (b == nullptr || b->op != BinaryOp::kFloorDiv || !b->a.same_as(variable)) return nullptr;
    const std::int64_t by = as_int(b->b).value_or(0);
    if (by <= 0 || (divisor != 0 && by != divisor)) return nullptr;
    divisor = by;
    return quotient;
  };
  for (Expr& e : *exprs) e = rewrite_exprs(e, replace);
  return divisor;
}

}  // namespace tenon
