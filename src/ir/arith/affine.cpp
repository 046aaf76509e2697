#include "ir/arith/affine.h"

#include <algorithm>
#include <numeric>

#include "tenon/ir/builder.h"
#include "tenon/ir/structural.h"

namespace tenon::arith {
namespace {

constexpr std::size_t kMaxTerms = 48;
constexpr std::size_t kMaxFactors = 4;

const BinaryNode* as_binary(const Expr& e) { return e.as<BinaryNode>(); }

}  // namespace

std::optional<std::int64_t> checked_add(std::int64_t a, std::int64_t b) {
  std::int64_t out;
  return __builtin_add_overflow(a, b, &out) ? std::nullopt : std::optional(out);
}

std::optional<std::int64_t> checked_mul(std::int64_t a, std::int64_t b) {
  std::int64_t out;
  return __builtin_mul_overflow(a, b, &out) ? std::nullopt : std::optional(out);
}

std::int64_t div_floor(std::int64_t a, std::int64_t b) {
  const std::int64_t q = a / b;
  return q - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}

bool same_expr(const Expr& a, const Expr& b) {
  if (a.same_as(b)) return true;
  if (!a || !b || a->kind != b->kind || a->dtype != b->dtype || a->depth != b->depth) return false;
  if (a.as<VarNode>() != nullptr) return false;
  if (const auto* x = a.as<IntImmNode>()) return x->value == b.as<IntImmNode>()->value;
  if (const auto* x = as_binary(a)) {
    const auto* y = as_binary(b);
    if (x->op != y->op) return false;
    if (a->depth < 12) return same_expr(x->a, y->a) && same_expr(x->b, y->b);
  }
  return structural_equal(a, b);
}

bool same_product(const Term& a, const Term& b) {
  if (a.factors.size() != b.factors.size()) return false;
  if (a.factors.size() == 1) return same_expr(a.factors[0], b.factors[0]);
  std::vector<Expr> rest = b.factors;
  for (const Expr& f : a.factors) {
    const auto found =
        std::find_if(rest.begin(), rest.end(), [&](const Expr& g) { return same_expr(f, g); });
    if (found == rest.end()) return false;
    rest.erase(found);
  }
  return true;
}

std::optional<Affine> add(const Affine& a, const Affine& b, std::int64_t scale) {
  Affine out = a;
  const auto constant = checked_mul(b.constant, scale);
  const auto sum = constant ? checked_add(out.constant, *constant) : std::nullopt;
  if (!sum) return std::nullopt;
  out.constant = *sum;
  for (const Term& t : b.terms) {
    const auto c = checked_mul(t.coefficient, scale);
    if (!c) return std::nullopt;
    const auto found = std::find_if(out.terms.begin(), out.terms.end(),
                                    [&](const Term& u) { return same_product(u, t); });
    if (found == out.terms.end()) {
      if (*c != 0) out.terms.push_back({t.factors, *c});
      continue;
    }
    const auto joined = checked_add(found->coefficient, *c);
    if (!joined) return std::nullopt;
    found->coefficient = *joined;
    if (*joined == 0) out.terms.erase(found);
  }
  if (out.terms.size() > kMaxTerms) return std::nullopt;
  return out;
}

std::optional<Affine> scaled(const Affine& a, std::int64_t factor) {
  return add(Affine{}, a, factor);
}

std::optional<Affine> multiply(const Affine& a, const Affine& b) {
  if (b.is_constant()) return scaled(a, b.constant);
  if (a.is_constant()) return scaled(b, a.constant);
  Affine out;
  const auto include = [&](const Term& x, const Term& y) {
    Affine product;
    const auto c = checked_mul(x.coefficient, y.coefficient);
    if (!c || x.factors.size() + y.factors.size() > kMaxFactors) return false;
    product.terms.push_back({x.factors, *c});
    product.terms[0].factors.insert(product.terms[0].factors.end(), y.factors.begin(),
                                    y.factors.end());
    const auto sum = add(out, product);
    if (sum) out = *sum;
    return sum.has_value();
  };
  if (a.terms.size() * b.terms.size() > 16) return std::nullopt;
  for (const Term& x : a.terms) {
    for (const Term& y : b.terms) {
      if (!include(x, y)) return std::nullopt;
    }
  }
  const Affine a_terms{a.terms, 0}, b_terms{b.terms, 0};
  auto sum = add(out, a_terms, b.constant);
  if (sum) sum = add(*sum, b_terms, a.constant);
  const auto constant = checked_mul(a.constant, b.constant);
  if (!sum || !constant) return std::nullopt;
  sum->constant = *constant;
  return sum;
}

Affine to_affine(const Expr& e) {
  if (const auto* i = e.as<IntImmNode>()) return Affine{{}, i->value};
  if (const auto* b = as_binary(e)) {
    std::optional<Affine> out;
    if (b->op == BinaryOp::kAdd) out = add(to_affine(b->a), to_affine(b->b));
    if (b->op == BinaryOp::kSub) out = add(to_affine(b->a), to_affine(b->b), -1);
    if (b->op == BinaryOp::kMul) out = multiply(to_affine(b->a), to_affine(b->b));
    if (out) return *out;
  }
  if (const auto* u = e.as<UnaryNode>(); u != nullptr && u->op == UnaryOp::kNeg) {
    if (auto out = scaled(to_affine(u->a), -1)) return *out;
  }
  return Affine{{Term{{e}, 1}}, 0};
}

Expr to_expr(const Term& t) {
  Expr product = t.factors[0];
  for (std::size_t i = 1; i < t.factors.size(); ++i) product = product * t.factors[i];
  return t.coefficient == -1 ? -product : product * t.coefficient;
}

Expr to_expr(const Affine& a) {
  Expr sum;
  for (const Term& t : a.terms) {
    if (t.coefficient > 0) sum = sum ? sum + to_expr(t) : to_expr(t);
  }
  const bool constant_first = !sum && a.constant > 0;
  if (constant_first) sum = imm(a.constant);
  for (const Term& t : a.terms) {
    if (t.coefficient > 0) continue;
    if (!sum) {
      sum = to_expr(t);
    } else if (t.coefficient == INT64_MIN) {
      sum = sum + to_expr(t);
    } else {
      sum = sum - to_expr(Term{t.factors, -t.coefficient});
    }
  }
  if (!sum) return imm(a.constant);
  if (constant_first || a.constant == 0) return sum;
  return a.constant < 0 && a.constant != INT64_MIN ? sum - -a.constant : sum + a.constant;
}

std::int64_t coefficient_gcd(const Affine& a) {
  std::int64_t g = 0;
  for (const Term& t : a.terms) {
    if (t.coefficient == INT64_MIN) return 1;
    g = std::gcd(g, t.coefficient);
  }
  return g;
}

}  // namespace tenon::arith
