#include "tenon/te/arg_reduction.h"

#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon::te {
namespace {

using Extreme = Expr (*)(const Expr& source, std::vector<IterVar> axes, const Expr& where);

/// The extreme value first, over an axis of its own; then the least index where it stands.
Expr arg_reduction(Extreme extreme, const Expr& source, const IterVar& axis, const Expr& where) {
  TENON_USER_CHECK(axis.kind == IterKind::kReduction, ExpressionError, "E0108",
                   "te.argmax and te.argmin reduce over axes made by te.reduce_axis");
  const IterVar other = reduce_axis(axis.domain, axis.var.as<VarNode>()->name);
  const VarMap renamed = {{axis.var.get(), other.var}};
  const Expr value =
      extreme(substitute(source, renamed), {other}, where ? substitute(where, renamed) : where);
  Expr is_extreme = eq(source, value);
  if (source->dtype.is_float()) is_extreme = logical_or(is_extreme, ne(source, source));
  const Expr none = identity_element(ReduceOp::kMin, kInt64);
  const Expr first = min(select(is_extreme, axis.var, none), {axis}, where);
  return select(eq(first, none), imm(-1), first);
}

/// A bool as a number that min and max take.
Expr as_number(const char* name, const Expr& condition) {
  TENON_USER_CHECK(condition->dtype.is_bool(), DTypeError, "E0504", "te.", name,
                   " needs a bool, got ", to_string(condition->dtype), "\n  hint: compare first");
  return cast(DType::uint(8), condition);
}

}  // namespace

Expr argmax(const Expr& source, const IterVar& axis, const Expr& where) {
  return arg_reduction(max, source, axis, where);
}

Expr argmin(const Expr& source, const IterVar& axis, const Expr& where) {
  return arg_reduction(min, source, axis, where);
}

Expr any_of(const Expr& condition, std::vector<IterVar> axes, const Expr& where) {
  const Expr most = max(as_number("any_of", condition), std::move(axes), where);
  return ne(most, zero(most->dtype));
}

Expr all_of(const Expr& condition, std::vector<IterVar> axes, const Expr& where) {
  const Expr least = min(as_number("all_of", condition), std::move(axes), where);
  return ne(least, zero(least->dtype));
}

}  // namespace tenon::te
