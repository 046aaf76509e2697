#include "schedule/bounds.h"

#include <algorithm>
#include <numeric>

#include "tenon/ir/builder.h"
#include "tenon/ir/structural.h"
#include "tenon/ir/visit.h"

namespace tenon {

std::int64_t Linear::coefficient(const Expr& atom) const {
  for (const auto& [known, c] : terms) {
    if (known.same_as(atom) || structural_equal(known, atom)) return c;
  }
  return 0;
}

void Linear::add_term(const Expr& atom, std::int64_t coefficient) {
  if (coefficient == 0) return;
  for (std::size_t t = 0; t < terms.size(); ++t) {
    if (!terms[t].first.same_as(atom) && !structural_equal(terms[t].first, atom)) continue;
    terms[t].second += coefficient;
    if (terms[t].second == 0) terms.erase(terms.begin() + static_cast<std::ptrdiff_t>(t));
    return;
  }
  terms.emplace_back(atom, coefficient);
}

void Linear::add(const Linear& other, std::int64_t times) {
  constant += other.constant * times;
  for (const auto& [atom, c] : other.terms) add_term(atom, c * times);
}

namespace {

const BinaryNode* as_binary(const Expr& e, BinaryOp op) {
  const auto* b = e.as<BinaryNode>();
  return b != nullptr && b->op == op ? b : nullptr;
}

void collect(const Expr& e, std::int64_t times, Linear* out) {
  if (const auto value = as_int(e)) {
    out->constant += *value * times;
    return;
  }
  if (const auto* b = e.as<BinaryNode>()) {
    if (b->op == BinaryOp::kAdd || b->op == BinaryOp::kSub) {
      collect(b->a, times, out);
      collect(b->b, b->op == BinaryOp::kAdd ? times : -times, out);
      return;
    }
    if (b->op == BinaryOp::kMul) {
      if (const auto c = as_int(b->b)) return collect(b->a, times * *c, out);
      if (const auto c = as_int(b->a)) return collect(b->b, times * *c, out);
    }
  }
  if (const auto* u = e.as<UnaryNode>(); u != nullptr && u->op == UnaryOp::kNeg)
    return collect(u->a, -times, out);
  out->add_term(e, times);
}

/// The quotient in `(x // c) * c`; null for anything else.
const BinaryNode* rounded_down(const Expr& e) {
  const auto* product = as_binary(e, BinaryOp::kMul);
  if (product == nullptr) return nullptr;
  const auto* div = as_binary(product->a, BinaryOp::kFloorDiv);
  return div != nullptr && structural_equal(div->b, product->b) ? div : nullptr;
}

/// Rewrites `k*c*(x // c) + k*(x % c)` to `k*x`, c constant or not; true when something changed.
bool join_division(Linear* form) {
  for (const auto& [atom, k] : form->terms) {
    const auto* mod = as_binary(atom, BinaryOp::kFloorMod);
    if (mod == nullptr) continue;
    const auto divisor = as_int(mod->b);
    for (const auto& [other, kc] : form->terms) {
      const auto* div = divisor ? as_binary(other, BinaryOp::kFloorDiv) : rounded_down(other);
      if (div == nullptr || kc != k * divisor.value_or(1) || !structural_equal(div->b, mod->b) ||
          !structural_equal(div->a, mod->a)) {
        continue;
      }
      const Expr x = mod->a, mod_atom = atom, div_atom = other;
      const std::int64_t times = k;
      form->add_term(mod_atom, -times);
      form->add_term(div_atom, -times * divisor.value_or(1));
      collect(x, times, form);
      return true;
    }
  }
  return false;
}

}  // namespace

Linear linear_of(const Expr& e) {
  Linear form;
  collect(e, 1, &form);
  while (join_division(&form)) {
  }
  return form;
}

Expr to_expr(const Linear& form) {
  Expr sum;
  for (const auto& [atom, c] : form.terms) {
    if (c < 0) continue;
    const Expr term = atom * c;
    sum = sum ? sum + term : term;
  }
  if (form.constant > 0 || !sum)
    sum = sum ? sum + form.constant : imm(std::max<std::int64_t>(form.constant, 0));
  for (const auto& [atom, c] : form.terms) {
    if (c < 0)
      sum = is_int(sum, 0) && c == -1 && form.terms.size() > 1 ? sum - atom : sum - atom * -c;
  }
  return form.constant < 0 ? sum - -form.constant : sum;
}

Expr normalise(const Expr& e) {
  if (const auto* s = e.as<SelectNode>()) {
    const Expr t = normalise(s->true_value), f = normalise(s->false_value);
    return structural_equal(t, f) ? t : select(s->condition, t, f);
  }
  return e->dtype == kInt64 ? to_expr(linear_of(e)) : e;
}

// --- intervals
// -------------------------------------------------------------------------------------------------------

namespace {

bool uses_any(const Expr& e, const LoopRanges& loops) {
  return uses_var(e, [&](const VarNode& v) {
    return std::any_of(loops.begin(), loops.end(),
                       [&](const LoopRange& l) { return l.var.get() == &v; });
  });
}

/// `a // b`, where a constant divisor has a factor in common with all terms without that factor:
/// `(8 x + 7) // 24` is `x // 3`.
Expr quotient(const Expr& a, const Expr& b) {
  const std::int64_t divisor = as_int(b).value_or(0);
  if (divisor <= 0) return floordiv(a, b);
  Linear form = linear_of(a);
  std::int64_t common = divisor;
  for (const auto& term : form.terms) common = std::gcd(common, term.second);
  if (common == 1 || form.terms.empty()) return floordiv(a, b);
  for (auto& term : form.terms) term.second /= common;
  const std::int64_t rest = ((form.constant % common) + common) % common;
  form.constant = (form.constant - rest) / common;
  return floordiv(to_expr(form), imm(divisor / common));
}

class IntervalFinder {
 public:
  explicit IntervalFinder(const LoopRanges& free) : free_(free) {}

