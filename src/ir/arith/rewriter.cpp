#include "ir/arith/rewriter.h"

#include <algorithm>

#include "tenon/ir/builder.h"
#include "tenon/ir/structural.h"

namespace tenon::arith {
namespace {

constexpr int kMaxNesting =
    4;  // branches whose condition is used inside; deeper ones share one memo
constexpr int kMaxRuleDepth = 24;  // rules within results of rules

bool is_index(const Expr& e) { return e->dtype == kInt64; }

void count(const Expr& e, int* left) {
  if (!e || --*left <= 0) return;
  if (const auto* b = e.as<BinaryNode>()) {
    count(b->a, left);
    count(b->b, left);
  } else if (const auto* u = e.as<UnaryNode>()) {
    count(u->a, left);
  } else if (const auto* s = e.as<SelectNode>()) {
    count(s->condition, left);
    count(s->true_value, left);
    count(s->false_value, left);
  }
}

}  // namespace

int tree_size(const Expr& e) {
  constexpr int kLimit = 1000;
  int left = kLimit;
  count(e, &left);
  return kLimit - left;
}

Expr Rewriter::simplify(const Expr& e) {
  if (version_ != knowledge_.version()) clear_memo();
  version_ = knowledge_.version();
  return (*this)(e);
}

/// Simplifies `e` where the condition holds.
Expr Rewriter::under(const Expr& condition, const Expr& e) {
  if (nesting_ >= kMaxNesting || e->depth <= 1 || e->dtype.is_vector() ||
      condition->dtype.is_vector())
    return (*this)(e);
  const std::size_t mark = knowledge_.mark();
  knowledge_.assume(condition);
  Expr out = Rewriter(&knowledge_, nesting_ + 1)(e);
  knowledge_.rollback(mark);
  version_ = knowledge_.version();
  return out;
}

Expr Rewriter::by_rules(Expr e) {
  if (rule_depth_ >= kMaxRuleDepth) return e;
  ++rule_depth_;
  const int size = tree_size(e);
  Expr better;
  apply_rules(e, &knowledge_, [&](const Rewrite& r) {
    if (std::any_of(pending_.begin(), pending_.end(),
                    [&](const Expr& p) { return same_expr(p, r.result); }))
      return false;
    Expr result = r.result;
    if (r.rule->if_shorter) {
      if (trial_) return false;
      Rewriter trial(&knowledge_, nesting_);
      trial.trial_ = true;
      trial.rule_depth_ = rule_depth_;
      result = trial(result);
      if (tree_size(result) >= size) return false;
    }
    pending_.push_back(result);
    better = (*this)(result);
    pending_.pop_back();
    return true;
  });
  --rule_depth_;
  return better ? better : e;
}

/// Keeps the original node when the result is equal, so that what did not change stays shared.
Expr Rewriter::finish(const Expr& original, Expr e) {
  e = by_rules(std::move(e));
  if (same_expr(e, original)) return original;
  if (e.as<VarNode>() == nullptr && !e->span) keep_span(*original, *e);
  return e;
}

Expr Rewriter::rewrite(const VarNode& n) {
  Expr v(&n);
  const Binding* b = knowledge_.find(v);
  if (b == nullptr || b->keep || !is_index(v)) return v;
  const auto value = b->constants.single();
  return value ? imm(*value) : v;
}

Expr Rewriter::rewrite(const UnaryNode& n) {
  Expr e(&n);
  Expr a = (*this)(n.a);
  if (is_index(a) && n.op == UnaryOp::kNeg) return finish(e, to_expr(to_affine(-a)));
  if (n.op == UnaryOp::kNot && a->dtype.is_scalar()) {
    if (const Expr turned = negated(a); turned.as<UnaryNode>() == nullptr)
      return finish(e, (*this)(turned));
  }
  return finish(e, unary(n.op, a));
}

Expr Rewriter::rewrite(const BinaryNode& n) {
  Expr e(&n);
  Expr a = (*this)(n.a);
  if (n.op == BinaryOp::kAnd || n.op == BinaryOp::kOr) {
    Expr b = n.op == BinaryOp::kAnd ? under(a, n.b) : under(negated(a), n.b);
    Expr out = binary(n.op, a, b);
    if (out->dtype.is_scalar() && out.as<IntImmNode>() == nullptr) {
      if (knowledge_.prove(out)) return bool_imm(true);
      if (knowledge_.prove(negated(out))) return bool_imm(false);
    }
    return finish(e, out);
  }
  Expr b = (*this)(n.b);
  if (!is_index(a)) {
    if (n.a.same_as(a) && n.b.same_as(b) && a->dtype.is_float()) return finish(e, e);
    return finish(e, a->dtype.is_float() ? make<BinaryNode>(n.op, a, b) : binary(n.op, a, b));
  }
  if (is_comparison(n.op)) return comparison(n, a, b);
  if (n.op == BinaryOp::kAdd || n.op == BinaryOp::kSub || n.op == BinaryOp::kMul) {
    return finish(e, to_expr(to_affine(binary(n.op, a, b))));
  }
  if (n.op == BinaryOp::kMin || n.op == BinaryOp::kMax) return finish(e, extremum(n.op, a, b));
  return finish(e, binary(n.op, a, b));
}

/// min(a, b) with what both sides have in common taken out: i * 4 + min(4, n) for min(i * 4 + 4, i
/// * 4 + n).
Expr Rewriter::extremum(BinaryOp op, const Expr& a, const Expr& b) {
  const Affine x = to_affine(a), y = to_affine(b);
  Affine common;
  for (const Term& t : x.terms) {
    const bool shared = std::any_of(y.terms.begin(), y.terms.end(), [&](const Term& u) {
      return u.coefficient == t.coefficient && same_product(t, u);
    });
    if (shared) common.terms.push_back(t);
  }
  if (x.constant == y.constant) common.constant = x.constant;
  const bool nothing = common.terms.empty() && common.constant == 0;
  if (nothing || !knowledge_.is_exact(x) || !knowledge_.is_exact(y)) return binary(op, a, b);
  const auto left = add(x, common, -1), right = add(y, common, -1);
  if (!left || !right) return binary(op, a, b);
  Expr inner = by_rules(binary(op, to_expr(*left), to_expr(*right)));
  const auto sum = add(common, to_affine(inner));
  return sum ? to_expr(*sum) : binary(op, a, b);
}

namespace {

/// a <= b as a form that is >= 0; a < b likewise.
std::optional<Affine> slack(BinaryOp op, const Affine& a, const Affine& b) {
  const bool strict = op == BinaryOp::kLt || op == BinaryOp::kGt;
  const bool flipped = op == BinaryOp::kGt || op == BinaryOp::kGe;
  auto d = flipped ? add(a, b, -1) : add(b, a, -1);
  if (d && strict) d = add(*d, Affine{{}, -1});
  return d;
}

Affine part(const Affine& a, bool positive) {
  Affine out;
  for (const Term& t : a.terms) {
    if ((t.coefficient > 0) != positive) continue;
    out.terms.push_back({t.factors, positive ? t.coefficient : -t.coefficient});
  }
  return out;
}

void divide(Affine* a, std::int64_t g) {
  for (Term& t : a->terms) t.coefficient /= g;
}

/// form >= 0 written as `negative part < positive part`, constants where they read well.
Expr inequality(Affine form) {
  const std::int64_t g = coefficient_gcd(form);
  divide(&form, g);
  form.constant = div_floor(form.constant, g);
  Affine left = part(form, false), right = part(form, true);
  const std::int64_t k = form.constant;
  if (left.is_constant()) return k == INT64_MIN ? nullptr : le(imm(-k), to_expr(right));
  if (right.is_constant()) return k == INT64_MAX ? nullptr : lt(to_expr(left), imm(k + 1));
  if (k == 0) return le(to_expr(left), to_expr(right));
  if (k < 0)
    left.constant = -(k + 1);
  else
    right.constant = k == INT64_MAX ? k : k + 1;
  return lt(to_expr(left), to_expr(right));
}

Expr equation(BinaryOp op, Affine form) {
  const std::int64_t g = coefficient_gcd(form);
  if (form.constant % g != 0) return bool_imm(op == BinaryOp::kNe);
  divide(&form, g);
  Affine right = part(form, false), left = part(form, true);
  if (left.is_constant()) {
    std::swap(left, right);
    form.constant = -form.constant / g;
  } else {
    form.constant /= g;
  }
  if (right.is_constant() || form.constant < 0)
    right.constant = -form.constant;
  else
    left.constant = form.constant;
  return binary(op, to_expr(left), to_expr(right));
}

bool has_extreme(const Affine& a) {
  return a.constant == INT64_MIN || std::any_of(a.terms.begin(), a.terms.end(), [](const Term& t) {
           return t.coefficient == INT64_MIN;
         });
}

}  // namespace

Expr Rewriter::comparison(const BinaryNode& n, const Expr& a, const Expr& b) {
  Expr e(&n);
  Expr plain = binary(n.op, a, b);
  if (plain.as<IntImmNode>() != nullptr) return plain;
  if (knowledge_.prove(plain)) return bool_imm(true);
  if (knowledge_.prove(negated(plain))) return bool_imm(false);
  const Affine x = to_affine(a), y = to_affine(b);
  if (!knowledge_.is_exact(x) || !knowledge_.is_exact(y)) return finish(e, plain);
  const bool is_equation = n.op == BinaryOp::kEq || n.op == BinaryOp::kNe;
  const auto form = is_equation ? add(x, y, -1) : slack(n.op, x, y);
  if (!form || form->is_constant() || has_extreme(*form)) return finish(e, plain);
  Expr canonical = is_equation ? equation(n.op, *form) : inequality(*form);
  if (!canonical) canonical = plain;
  const auto* c = canonical.as<BinaryNode>();
  if (c != nullptr && !same_expr(canonical, plain)) {
    canonical = binary(c->op, (*this)(c->a), (*this)(c->b));
  }
  return finish(e, canonical);
}

Expr Rewriter::rewrite(const SelectNode& n) {
  Expr e(&n);
  Expr c = (*this)(n.condition);
  if (const auto known = as_int(c)) return (*this)(*known != 0 ? n.true_value : n.false_value);
  Expr t = under(c, n.true_value);
  Expr f = c->dtype.is_scalar() ? under(negated(c), n.false_value) : (*this)(n.false_value);
  if (same_expr(t, f)) return t;
  const bool same = c.same_as(n.condition) && t.same_as(n.true_value) && f.same_as(n.false_value);
  return finish(e, same ? e : select(c, t, f));
}

Expr Rewriter::rewrite(const CastNode& n) {
  Expr value = (*this)(n.value);
  return value.same_as(n.value) ? Expr(&n) : finish(Expr(&n), cast(n.dtype, value));
}

Expr Rewriter::rewrite(const BroadcastNode& n) {
  Expr value = (*this)(n.value);
  return value.same_as(n.value) ? Expr(&n) : broadcast(value, n.lanes);
}

Expr Rewriter::rewrite(const LoadNode& n) {
  if (!n.predicate) return rebuild(n);
  Expr predicate = (*this)(n.predicate);
  const auto known = as_int(predicate);
  if (known && *known == 0) return zero(n.dtype);
  std::vector<Expr> indices;
  bool same = predicate.same_as(n.predicate);
  for (const Expr& i : n.indices) {
    indices.push_back(known ? (*this)(i) : under(predicate, i));
    same = same && indices.back().same_as(i);
  }
  return same ? Expr(&n) : load(n.buffer, std::move(indices), known ? Expr(nullptr) : predicate);
}

Expr Rewriter::rewrite(const LetNode& n) {
  Expr value = (*this)(n.value);
  const bool trivial = value.as<IntImmNode>() != nullptr || value.as<VarNode>() != nullptr ||
                       value.as<FloatImmNode>() != nullptr;
  if (trivial) return (*this)(substitute(n.body, {{n.var.get(), value}}));
  Expr body = (*this)(n.body);
  return value.same_as(n.value) && body.same_as(n.body) ? Expr(&n) : let(n.var, value, body);
}

}  // namespace tenon::arith
