// Interval and modular arithmetic: the part of Knowledge that needs no search.

#include <algorithm>
#include <numeric>

#include "ir/arith/knowledge.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/scalar_ops.h"

namespace tenon::arith {
namespace {

using Bound = std::optional<std::int64_t>;

ConstRange range_of_type(DType t) {
  if (t.is_bool()) return {0, 1};
  if (!t.is_int() || t.bits == 64) return {};
  return {min_int(t), max_int(t)};
}

ConstRange within(const ConstRange& r, DType t) {
  const ConstRange whole = range_of_type(t);
  if (!whole.lower) return r;
  const bool fits = r.lower && r.upper && *r.lower >= *whole.lower && *r.upper <= *whole.upper;
  return fits ? r : whole;
}

Bound plus(const Bound& a, const Bound& b) { return a && b ? checked_add(*a, *b) : std::nullopt; }
Bound times(const Bound& a, std::int64_t b) { return a ? checked_mul(*a, b) : std::nullopt; }

ConstRange times(const ConstRange& r, std::int64_t c) {
  if (c == 0) return {0, 0};
  return c > 0 ? ConstRange{times(r.lower, c), times(r.upper, c)}
               : ConstRange{times(r.upper, c), times(r.lower, c)};
}

ConstRange product(const ConstRange& x, const ConstRange& y) {
  if (const auto c = x.single()) return times(y, *c);
  if (const auto c = y.single()) return times(x, *c);
  if (x.lower && x.upper && y.lower && y.upper) {
    std::int64_t low = INT64_MAX, high = INT64_MIN;
    for (const std::int64_t a : {*x.lower, *x.upper}) {
      for (const std::int64_t b : {*y.lower, *y.upper}) {
        const auto p = checked_mul(a, b);
        if (!p) return {};
        low = std::min(low, *p);
        high = std::max(high, *p);
      }
    }
    return {low, high};
  }
  if (x.lower && y.lower && *x.lower >= 0 && *y.lower >= 0)
    return {checked_mul(*x.lower, *y.lower), std::nullopt};
  return {};
}

ConstRange quotient(const ConstRange& x, const ConstRange& d) {
  if (!d.lower || *d.lower < 1) return {};
  ConstRange out;
  if (x.lower) {
    if (*x.lower < 0)
      out.lower = div_floor(*x.lower, *d.lower);
    else
      out.lower = d.upper ? *x.lower / *d.upper : 0;
  }
  if (x.upper) {
    if (*x.upper >= 0)
      out.upper = *x.upper / *d.lower;
    else
      out.upper = d.upper ? div_floor(*x.upper, *d.upper) : -1;
  }
  return out;
}

ConstRange remainder(const ConstRange& x, const ConstRange& d) {
  if (!d.lower || *d.lower < 0) return {};
  const bool untouched = x.lower && x.upper && *x.lower >= 0 && *x.upper < *d.lower;
  if (untouched) return x;
  ConstRange out{0, std::nullopt};
  if (d.upper) out.upper = std::max<std::int64_t>(*d.upper - 1, 0);
  if (x.lower && x.upper && *x.lower >= 0)
    out.upper = out.upper ? std::min(*out.upper, *x.upper) : *x.upper;
  return out;
}

ConstRange smaller(const ConstRange& x, const ConstRange& y) {
  ConstRange out;
  if (x.lower && y.lower) out.lower = std::min(*x.lower, *y.lower);
  if (x.upper || y.upper)
    out.upper = std::min(x.upper.value_or(INT64_MAX), y.upper.value_or(INT64_MAX));
  return out;
}

ConstRange larger(const ConstRange& x, const ConstRange& y) {
  ConstRange out;
  if (x.upper && y.upper) out.upper = std::max(*x.upper, *y.upper);
  if (x.lower || y.lower)
    out.lower = std::max(x.lower.value_or(INT64_MIN), y.lower.value_or(INT64_MIN));
  return out;
}

ConstRange either(const ConstRange& x, const ConstRange& y) {
  ConstRange out;
  if (x.lower && y.lower) out.lower = std::min(*x.lower, *y.lower);
  if (x.upper && y.upper) out.upper = std::max(*x.upper, *y.upper);
  return out;
}

ConstRange intersect(const ConstRange& x, const ConstRange& y) {
  ConstRange out = x;
  if (y.lower && (!out.lower || *out.lower < *y.lower)) out.lower = y.lower;
  if (y.upper && (!out.upper || *out.upper > *y.upper)) out.upper = y.upper;
  return out;
}

}  // namespace

ConstRange Knowledge::interval(const Expr& e) {
  if (const auto* i = e.as<IntImmNode>()) {
    return i->dtype.bits == 64 && !i->dtype.is_signed_int() ? ConstRange{}
                                                            : ConstRange{i->value, i->value};
  }
  if (!e->dtype.is_scalar() || e->dtype.is_float() || e->dtype == DType::uint(64)) return {};
  if (const auto found = intervals_.find(e.get()); found != intervals_.end())
    return found->second.second;
  const ConstRange out = intersect(compute_interval(e), range_of_type(e->dtype));
  intervals_.emplace(e.get(), std::pair{e, out});
  return out;
}

ConstRange Knowledge::compute_interval(const Expr& e) {
  if (const auto* v = e.as<VarNode>()) {
    if (const Binding* b = find(e)) return b->constants;
    return v->symbol != nullptr ? ConstRange{v->symbol->min, v->symbol->max} : ConstRange{};
  }
  if (const auto* b = e.as<BinaryNode>()) return interval_of_binary(*b, e);
  if (const auto* c = e.as<CastNode>()) return within(interval(c->value), e->dtype);
  if (const auto* s = e.as<SelectNode>())
    return either(interval(s->true_value), interval(s->false_value));
  if (const auto* u = e.as<UnaryNode>()) {
    if (u->op == UnaryOp::kNeg && !has_data(u->a))
      return within(times(interval(u->a), -1), e->dtype);
    return {};
  }
  if (const auto* c = e.as<CallNode>();
      c != nullptr && c->name == "checked_index" && c->args.size() > 1) {
    const ConstRange extent = interval(c->args[1]);
    ConstRange out{-1, std::nullopt};  // -1 where the index is out of range
    if (extent.upper) out.upper = std::max<std::int64_t>(*extent.upper - 1, -1);
    return out;
  }
  return {};
}

ConstRange Knowledge::interval_of_binary(const BinaryNode& n, const Expr& e) {
  if (e->dtype.is_bool()) return {0, 1};
  const ConstRange x = interval(n.a), y = interval(n.b);
  const auto sum_like = [&](const ConstRange& r) {
    const bool closed = r.lower && r.upper;
    if (!closed && (has_data(n.a) || has_data(n.b))) return ConstRange{};  // may wrap
    return within(r, e->dtype);
  };
  switch (n.op) {
    case BinaryOp::kAdd:
      return sum_like({plus(x.lower, y.lower), plus(x.upper, y.upper)});
    case BinaryOp::kSub: {
      const ConstRange minus = times(y, -1);
      return sum_like({plus(x.lower, minus.lower), plus(x.upper, minus.upper)});
    }
    case BinaryOp::kMul:
      return sum_like(product(x, y));
    case BinaryOp::kFloorDiv:
      return quotient(x, y);
    case BinaryOp::kFloorMod:
      return remainder(x, y);
    case BinaryOp::kMin:
      return smaller(x, y);
    case BinaryOp::kMax:
      return larger(x, y);
    case BinaryOp::kBitAnd:
      if (y.lower && *y.lower >= 0) return {0, y.upper};
      return {};
    case BinaryOp::kDiv:
    case BinaryOp::kBitOr:
    case BinaryOp::kBitXor:
    case BinaryOp::kShl:
    case BinaryOp::kShr:
    case BinaryOp::kEq:
    case BinaryOp::kNe:
    case BinaryOp::kLt:
    case BinaryOp::kLe:
    case BinaryOp::kGt:
    case BinaryOp::kGe:
    case BinaryOp::kAnd:
    case BinaryOp::kOr:
      return {};
  }
  return {};
}

ConstRange Knowledge::interval(const Affine& a) {
  ConstRange out{a.constant, a.constant};
  for (const Term& t : a.terms) {
    ConstRange p = interval(t.factors[0]);
    for (std::size_t i = 1; i < t.factors.size(); ++i) p = product(p, interval(t.factors[i]));
    p = times(p, t.coefficient);
    out = {plus(out.lower, p.lower), plus(out.upper, p.upper)};
  }
  return out;
}

namespace {

std::int64_t positive_mod(std::int64_t a, std::int64_t m) { return a - div_floor(a, m) * m; }

Modular reduced(std::int64_t modulus, std::int64_t remainder) {
  if (modulus == INT64_MIN) return {1, 0};
  if (modulus < 0) modulus = -modulus;
  return {modulus, modulus == 0 ? remainder : positive_mod(remainder, modulus)};
}

Modular sum(const Modular& a, const Modular& b) {
  const auto r = checked_add(a.remainder, b.remainder);
  return r ? reduced(std::gcd(a.modulus, b.modulus), *r) : Modular{};
}

Modular product(const Modular& a, const Modular& b) {
  // (p u + r)(q v + s) = p q u v + p u s + q v r + r s
  const auto pq = checked_mul(a.modulus, b.modulus), ps = checked_mul(a.modulus, b.remainder);
  const auto qr = checked_mul(b.modulus, a.remainder), rs = checked_mul(a.remainder, b.remainder);
  if (!pq || !ps || !qr || !rs) return {};
  return reduced(std::gcd(std::gcd(*pq, *ps), *qr), *rs);
}

}  // namespace

Modular Knowledge::modular(const Expr& e) {
  if (const auto* i = e.as<IntImmNode>()) return {0, i->value};
  if (e->dtype != kInt64 || has_data(e)) return {};
  if (const auto* v = e.as<VarNode>()) {
    if (const Binding* b = find(e)) return b->modular;
    return v->symbol != nullptr && v->symbol->multiple_of > 0 ? Modular{v->symbol->multiple_of, 0}
                                                              : Modular{};
  }
  if (const auto* s = e.as<SelectNode>()) {
    const Modular x = modular(s->true_value), y = modular(s->false_value);
    const auto d = checked_add(x.remainder, -y.remainder);
    return d ? reduced(std::gcd(std::gcd(x.modulus, y.modulus), *d), x.remainder) : Modular{};
  }
  const auto* b = e.as<BinaryNode>();
  if (b == nullptr) return {};
  if (b->op == BinaryOp::kAdd || b->op == BinaryOp::kSub || b->op == BinaryOp::kMul) {
    const Affine a = to_affine(e);
    const bool opaque = a.terms.size() == 1 && a.terms[0].factors[0].same_as(e);
    return opaque ? Modular{} : modular(a);
  }
  const auto c = as_int(b->b);
  if (b->op == BinaryOp::kFloorMod && c && *c > 0) {
    const Modular x = modular(b->a);
    const std::int64_t g = std::gcd(x.modulus, *c);
    return g == *c ? Modular{0, positive_mod(x.remainder, *c)} : reduced(g, x.remainder);
  }
  if (b->op == BinaryOp::kFloorDiv && c && *c > 0) {
    const Modular x = modular(b->a);
    if (x.modulus % *c == 0) return reduced(x.modulus / *c, div_floor(x.remainder, *c));
  }
  return {};
}

Modular Knowledge::modular(const Affine& a) {
  Modular out{0, a.constant};
  for (const Term& t : a.terms) {
    Modular p{0, t.coefficient};
    for (const Expr& f : t.factors) p = product(p, modular(f));
    out = sum(out, p);
  }
  // c * x + d * (x % m) is c * m * (x // m) + (c + d) * (x % m), which may have the larger divisor.
  for (const Term& t : a.terms) {
    const auto* mod = t.factors.size() == 1 ? t.factors[0].as<BinaryNode>() : nullptr;
    const auto m = mod != nullptr && mod->op == BinaryOp::kFloorMod ? as_int(mod->b) : std::nullopt;
    if (!m || *m <= 0 || out.modulus == 0) continue;
    const Affine x = to_affine(mod->a);
    if (x.terms.empty()) continue;
    std::int64_t c = 0;
    for (const Term& u : a.terms) {
      if (same_product(u, x.terms[0]) && u.coefficient % x.terms[0].coefficient == 0)
        c = u.coefficient / x.terms[0].coefficient;
    }
    const auto cm = checked_mul(c, *m), cd = checked_add(c, t.coefficient);
    auto rest = add(a, x, -c);
    if (c == 0 || c == INT64_MIN || !cm || !cd || !rest) continue;
    rest = add(*rest, Affine{{t}, 0}, -1);
    if (!rest || rest->terms.size() >= a.terms.size()) continue;
    const Modular part = product({0, *cd}, modular(t.factors[0]));
    const Modular other = sum(sum(modular(*rest), reduced(*cm, 0)), part);
    if (other.modulus == 0 || other.modulus > out.modulus) out = other;
  }
  return out;
}

}  // namespace tenon::arith
