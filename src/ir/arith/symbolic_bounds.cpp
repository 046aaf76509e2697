#include "ir/arith/symbolic_bounds.h"

#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon::arith {

SymbolicBounds::SymbolicBounds(Knowledge* knowledge, const std::vector<Expr>& vars)
    : knowledge_(*knowledge) {
  for (const Expr& v : vars) vars_.insert(v.get());
}

bool SymbolicBounds::uses(const Expr& e) const {
  return uses_var(e, [&](const VarNode& v) { return vars_.count(&v) != 0; });
}

Expr SymbolicBounds::bound(const Expr& e, bool upper) {
  if (!uses(e)) return e;
  if (e->dtype == kInt64 && knowledge_.is_exact(e)) {
    const auto out = bound(to_affine(e), upper, 0);
    return out ? to_expr(*out) : nullptr;
  }
  const ConstRange r = knowledge_.interval(e);
  const auto& side = upper ? r.upper : r.lower;
  return side && e->dtype == kInt64 ? imm(*side) : nullptr;
}

/// First every atom that hides a variable, then the variables, innermost first: their bounds may
/// use the outer ones.
std::optional<Affine> SymbolicBounds::bound(Affine a, bool upper, int depth) {
  constexpr int kMaxDepth = 64;
  if (depth > kMaxDepth) return std::nullopt;
  for (std::size_t i = 0; i < a.terms.size(); ++i) {
    const Term t = a.terms[i];
    const bool is_variable = t.factors[0].as<VarNode>() != nullptr;
    if (t.factors.size() == 1 && !is_variable && uses(t.factors[0])) {
      const Expr replacement = atom_bound(t.factors[0], upper == (t.coefficient > 0));
      if (!replacement) return std::nullopt;
      a.terms.erase(a.terms.begin() + static_cast<std::ptrdiff_t>(i));
      const auto next = add(a, to_affine(replacement), t.coefficient);
      return next ? bound(*next, upper, depth + 1) : std::nullopt;
    }
  }
  const Binding* chosen = nullptr;
  for (const Term& t : a.terms) {
    for (const Expr& f : t.factors) {
      if (f.as<VarNode>() == nullptr) {
        if (uses(f)) return std::nullopt;  // a product with a hidden variable
        continue;
      }
      if (vars_.count(f.get()) == 0) continue;
      const Binding* b = knowledge_.find(f);
      if (b == nullptr) return std::nullopt;
      if (chosen == nullptr || b->order > chosen->order) chosen = b;
    }
  }
  if (chosen == nullptr) return a;
  const auto next = without_variable(a, *chosen, upper);
  return next ? bound(*next, upper, depth + 1) : std::nullopt;
}

std::optional<Affine> SymbolicBounds::without_variable(const Affine& a, const Binding& b,
                                                       bool upper) {
  Affine coefficient, rest;
  rest.constant = a.constant;
  for (const Term& t : a.terms) {
    Term other{{}, t.coefficient};
    std::size_t uses_here = 0;
    for (const Expr& f : t.factors) {
      if (f.same_as(b.var))
        ++uses_here;
      else
        other.factors.push_back(f);
    }
    if (uses_here > 1) return std::nullopt;
    if (uses_here == 0)
      rest.terms.push_back(t);
    else if (other.factors.empty())
      coefficient.constant += t.coefficient;
    else
      coefficient.terms.push_back(other);
  }
  const int sign = coefficient.is_constant() ? (coefficient.constant > 0 ? 1 : -1)
                                             : knowledge_.sign(coefficient);
  if (sign == 0) return std::nullopt;
  const bool at_upper = upper == (sign > 0);
  Expr end = at_upper ? b.upper : b.lower;
  const auto& constant = at_upper ? b.constants.upper : b.constants.lower;
  if (!end && constant) end = imm(*constant);
  const auto part = end ? multiply(to_affine(end), coefficient) : std::nullopt;
  return part ? add(rest, *part) : std::nullopt;
}

Expr SymbolicBounds::remainder_bound(const BinaryNode& n, bool upper) {
  if (uses(n.b) || !knowledge_.prove(lt(imm(0), n.b))) return nullptr;
  const Expr low = bound(n.a, false), high = bound(n.a, true);
  if (low && high && knowledge_.prove(ge(low, imm(0))) && knowledge_.prove(lt(high, n.b)))
    return upper ? high : low;
  if (const auto c = as_int(n.b); c && low && high) {
    const Affine first = to_affine(low), last = to_affine(high);
    const ConstRange span = knowledge_.bounds(add(last, first, -1).value_or(Affine{{}, *c}));
    const auto m = knowledge_.modular(first);
    // The window [low, high] crosses no multiple of c.
    if (span.upper && m.modulus % *c == 0 && *span.upper + (m.remainder % *c + *c) % *c < *c) {
      return floormod(upper ? high : low, n.b);
    }
  }
  return upper ? n.b - 1 : imm(0);
}

Expr SymbolicBounds::atom_bound(const Expr& e, bool upper) {
  if (const auto* b = e.as<BinaryNode>(); b != nullptr && e->dtype == kInt64) {
    if (b->op == BinaryOp::kFloorDiv && !uses(b->b) && knowledge_.prove(lt(imm(0), b->b))) {
      const Expr x = bound(b->a, upper);
      return x ? floordiv(x, b->b) : nullptr;
    }
    if (b->op == BinaryOp::kFloorMod) {
      if (const Expr r = remainder_bound(*b, upper)) return r;
    }
    if (b->op == BinaryOp::kMin || b->op == BinaryOp::kMax) {
      const Expr x = bound(b->a, upper), y = bound(b->b, upper);
      const bool one_is_enough = (b->op == BinaryOp::kMin) == upper;
      if (x && y) return binary(b->op, x, y);
      return one_is_enough ? (x ? x : y) : nullptr;
    }
  }
  if (const auto* s = e.as<SelectNode>()) {
    const Expr x = bound(s->true_value, upper), y = bound(s->false_value, upper);
    if (x && y) return upper ? max(x, y) : min(x, y);
  }
  const ConstRange r = knowledge_.interval(e);
  const auto& side = upper ? r.upper : r.lower;
  return side ? imm(*side) : nullptr;
}

}  // namespace tenon::arith
