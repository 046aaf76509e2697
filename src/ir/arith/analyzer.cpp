#include "tenon/ir/analyzer.h"

#include "ir/arith/rewriter.h"
#include "ir/arith/symbolic_bounds.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon {

using arith::Affine;
using arith::Binding;

struct Analyzer::State {
  arith::Knowledge knowledge;
  arith::Rewriter rewriter{&knowledge};
};

namespace {

void bind_range(arith::Knowledge* knowledge, arith::Rewriter* rewriter, const Expr& var,
                const Range& range, bool keep) {
  Binding b;
  b.var = var;
  b.keep = keep;
  b.lower = rewriter->simplify(range.min);
  b.upper = rewriter->simplify(range.min + range.extent - 1);
  b.constants = {knowledge->bounds(arith::to_affine(b.lower)).lower,
                 knowledge->bounds(arith::to_affine(b.upper)).upper};
  if (const auto value = b.constants.single()) b.modular = {0, *value};
  b.is_data = knowledge->has_data(b.lower) || knowledge->has_data(b.upper);
  if (b.is_data) b.lower = b.upper = nullptr;
  knowledge->bind(std::move(b));
}

bool reads_memory(const Expr& e) {
  bool found = false;
  post_order_visit(
      e, [&](const Node& n) { found |= n.kind == NodeKind::kLoad || n.kind == NodeKind::kCall; });
  return found;
}

}  // namespace

std::int64_t AffineForm::coefficient_of(const Expr& atom) const {
  for (const AffineTerm& t : terms) {
    if (arith::same_expr(t.atom, atom)) return t.coefficient;
  }
  return 0;
}

Analyzer::Analyzer() : state_(std::make_unique<State>()) {}
Analyzer::~Analyzer() = default;

void Analyzer::bind(const Expr& var, const Range& range) {
  bind_range(&state_->knowledge, &state_->rewriter, var, range, false);
}

void Analyzer::bind_kept(const Expr& var, const Range& range) {
  bind_range(&state_->knowledge, &state_->rewriter, var, range, true);
}

void Analyzer::bind_value(const Expr& var, const Expr& value) {
  if (var->dtype != kInt64) return;
  Binding b;
  b.var = var;
  const Expr simple = simplify(value);
  b.constants = const_bounds(simple);
  b.modular = state_->knowledge.modular(simple);
  b.is_data = state_->knowledge.has_data(simple);
  if (!b.is_data && !reads_memory(simple))
    b.lower = b.upper = simple;  // memory may change after the binding
  state_->knowledge.bind(std::move(b));
}

void Analyzer::bind(const Symbol& symbol) {
  Binding b;
  b.var = symbol.var;
  const std::int64_t m = symbol.multiple_of > 0 ? symbol.multiple_of : 1;
  b.constants.lower = -arith::div_floor(-symbol.min, m) * m;
  if (symbol.max) b.constants.upper = arith::div_floor(*symbol.max, m) * m;
  b.modular = {m, 0};
  state_->knowledge.bind(std::move(b));
}

void Analyzer::bind_symbols(const Function& f) {
  for (const Symbol& s : f->symbols) bind(s);
}

void Analyzer::assume(const Expr& condition) { state_->knowledge.assume(simplify(condition)); }

Analyzer::Scope::Scope(Analyzer* analyzer)
    : analyzer_(analyzer), mark_(analyzer->state_->knowledge.mark()) {}
Analyzer::Scope::~Scope() { analyzer_->state_->knowledge.rollback(mark_); }

Expr Analyzer::simplify(const Expr& e) { return state_->rewriter.simplify(e); }

bool Analyzer::can_prove(const Expr& condition) {
  const auto known = as_int(simplify(condition));
  return known && *known != 0;
}

bool Analyzer::can_prove_equal(const Expr& a, const Expr& b) {
  return arith::same_expr(a, b) || (!a->dtype.is_float() && can_prove(eq(a, b)));
}

ConstRange Analyzer::const_bounds(const Expr& e) {
  const Expr simple = simplify(e);
  arith::Knowledge& k = state_->knowledge;
  ConstRange out = k.interval(simple);
  if (simple->dtype != kInt64 || !k.is_exact(simple)) return out;
  const ConstRange searched = k.bounds(arith::to_affine(simple));
  if (searched.lower && (!out.lower || *searched.lower > *out.lower)) out.lower = searched.lower;
  if (searched.upper && (!out.upper || *searched.upper < *out.upper)) out.upper = searched.upper;
  return out;
}

Modular Analyzer::modular(const Expr& e) { return state_->knowledge.modular(simplify(e)); }

AffineForm Analyzer::affine(const Expr& e) {
  const Affine form = arith::to_affine(simplify(e));
  AffineForm out;
  out.constant = form.constant;
  for (const arith::Term& t : form.terms)
    out.terms.push_back({arith::to_expr(arith::Term{t.factors, 1}), t.coefficient});
  return out;
}

Interval Analyzer::symbolic_bounds(const Expr& e, const std::vector<Expr>& vars) {
  arith::SymbolicBounds bounds(&state_->knowledge, vars);
  const Expr simple = simplify(e);
  Interval out{bounds.minimum(simple), bounds.maximum(simple)};
  if (out.min) out.min = simplify(out.min);
  if (out.max) out.max = simplify(out.max);
  return out;
}

Range Analyzer::symbolic_range(const Expr& e, const std::vector<Expr>& vars) {
  const Interval interval = symbolic_bounds(e, vars);
  if (!interval.min || !interval.max) return {interval.min, nullptr};
  return {interval.min, simplify(interval.max - interval.min + 1)};
}

}  // namespace tenon
