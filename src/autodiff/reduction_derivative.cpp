#include "autodiff/reduction_derivative.h"

#include "tenon/ir/analyzer.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"
#include "tenon/te/scan.h"

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

/// A number for each place in the order of the reduction.
Expr place_number(const std::vector<IterVar>& axes, const std::vector<Range>& hulls) {
  Expr number = imm(0);
  for (std::size_t d = 0; d < axes.size(); ++d)
    number = number * hulls[d].extent + (axes[d].var - hulls[d].min);
  return number;
}

/// Up to so many terms the product of the others is computed for each of them as it is.
constexpr std::int64_t kFewTerms = 8;

/// The product of all terms but the one at the domain's variables, in the square of their number.
Expr product_of_few_others(const Element& e, const te::Tensor& t) {
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

/// The term of number `place` at `indices` of the result; 1 where the reduction has none.
Expr term_at(const Element& e, const std::vector<Range>& hulls, const Expr& place,
             const std::vector<Expr>& indices) {
  VarMap at;
  for (std::size_t d = 0; d < e.axes.size(); ++d) at[e.axes[d].var.get()] = indices[d];
  Expr rest = place, inside = e.condition;
  for (std::size_t d = hulls.size(); d-- > 0;) {
    const Expr& v = e.reduce_axes[d].var;
    at[v.get()] = hulls[d].min + (d == 0 ? rest : floormod(rest, hulls[d].extent));
    if (d > 0) rest = floordiv(rest, hulls[d].extent);
    const Range& domain = e.reduce_axes[d].domain;
    if (domain.min.same_as(hulls[d].min) && domain.extent.same_as(hulls[d].extent)) continue;
    inside = and_predicate(inside, ge(v, domain.min));
    inside = and_predicate(inside, lt(v, domain.min + domain.extent));
  }
  Expr term = e.element;
  if (inside) term = select(inside, term, const_like(term->dtype, 1));
  return substitute(term, at);
}

/// The product of all terms but the one at the domain's variables: of those before it times those
/// after it, both running products.
Expr product_of_others(const Element& e, const te::Tensor& t) {
  const std::vector<Range> hulls = hulls_of(e.axes, e.reduce_axes);
  Expr num = imm(1);
  for (const Range& hull : hulls) num = num * hull.extent;
  if (as_int(num) && *as_int(num) <= kFewTerms) return product_of_few_others(e, t);
  const Expr one = const_like(e.element->dtype, 1);
  const te::Tensor ones = te::compute(
      t->shape, [&](const std::vector<Expr>&) { return const_like(e.element->dtype, 1); },
      t->name + "_one");
  const auto running = [&](const char* name, bool is_backwards) {
    return te::scan(
        num, {ones},
        [&](const Expr& step, const std::vector<te::Tensor>& product) {
          const Expr place = is_backwards ? num - 1 - step : step;
          return std::vector<te::Tensor>{te::compute(
              t->shape,
              [&](const std::vector<Expr>& i) {
                return te::read(product[0], i) * term_at(e, hulls, place, i);
              },
              t->name + "_times")};
        },
        t->name + name)[0];
  };
  const te::Tensor before = running("_before", false), after = running("_after", true);
  const Expr place = place_number(e.reduce_axes, hulls);
  const auto at = [&](const te::Tensor& products, const Expr& number) {
    std::vector<Expr> indices{number};
    for (const IterVar& axis : e.axes) indices.push_back(axis.var);
    return te::read(products, indices);
  };
  return select(gt(place, imm(0)), at(before, place - 1), one) *
         select(lt(place, num - 1), at(after, num - 2 - place), one);
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