  Bounds find(const Expr& e) const {
    if (!uses_any(e, free_)) return {e, e};
    const Linear form = linear_of(e);
    Linear low, high;
    low.constant = high.constant = form.constant;
    for (const auto& [atom, c] : form.terms) {
      const Bounds range = of_atom(atom);
      if (!range.known()) return {};
      low.add(linear_of(c > 0 ? range.min : range.max), c);
      high.add(linear_of(c > 0 ? range.max : range.min), c);
    }
    return {to_expr(low), to_expr(high)};
  }

 private:
  Bounds of_atom(const Expr& atom) const {
    if (!uses_any(atom, free_)) return {atom, atom};
    for (const LoopRange& l : free_) {
      if (!l.var.same_as(atom)) continue;
      const Bounds low = find(l.min), high = find(l.min + l.extent - 1);
      return {low.min, high.max};
    }
    if (const auto* s = atom.as<SelectNode>()) return of_select(*s);
    const auto* b = atom.as<BinaryNode>();
    return b != nullptr ? of_binary(*b) : Bounds{};
  }

  Bounds of_select(const SelectNode& s) const {
    const Bounds t = find(s.true_value), f = find(s.false_value);
    if (!t.known() || !f.known()) return {};
    if (!uses_any(s.condition, free_))
      return {select(s.condition, t.min, f.min), select(s.condition, t.max, f.max)};
    return {tenon::min(t.min, f.min), tenon::max(t.max, f.max)};
  }

  Bounds of_binary(const BinaryNode& n) const {
    const auto divisor = as_int(n.b);
    if (n.op == BinaryOp::kMin || n.op == BinaryOp::kMax) {
      const Bounds a = find(n.a), b = find(n.b);
      if (!a.known() || !b.known()) return {};
      return {binary(n.op, a.min, b.min), binary(n.op, a.max, b.max)};
    }
    if (uses_any(n.b, free_) || (divisor && *divisor <= 0)) return {};
    if (n.op == BinaryOp::kFloorDiv) {
      const Bounds a = find(n.a);
      return a.known() ? Bounds{quotient(a.min, n.b), quotient(a.max, n.b)} : a;
    }
    if (n.op == BinaryOp::kFloorMod) return {imm(0), n.b - 1};
    return {};
  }

  const LoopRanges& free_;
};

}  // namespace

Bounds bounds_of(const Expr& e, const LoopRanges& free) { return IntervalFinder(free).find(e); }

// --- proofs
// ----------------------------------------------------------------------------------------------------------

namespace {

constexpr int kProofBudget = 400;

class Prover {
 public:
  explicit Prover(const Facts& facts) : symbols_(facts.symbols) {}

  /// Whether the form is never negative while the loops run.
  bool prove(const Linear& form, const LoopRanges& loops) {
    if (form.terms.empty()) return form.constant >= 0;
    if (++steps_ > kProofBudget) return false;
    // Selects first, for what their conditions tell; then what needs both operands; last what may
    // choose one of them.
    for (const auto& [atom, c] : form.terms) {
      if (const auto* s = atom.as<SelectNode>()) return prove_select(form, atom, c, *s, loops);
    }
    for (const bool any : {false, true}) {
      for (const auto& [atom, c] : form.terms) {
        const auto* b = atom.as<BinaryNode>();
        if (b == nullptr || (b->op != BinaryOp::kMin && b->op != BinaryOp::kMax)) continue;
        if (((b->op == BinaryOp::kMax) == (c > 0)) != any)
          continue;  // c*max(a, b) is at least c*a, and so is -c*min(a, b)
        const bool first = prove(replaced(form, atom, c, b->a), loops);
        if (first == any) return first;
        return prove(replaced(form, atom, c, b->b), loops);
      }
    }
    return prove_division(form, loops).value_or(false) || prove_loops(form, loops) ||
           prove_symbols(form, loops);
  }

 private:
  static Linear replaced(const Linear& form, const Expr& atom, std::int64_t c, const Expr& by) {
    Linear out = form;
    out.add_term(atom, -c);
    out.add(linear_of(by), c);
    while (join_division(&out)) {
    }
    return out;
  }

