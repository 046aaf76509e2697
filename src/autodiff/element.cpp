#include "autodiff/element.h"

#include <algorithm>
#include <unordered_set>

#include "te/checks.h"
#include "te/reduction.h"
#include "tenon/ir/analyzer.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon::autodiff {
namespace {

std::vector<IterVar> joined(std::vector<IterVar> a, const std::vector<IterVar>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// The axes of `scope` that `e` uses, also through the domains of those.
std::vector<IterVar> used_axes(const Expr& e, const std::vector<IterVar>& scope) {
  std::unordered_set<const ExprNode*> used;
  const auto collect = [&](const Expr& x) {
    uses_var(x, [&](const VarNode& v) {
      used.insert(&v);
      return false;
    });
  };
  collect(e);
  for (std::size_t i = scope.size(); i-- > 0;) {
    if (used.count(scope[i].var.get()) == 0) continue;
    collect(scope[i].domain.min);
    collect(scope[i].domain.extent);
  }
  std::vector<IterVar> out;
  for (const IterVar& axis : scope) {
    if (used.count(axis.var.get()) != 0) out.push_back(axis);
  }
  return out;
}

/// Makes each reduction a tensor of its own and reads it in its place.
class LiftReductions : public Mutator {
 public:
  LiftReductions(std::string name, std::vector<IterVar> scope,
                 std::unordered_set<const te::TensorNode*>* lifted)
      : name_(std::move(name)), scope_(std::move(scope)), lifted_(*lifted) {}

  void enter(const std::vector<IterVar>& axes) { scope_ = joined(std::move(scope_), axes); }

 protected:
  using Mutator::rewrite;
  Expr rewrite(const ReduceNode& n) override {
    const std::vector<IterVar> outer = scope_;
    enter(n.axes);
    const Expr source = (*this)(n.source);
    const Expr condition = n.condition ? (*this)(n.condition) : nullptr;
    scope_ = outer;
    const Expr lifted = make<ReduceNode>(n.op, n.axes, source, condition);
    const Materialised m =
        materialise(name_ + "_" + to_string(n.op), used_axes(Expr(&n), scope_), lifted);
    lifted_.insert(m.tensor.get());
    return te::read(m.tensor, m.indices);
  }

 private:
  std::string name_;
  std::vector<IterVar> scope_;
  std::unordered_set<const te::TensorNode*>& lifted_;
};

/// The reduction at the top of a body, perhaps converted (a sum in any way, others exactly, so that
/// their result can be compared with their terms); null when there is none.
const ReduceNode* top_reduction(Expr body) {
  bool rounds = false;
  while (const auto* c = body.as<CastNode>()) {
    if (!c->dtype.is_float() || !c->value->dtype.is_float()) return nullptr;
    rounds |= c->dtype.bits <= c->value->dtype.bits;
    body = c->value;
  }
  const auto* reduce = body.as<ReduceNode>();
  return reduce != nullptr && (reduce->op == ReduceOp::kSum || !rounds) ? reduce : nullptr;
}

bool moves(const Range& domain) {
  const auto is_index = [](const VarNode& v) { return v.symbol == nullptr; };
  return uses_var(domain.min, is_index) || uses_var(domain.extent, is_index);
}

}  // namespace

std::vector<IterVar> Element::domain() const { return joined(axes, reduce_axes); }

const Element& Elements::of(const te::Tensor& tensor) {
  std::unique_ptr<Element>& known = known_[tensor.get()];
  if (known) return *known;
  auto out = std::make_unique<Element>();
  out->axes = tensor->axes;
  LiftReductions lift(tensor->name, tensor->axes, &lifted_);
  out->reduce = top_reduction(tensor->body);
  if (out->reduce != nullptr) {
    out->reduce_axes = out->reduce->axes;
    lift.enter(out->reduce_axes);
    out->element = lift(out->reduce->source);
    if (out->reduce->condition) out->condition = lift(out->reduce->condition);
  } else {
    out->element = lift(te::widen_narrow_floats(tensor->body));
  }
  known = std::move(out);
  return *known;
}

std::vector<Range> hulls_of(const std::vector<IterVar>& outer, const std::vector<IterVar>& axes) {
  Analyzer analyzer;
  std::vector<Expr> known;
  for (const IterVar& step : te::steps_in_scope()) {
    if (!step.domain.extent) continue;
    analyzer.bind_kept(step.var, step.domain);
    known.push_back(step.var);
  }
  for (const IterVar& axis : outer) {
    analyzer.bind_kept(axis.var, axis.domain);
    known.push_back(axis.var);
  }
  std::vector<Range> out;
  for (const IterVar& axis : axes) {
    Range hull = axis.domain;
    if (moves(hull)) {
      const Expr high = analyzer.symbolic_bounds(hull.min + hull.extent, known).max;
      hull.min = analyzer.symbolic_bounds(hull.min, known).min;
      TENON_CHECK(hull.min && high, "an axis without bounds");
      hull.extent = analyzer.simplify(max(high - hull.min, imm(0)));
    }
    analyzer.bind_kept(axis.var, axis.domain);
    known.push_back(axis.var);
    out.push_back(hull);
  }
  return out;
}

Materialised materialise(const std::string& name, const std::vector<IterVar>& axes,
                         const Expr& element) {
  const std::vector<Range> hulls = hulls_of({}, axes);
  std::vector<Expr> shape, indices;
  std::vector<std::string> names;
  Expr inside;  // where a hull is wider than the domain
  for (std::size_t d = 0; d < axes.size(); ++d) {
    const auto& [axis, domain, kind] = axes[d];
    if (moves(domain)) {
      inside = and_predicate(inside, ge(axis, domain.min));
      inside = and_predicate(inside, lt(axis, domain.min + domain.extent));
    }
    shape.push_back(hulls[d].extent);
    indices.push_back(axis - hulls[d].min);
    names.push_back(axis.as<VarNode>()->name);
  }
  Expr value = element;
  if (const auto* reduce = element.as<ReduceNode>(); inside && reduce != nullptr) {
    value = make<ReduceNode>(reduce->op, reduce->axes, reduce->source,
                             and_predicate(inside, reduce->condition));
  } else if (inside) {
    value = select(inside, element, zero(element->dtype));
  }
  const auto at = [&](const std::vector<Expr>& vars) {
    VarMap map;
    for (std::size_t d = 0; d < axes.size(); ++d) map[axes[d].var.get()] = vars[d] + hulls[d].min;
    return substitute(value, map);
  };
  return {te::compute(shape, at, name, names), indices};
}

te::Tensor define(const std::string& name, const std::vector<IterVar>& axes, const Expr& element,
                  DType dtype) {
  std::vector<Expr> shape;
  std::vector<std::string> names;
  for (const IterVar& axis : axes) {
    shape.push_back(axis.domain.extent);
    names.push_back(axis.var.as<VarNode>()->name);
  }
  return te::compute(
      shape,
      [&](const std::vector<Expr>& vars) {
        VarMap map;
        for (std::size_t d = 0; d < axes.size(); ++d) map[axes[d].var.get()] = vars[d];
        return cast(dtype, substitute(element, map));
      },
      name, names);
}

te::Tensor copy_of(const te::Tensor& t, const std::string& name) {
  return te::compute(
      t->shape, [&](const std::vector<Expr>& indices) { return te::read(t, indices); }, name);
}

}  // namespace tenon::autodiff
