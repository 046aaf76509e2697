#include "ir/arith/knowledge.h"

#include <algorithm>
#include <numeric>

#include "tenon/ir/builder.h"

namespace tenon::arith {
namespace {

bool is_index_type(const Expr& e) { return e->dtype == kInt64; }

}  // namespace

Expr negated(const Expr& c) {
  if (const auto* u = c.as<UnaryNode>(); u != nullptr && u->op == UnaryOp::kNot) return u->a;
  const auto* b = c.as<BinaryNode>();
  if (b == nullptr) return logical_not(c);
  if (b->op == BinaryOp::kAnd) return logical_or(negated(b->a), negated(b->b));
  if (b->op == BinaryOp::kOr) return logical_and(negated(b->a), negated(b->b));
  if (!is_comparison(b->op) || b->a->dtype.is_float())
    return logical_not(c);  // NaN: not (a < b) is not a >= b
  if (b->op == BinaryOp::kEq) return ne(b->a, b->b);
  if (b->op == BinaryOp::kNe) return eq(b->a, b->b);
  if (b->op == BinaryOp::kLt) return le(b->b, b->a);
  if (b->op == BinaryOp::kLe) return lt(b->b, b->a);
  if (b->op == BinaryOp::kGt) return le(b->a, b->b);
  return lt(b->a, b->b);
}

void Knowledge::changed() {
  ++version_;
  intervals_.clear();
  data_.clear();
}

void Knowledge::bind(Binding binding) {
  const ExprNode* var = binding.var.get();
  binding.order = ++order_;
  Undo undo{Undo::Sort::kBinding, std::nullopt, var};
  if (const auto found = bindings_.find(var); found != bindings_.end())
    undo.previous = std::move(found->second);
  bindings_[var] = std::move(binding);
  log_.push_back(std::move(undo));
  changed();
}

const Binding* Knowledge::find(const Expr& var) const {
  const auto found = bindings_.find(var.get());
  return found == bindings_.end() ? nullptr : &found->second;
}

void Knowledge::rollback(std::size_t mark) {
  if (log_.size() == mark) return;
  while (log_.size() > mark) {
    Undo undo = std::move(log_.back());
    log_.pop_back();
    if (undo.sort == Undo::Sort::kFact) {
      facts_.pop_back();
    } else if (undo.sort == Undo::Sort::kCondition) {
      conditions_.pop_back();
    } else if (undo.previous) {
      bindings_[undo.var] = std::move(*undo.previous);
    } else {
      bindings_.erase(undo.var);
    }
  }
  changed();
}

void Knowledge::add_fact(std::optional<Affine> fact) {
  if (!fact || fact->is_constant()) return;
  facts_.push_back(std::move(*fact));
  log_.push_back({Undo::Sort::kFact, std::nullopt, nullptr});
  ++version_;
}

void Knowledge::assume(const Expr& condition) {
  const auto* b = condition.as<BinaryNode>();
  if (b != nullptr && b->op == BinaryOp::kAnd) {
    assume(b->a);
    assume(b->b);
    return;
  }
  if (const auto* u = condition.as<UnaryNode>(); u != nullptr && u->op == UnaryOp::kNot) {
    const Expr positive = negated(u->a);
    if (positive.as<UnaryNode>() == nullptr) return assume(positive);
  }
  conditions_.push_back(condition);
  log_.push_back({Undo::Sort::kCondition, std::nullopt, nullptr});
  ++version_;
  if (b == nullptr || !is_comparison(b->op) || !is_index_type(b->a)) return;
  const Affine x = to_affine(b->a), y = to_affine(b->b);
  if (!is_exact(x) || !is_exact(y)) return;
  const auto plus = [](std::optional<Affine> a, std::int64_t c) {
    if (a) a = add(*a, Affine{{}, c});
    return a;
  };
  const auto y_minus_x = add(y, x, -1), x_minus_y = add(x, y, -1);
  if (b->op == BinaryOp::kLt) add_fact(plus(y_minus_x, -1));
  if (b->op == BinaryOp::kGt) add_fact(plus(x_minus_y, -1));
  if (b->op == BinaryOp::kLe || b->op == BinaryOp::kEq) add_fact(y_minus_x);
  if (b->op == BinaryOp::kGe || b->op == BinaryOp::kEq) add_fact(x_minus_y);
}

// --- data
// ------------------------------------------------------------------------------------------------------------

namespace {

/// Index values lie far within 64 bits, so that sums and products of a few of them do not overflow.
constexpr std::int64_t kSmall = std::int64_t{1} << 48;

}  // namespace

bool Knowledge::has_data(const Expr& e) {
  if (const auto* i = e.as<IntImmNode>()) return i->value > kSmall || i->value < -kSmall;
  if (const auto* v = e.as<VarNode>()) {
    const Binding* b = find(Expr(v));
    return b != nullptr && b->is_data;
  }
  if (const auto found = data_.find(e.get()); found != data_.end()) return found->second.second;
  const bool out = compute_has_data(e);
  data_.emplace(e.get(), std::pair{e, out});
  return out;
}

bool Knowledge::compute_has_data(const Expr& e) {
  if (e->dtype.is_float() || e->dtype.is_vector()) return true;
  const ConstRange r = interval(e);
  if (r.lower && r.upper && *r.lower >= -kSmall && *r.upper <= kSmall)
    return false;  // bounded, whatever it is made of
  if (const auto* b = e.as<BinaryNode>()) {
    const bool plain = b->op < BinaryOp::kBitAnd;
    return !plain || has_data(b->a) || has_data(b->b);
  }
  if (const auto* u = e.as<UnaryNode>()) return u->op != UnaryOp::kNeg || has_data(u->a);
  if (const auto* s = e.as<SelectNode>())
    return has_data(s->true_value) || has_data(s->false_value);
  if (const auto* c = e.as<CallNode>()) return c->name != "checked_index";
  return true;
}

bool Knowledge::is_exact(const Affine& a) {
  if (a.terms.size() == 1 && a.terms[0].coefficient == 1 && a.constant == 0 &&
      a.terms[0].factors.size() == 1)
    return true;
  if (a.constant > kSmall || a.constant < -kSmall) return a.is_constant();
  const auto index_like = [&](const Term& t) {
    return t.coefficient <= kSmall && t.coefficient >= -kSmall &&
           std::none_of(t.factors.begin(), t.factors.end(),
                        [&](const Expr& f) { return has_data(f); });
  };
  return std::all_of(a.terms.begin(), a.terms.end(), index_like);
}

// --- conditions
// ------------------------------------------------------------------------------------------------------

bool Knowledge::prove(const Expr& c) {
  if (const auto* i = c.as<IntImmNode>()) return i->value != 0;
  for (const Expr& known : conditions_) {
    if (same_expr(known, c)) return true;
  }
  if (const auto* u = c.as<UnaryNode>(); u != nullptr && u->op == UnaryOp::kNot) {
    const Expr positive = negated(u->a);
    return positive.as<UnaryNode>() == nullptr && prove(positive);
  }
  const auto* b = c.as<BinaryNode>();
  if (b == nullptr) return false;
  if (b->op == BinaryOp::kAnd) return prove(b->a) && prove(b->b);
  if (b->op == BinaryOp::kOr) return prove(b->a) || prove(b->b);
  return is_comparison(b->op) && b->a->dtype.is_scalar() && b->a->dtype.is_int() &&
         prove_comparison(*b);
}

namespace {

/// Whether bounds alone decide `x op y` as true.
bool decided(BinaryOp op, const ConstRange& x, const ConstRange& y) {
  const bool below = x.upper && y.lower && *x.upper < *y.lower;
  const bool above = x.lower && y.upper && *x.lower > *y.upper;
  const bool at_most = x.upper && y.lower && *x.upper <= *y.lower;
  const bool at_least = x.lower && y.upper && *x.lower >= *y.upper;
  if (op == BinaryOp::kLt) return below;
  if (op == BinaryOp::kGt) return above;
  if (op == BinaryOp::kLe) return at_most;
  if (op == BinaryOp::kGe) return at_least;
  if (op == BinaryOp::kNe) return below || above;
  return at_most && at_least;
}

}  // namespace

bool Knowledge::prove_comparison(const BinaryNode& n) {
  if (decided(n.op, interval(n.a), interval(n.b))) return true;
  if (!is_index_type(n.a)) return false;
  const Affine x = to_affine(n.a), y = to_affine(n.b);
  const auto d = add(x, y, -1);
  if (!d) return false;
  const bool equal = d->is_constant() && d->constant == 0;
  if (n.op == BinaryOp::kEq && equal) return true;  // also where the arithmetic wraps
  if (!is_exact(x) || !is_exact(y)) return false;
  const auto negative = scaled(*d, -1);
  if (!negative) return false;
  const auto at_least = [&](const Affine& a, std::int64_t least) {
    const auto bound = lower_bound(a, least);
    return bound && *bound >= least;
  };
  if (n.op == BinaryOp::kLt) return at_least(*negative, 1);
  if (n.op == BinaryOp::kGt) return at_least(*d, 1);
  if (n.op == BinaryOp::kLe) return at_least(*negative, 0);
  if (n.op == BinaryOp::kGe) return at_least(*d, 0);
  if (n.op == BinaryOp::kEq) {
    const Modular m = modular(*d);
    return (m.modulus == 0 && m.remainder == 0) || (at_least(*d, 0) && at_least(*negative, 0));
  }
  const Modular m = modular(*d);
  if (m.modulus == 0 ? m.remainder != 0 : m.remainder % m.modulus != 0) return true;
  return at_least(*d, 1) || at_least(*negative, 1);
}

bool Knowledge::prove_nonnegative(const Affine& a) {
  const auto bound = lower_bound(a, 0);
  return bound && *bound >= 0;
}

int Knowledge::sign(const Affine& a) {
  if (prove_nonnegative(a)) return 1;
  const auto negative = scaled(a, -1);
  return negative && prove_nonnegative(*negative) ? -1 : 0;
}

ConstRange Knowledge::bounds(const Affine& a) {
  ConstRange out;
  out.lower = lower_bound(a, INT64_MAX);
  if (const auto negative = scaled(a, -1)) {
    const auto upper = lower_bound(*negative, INT64_MAX);
    if (upper && *upper != INT64_MIN) out.upper = -*upper;
  }
  return out;
}

}  // namespace tenon::arith