  /// Both branches, each under what its condition (`v < k`) says of the loop variable.
  bool prove_select(const Linear& form, const Expr& atom, std::int64_t c, const SelectNode& s,
                    const LoopRanges& loops) {
    LoopRanges when_true = loops, when_false = loops;
    if (const auto* less = as_binary(s.condition, BinaryOp::kLt)) {
      for (std::size_t i = 0; i < loops.size(); ++i) {
        if (!loops[i].var.same_as(less->a)) continue;
        const Expr end = loops[i].min + loops[i].extent;
        when_true[i].extent = tenon::min(end, less->b) - loops[i].min;
        when_false[i].min = tenon::max(loops[i].min, less->b);
        when_false[i].extent = end - when_false[i].min;
      }
    }
    return prove(replaced(form, atom, c, s.true_value), when_true) &&
           prove(replaced(form, atom, c, s.false_value), when_false);
  }

  /// x - d + 1 <= d * (x // d) <= x, and 0 <= x % d < d.
  std::optional<bool> prove_division(const Linear& form, const LoopRanges& loops) {
    for (const auto& [atom, c] : form.terms) {
      const auto* b = atom.as<BinaryNode>();
      const auto divisor = b == nullptr ? std::nullopt : as_int(b->b);
      if (!divisor || *divisor <= 0) continue;
      if (b->op == BinaryOp::kFloorMod)
        return prove(replaced(form, atom, c, imm(c > 0 ? 0 : *divisor - 1)), loops);
      if (b->op != BinaryOp::kFloorDiv) continue;
      if (c % *divisor == 0) {
        Linear out = form;
        out.add_term(atom, -c);
        out.add(linear_of(c > 0 ? b->a - (*divisor - 1) : b->a), c / *divisor);
        return prove(out, loops);
      }
      const Bounds range = bounds_of(b->a, loops);
      const Expr end = c > 0 ? range.min : range.max;
      const auto value = end ? as_int(normalise(end)) : std::nullopt;
      if (value) return prove(replaced(form, atom, c, imm(eval_floor(*value, *divisor))), loops);
    }
    return std::nullopt;
  }

  static std::int64_t eval_floor(std::int64_t x, std::int64_t d) {
    return x >= 0 ? x / d : -((-x + d - 1) / d);
  }

  /// Replaces the innermost loop variable by its worst value.
  bool prove_loops(const Linear& form, const LoopRanges& loops) {
    for (std::size_t i = loops.size(); i-- > 0;) {
      const std::int64_t c = form.coefficient(loops[i].var);
      if (c == 0) continue;
      const Expr worst = c > 0 ? loops[i].min : loops[i].min + loops[i].extent - 1;
      return prove(replaced(form, loops[i].var, c, worst), loops);
    }
    return false;
  }

  bool prove_symbols(const Linear& form, const LoopRanges& loops) {
    for (const Symbol& s : symbols_) {
      const std::int64_t c = form.coefficient(s.var);
      if (c == 0 || (c < 0 && !s.max)) continue;
      return prove(replaced(form, s.var, c, imm(c > 0 ? s.min : *s.max)), loops);
    }
    return false;
  }

  const std::vector<Symbol>& symbols_;
  int steps_ = 0;
};

}  // namespace

bool prove_not_negative(const Expr& e, const Facts& facts) {
  return Prover(facts).prove(linear_of(e), facts.loops);
}

bool prove_equal(const Expr& a, const Expr& b, const Facts& facts) {
  return structural_equal(a, b) ||
         (prove_not_negative(a - b, facts) && prove_not_negative(b - a, facts));
}

bool prove_divisible(const Expr& e, std::int64_t factor, const std::vector<Symbol>& symbols) {
  const Linear form = linear_of(e);
  if (form.constant % factor != 0) return false;
  return std::all_of(form.terms.begin(), form.terms.end(), [&](const auto& term) {
    std::int64_t multiple = term.second;
    for (const Symbol& s : symbols) {
      if (s.var.same_as(term.first)) multiple *= s.multiple_of;
    }
    return multiple % factor == 0;
  });
}

namespace {

/// A product: its constant part and the other factors.
struct Product {
  std::int64_t constant = 1;
  std::vector<Expr> factors;

  void multiply(const Expr& e) {
    const auto* product = e.as<BinaryNode>();
    if (const auto value = as_int(e)) {
      constant *= *value;
    } else if (product != nullptr && product->op == BinaryOp::kMul) {
      multiply(product->a);
      multiply(product->b);
    } else {
      factors.push_back(e);
    }
  }
  bool equals(Product other) const {
    if (constant != other.constant || factors.size() != other.factors.size()) return false;
    for (const Expr& f : factors) {
      const auto found = std::find_if(other.factors.begin(), other.factors.end(),
                                      [&](const Expr& o) { return structural_equal(f, o); });
      if (found == other.factors.end()) return false;
      other.factors.erase(found);
    }
    return true;
  }
};

Product product_of(const std::vector<Expr>& extents) {
  Product product;
  for (const Expr& e : extents) product.multiply(normalise(e));
  return product;
}

}  // namespace

bool have_equal_products(const std::vector<Expr>& a, const std::vector<Expr>& b) {
  return product_of(a).equals(product_of(b));
}

}  // namespace tenon
