// The search for lower bounds: the part of Knowledge that proves inequalities.
//
// A lower bound of a form is found by interval arithmetic, or by replacing one part of the form by
// something provably not larger and going on: a variable by its symbolic bound, a minimum or a
// select by its cases, `x // c` by the inequality that defines it, a multiple of a known fact by
// zero. The search is bounded by depth and by fuel, so that it always ends soon.

#include <algorithm>
#include <numeric>

#include "ir/arith/knowledge.h"
#include "tenon/ir/builder.h"

namespace tenon::arith {
namespace {

using Bound = std::optional<std::int64_t>;

constexpr int kMaxDepth = 7;
constexpr int kFuel = 600;

Bound better(const Bound& a, const Bound& b) { return !a || (b && *b > *a) ? b : a; }
Bound worse(const Bound& a, const Bound& b) { return !a || !b ? std::nullopt : std::min(a, b); }

/// a with its term `i` replaced by coefficient * e (times the term's other factors is not
/// supported: single factor only).
std::optional<Affine> replaced(const Affine& a, std::size_t i, const Expr& e) {
  Affine rest = a;
  const std::int64_t c = rest.terms[i].coefficient;
  rest.terms.erase(rest.terms.begin() + static_cast<std::ptrdiff_t>(i));
  return add(rest, to_affine(e), c);
}

/// a minus its term i.
Affine without(const Affine& a, std::size_t i) {
  Affine rest = a;
  rest.terms.erase(rest.terms.begin() + static_cast<std::ptrdiff_t>(i));
  return rest;
}

}  // namespace

Bound Knowledge::lower_bound(const Affine& a, std::int64_t target) {
  if (searching_) return search_lower(a, target, 2);  // a question asked within a search
  searching_ = true;
  fuel_ = kFuel;
  const Bound out = search_lower(a, target, kMaxDepth);
  searching_ = false;
  return out;
}

Bound Knowledge::search_lower(const Affine& a, std::int64_t target, int depth) {
  Bound best = interval(a).lower;
  const auto done = [&] { return best && *best >= target; };
  if (a.is_constant() || done() || depth == 0 || --fuel_ <= 0) return best;
  best = better(best, by_variable(a, target, depth));
  if (!done()) best = better(best, by_cases(a, target, depth));
  if (!done()) best = better(best, by_fact(a, target, depth));
  if (!done()) best = better(best, by_division(a, target, depth));
  return best;
}

Bound Knowledge::by_cases(const Affine& a, std::int64_t target, int depth) {
  for (std::size_t i = 0; i < a.terms.size(); ++i) {
    const Term& t = a.terms[i];
    if (t.factors.size() != 1) continue;
    const auto lower_with = [&](const Expr& e) -> Bound {
      const auto form = is_exact(e) ? replaced(a, i, e) : std::nullopt;
      return form ? search_lower(*form, target, depth - 1) : std::nullopt;
    };
    if (const auto* b = t.factors[0].as<BinaryNode>();
        b != nullptr && (b->op == BinaryOp::kMin || b->op == BinaryOp::kMax)) {
      const bool all_needed = (b->op == BinaryOp::kMin) == (t.coefficient > 0);
      const Bound x = lower_with(b->a);
      if (!all_needed && x && *x >= target) return x;
      if (all_needed && !x) return std::nullopt;
      const Bound y = lower_with(b->b);
      return all_needed ? worse(x, y) : better(x, y);
    }
    if (const auto* s = t.factors[0].as<SelectNode>()) {
      const std::size_t before = mark();
      assume(s->condition);
      const Bound x = lower_with(s->true_value);
      rollback(before);
      if (!x) return std::nullopt;
      assume(negated(s->condition));
      const Bound y = lower_with(s->false_value);
      rollback(before);
      return worse(x, y);
    }
  }
  return std::nullopt;
}

Bound Knowledge::by_variable(const Affine& a, std::int64_t target, int depth) {
  // The innermost variable with a symbolic bound goes first: its bounds mention outer ones only.
  const Binding* chosen = nullptr;
  for (const Term& t : a.terms) {
    for (const Expr& f : t.factors) {
      const Binding* b = f.as<VarNode>() != nullptr ? find(f) : nullptr;
      if (b == nullptr || (!b->lower && !b->upper)) continue;
      const bool constant = (!b->lower || as_int(b->lower)) && (!b->upper || as_int(b->upper));
      if (constant && t.factors.size() == 1) continue;  // interval arithmetic has it already
      if (chosen == nullptr || b->order > chosen->order) chosen = b;
    }
  }
  if (chosen == nullptr) return std::nullopt;
  const Binding binding = *chosen;
  // a = coefficient * var + rest, the coefficient a form without the variable.
  Affine coefficient, rest;
  rest.constant = a.constant;
  for (const Term& t : a.terms) {
    Term other{{}, t.coefficient};
    int uses = 0;
    for (const Expr& f : t.factors) {
      if (f.same_as(binding.var))
        ++uses;
      else
        other.factors.push_back(f);
    }
    if (uses > 1) return std::nullopt;
    if (uses == 0)
      rest.terms.push_back(t);
    else if (other.factors.empty())
      coefficient.constant += t.coefficient;
    else
      coefficient.terms.push_back(other);
  }
  const int s = coefficient.is_constant() ? (coefficient.constant > 0 ? 1 : -1) : sign(coefficient);
  const Expr& bound = s > 0 ? binding.lower : binding.upper;
  if (s == 0 || !bound) return std::nullopt;
  const auto part = multiply(to_affine(bound), coefficient);
  const auto form = part ? add(rest, *part) : std::nullopt;
  return form ? search_lower(*form, target, depth - 1) : std::nullopt;
}

Bound Knowledge::by_division(const Affine& a, std::int64_t target, int depth) {
  for (std::size_t i = 0; i < a.terms.size(); ++i) {
    const Term& t = a.terms[i];
    const auto* b = t.factors.size() == 1 ? t.factors[0].as<BinaryNode>() : nullptr;
    if (b == nullptr || b->op != BinaryOp::kFloorDiv) continue;
    const auto c = as_int(b->b);
    if (!c || *c <= 1 || *c > (1 << 30) || !is_exact(b->a)) continue;
    // With x = c q + r, 0 <= r < c: c (k q + rest) >= k x - [k > 0] k (c - 1) + c rest.
    const std::int64_t k = t.coefficient;
    const auto slack = k > 0 ? checked_mul(k, *c - 1) : std::optional<std::int64_t>(0);
    auto form = scaled(without(a, i), *c);
    if (form) form = add(*form, to_affine(b->a), k);
    if (form && slack) form = add(*form, Affine{{}, *slack}, -1);
    if (!form || !slack) continue;
    const auto scaled_target = checked_mul(target, *c);
    const Bound bound =
        search_lower(*form, scaled_target ? *scaled_target - (*c - 1) : INT64_MAX, depth - 1);
    if (!bound) continue;
    return *bound <= INT64_MAX - *c ? div_floor(*bound + *c - 1, *c) : div_floor(*bound, *c);
  }
  return std::nullopt;
}

Bound Knowledge::by_fact(const Affine& a, std::int64_t target, int depth) {
  Bound best;
  for (std::size_t f = facts_.size(); f-- > 0;) {
    const Affine fact = facts_[f];  // a copy: the search may push and pop facts
    for (const Term& t : a.terms) {
      const auto shared = std::find_if(fact.terms.begin(), fact.terms.end(),
                                       [&](const Term& u) { return same_product(t, u); });
      if (shared == fact.terms.end() || (shared->coefficient > 0) != (t.coefficient > 0)) continue;
      if (t.coefficient == INT64_MIN || shared->coefficient == INT64_MIN) continue;
      const std::int64_t g = std::gcd(t.coefficient, shared->coefficient);
      const std::int64_t scale = std::abs(shared->coefficient) / g,
                         times = std::abs(t.coefficient) / g;
      auto form = scaled(a, scale);
      if (form) form = add(*form, fact, -times);
      if (!form || form->terms.size() > a.terms.size() + 1) continue;
      const auto scaled_target = checked_mul(target, scale);
      const Bound bound =
          search_lower(*form, scaled_target ? *scaled_target - (scale - 1) : INT64_MAX, depth - 1);
      if (!bound) continue;
      const Bound here = scale == 1                    ? *bound
                         : *bound <= INT64_MAX - scale ? div_floor(*bound + scale - 1, scale)
                                                       : div_floor(*bound, scale);
      best = better(best, here);
      if (best && *best >= target) return best;
    }
  }
  return best;
}

}  // namespace tenon::arith
