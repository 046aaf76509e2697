#include "autodiff/reduction_derivative.h"

#include "tenon/ir/analyzer.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon::autodiff {
namespace {

/// The element with reduction axes of its own.
struct Copy {
  std::vector<IterVar> axes;
  Expr element, condition;
};

Copy copy_of(const Element& e) {
  Copy out;
  VarMap fresh;
  for (const IterVar& axis : e.reduce_axes) {
    const Range domain{substitute(axis.domain.min, fresh), substitute(axis.domain.extent, fresh)};
    out.axes.push_back({var(axis.var.as<VarNode>()->name), domain, IterKind::kReduction});
    fresh[axis.var.get()] = out.axes.back().var;
  }
  out.element = substitute(e.element, fresh);
  if (e.condition) out.condition = substitute(e.condition, fresh);
  return out;
}

std::vector<Expr> variables(const std::vector<IterVar>& axes) {
  std::vector<Expr> out;
  for (const IterVar& axis : axes) out.push_back(axis.var);
  return out;
}

/// The product of all terms but the one at the domain's variables.
Expr product_of_others(const Element& e, const te::Tensor& t) {
  const Copy copy = copy_of(e);
  Expr is_other;
  for (std::size_t d = 0; d < copy.axes.size(); ++d) {
    const Expr differs = ne(copy.axes[d].var, e.reduce_axes[d].var);
    is_other = is_other ? logical_or(is_other, differs) : differs;
  }
  const Expr product = make<ReduceNode>(ReduceOp::kProd, copy.axes, copy.element,
                                        and_predicate(copy.condition, is_other));
  const Materialised m = materialise(t->name + "_others", e.domain(), product);
  return te::read(m.tensor, m.indices);
}

/// A number for each place in the order of the reduction.
Expr place_number(const std::vector<IterVar>& axes, const std::vector<Range>& hulls) {
  Expr number = imm(0);
  for (std::size_t d = 0; d < axes.size(); ++d)
    number = number * hulls[d].extent + (axes[d].var - hulls[d].min);
  return number;
}

/// Whether the term at the domain's variables is the first that equals the result.
Expr is_first_extremum(const Element& e, const te::Tensor& t) {
  const Copy copy = copy_of(e);
  const std::vector<Range> hulls = hulls_of(e.axes, e.reduce_axes);
  const Expr result = cast(copy.element->dtype, te::read(t, variables(e.axes)));
  const Expr equals = eq(copy.element, result);
  const Expr place =
      te::min(place_number(copy.axes, hulls), copy.axes, and_predicate(copy.condition, equals));
  const Materialised m = materialise(t->name + "_place", e.axes, place);
  return eq(place_number(e.reduce_axes, hulls), te::read(m.tensor, m.indices));
}

}  // namespace

Partial partial_of_reduction(const Element& e, const te::Tensor& t) {
  switch (e.reduce->op) {
    case ReduceOp::kSum:
      return {e.element, Partial::Kind::kSame};
    case ReduceOp::kProd:
      return {e.element, Partial::Kind::kTimes, product_of_others(e, t)};
    case ReduceOp::kMin:
    case ReduceOp::kMax:
      return {e.element, Partial::Kind::kWhenTrue, is_first_extremum(e, t)};
  }
  TENON_CHECK(false, "reduction ", static_cast<int>(e.reduce->op));
  return {};
}

}  // namespace tenon::autodiff
