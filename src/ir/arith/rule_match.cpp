// The matcher: finds the ways in which a rule's pattern matches an expression, by trial with undo.

#include <algorithm>
#include <map>
#include <numeric>

#include "ir/arith/rule_pattern.h"
#include "tenon/ir/builder.h"

namespace tenon::arith {
namespace {

constexpr std::int64_t kLargestConstant = std::int64_t{1}
                                          << 31;  // products of two of them fit in 64 bits

using Then = std::function<bool()>;

bool is_sum_op(BinaryOp op) {
  return op == BinaryOp::kAdd || op == BinaryOp::kSub || op == BinaryOp::kMul;
}

bool is_commutative(BinaryOp op) {
  return op == BinaryOp::kMin || op == BinaryOp::kMax || op == BinaryOp::kEq ||
         op == BinaryOp::kNe || op == BinaryOp::kAnd || op == BinaryOp::kOr ||
         op == BinaryOp::kAdd || op == BinaryOp::kMul;
}

void add_addends(const Expr& p, std::vector<Expr>* out) {
  const auto* b = p.as<BinaryNode>();
  if (b != nullptr && b->op == BinaryOp::kAdd) {
    add_addends(b->a, out);
    add_addends(b->b, out);
  } else {
    out->push_back(p);
  }
}

const std::string& name_of(const VarNode& v) { return v.name; }

class Match {
 public:
  Match(const CompiledRule& rule, Knowledge* knowledge) : rule_(rule), knowledge_(*knowledge) {}

  bool run(const Expr& e, const std::function<bool(const Rewrite&)>& accept) {
    return match(rule_.pattern, e, [&] {
      if (rule_.condition && !knowledge_.prove(instantiate(rule_.condition))) return false;
      return accept({rule_.rule, constant_as(e->dtype, instantiate(rule_.result))});
    });
  }

 private:
  /// Constants in results are written without a type.
  static Expr constant_as(DType t, const Expr& e) {
    const auto* i = e.as<IntImmNode>();
    return i != nullptr && e->dtype != t ? broadcast(int_imm(t.element(), i->value), t.lanes) : e;
  }

  Expr bound(const Expr& v) const {
    for (const auto& [var, value] : env_) {
      if (var == v.get()) return value;
    }
    return nullptr;
  }

  bool bind(const Expr& v, const Expr& value, const Then& then) {
    env_.emplace_back(v.get(), value);
    if (then()) return true;
    env_.pop_back();
    return false;
  }

  bool match_var(const Expr& p, const Expr& e, const Then& then) {
    if (const Expr known = bound(p)) return same_expr(known, e) && then();
    const std::string& name = name_of(*p.as<VarNode>());
    if (is_constant_name(name)) {
      const auto* i = e.as<IntImmNode>();
      const bool fits = i != nullptr && i->dtype == kInt64 && i->value < kLargestConstant &&
                        i->value > -kLargestConstant;
      return fits && bind(p, e, then);
    }
    if (is_bool_name(name) != e->dtype.is_bool()) return false;
    if (!e->dtype.is_bool() && (rule_.rule->domain == Domain::kFloat) != e->dtype.is_float())
      return false;
    return bind(p, e, then);
  }

  bool match(const Expr& p, const Expr& e, const Then& then) {
    if (p.as<VarNode>() != nullptr) return match_var(p, e, then);
    if (const auto* i = p.as<IntImmNode>()) {
      return e->dtype.is_bool() == p->dtype.is_bool() && is_int(e, i->value) && then();
    }
    if (const auto* b = p.as<BinaryNode>()) {
      if (is_sum_op(b->op) && e->dtype == kInt64 && b->op != BinaryOp::kSub) {
        std::vector<Expr> addends;
        add_addends(p, &addends);
        return match_sum(addends, 0, to_affine(e), then);
      }
      const auto* n = e.as<BinaryNode>();
      return n != nullptr && n->op == b->op && match_operands(*b, *n, then);
    }
    if (const auto* u = p.as<UnaryNode>()) {
      const auto* n = e.as<UnaryNode>();
      return n != nullptr && n->op == u->op && match(u->a, n->a, then);
    }
    const auto* s = p.as<SelectNode>();
    const auto* n = e.as<SelectNode>();
    return s != nullptr && n != nullptr && match(s->condition, n->condition, [&] {
             return match(s->true_value, n->true_value,
                          [&] { return match(s->false_value, n->false_value, then); });
           });
  }

  bool match_operands(const BinaryNode& p, const BinaryNode& n, const Then& then) {
    // The right operand first: it binds the divisor that a sum on the left is split by.
    if (match(p.b, n.b, [&] { return match(p.a, n.a, then); })) return true;
    return is_commutative(p.op) && match(p.b, n.a, [&] { return match(p.a, n.b, then); });
  }

  bool match_sum(const std::vector<Expr>& addends, std::size_t i, const Affine& rest,
                 const Then& then) {
    if (i == addends.size()) return rest.is_constant() && rest.constant == 0 && then();
    const Expr& p = addends[i];
    const bool last = i + 1 == addends.size();
    if (p.as<VarNode>() != nullptr) return last && match_var(p, to_expr(rest), then);
    const auto* product = p.as<BinaryNode>();
    if (product != nullptr && product->op != BinaryOp::kMul) product = nullptr;
    if (product != nullptr && product->a.as<VarNode>() != nullptr && !bound(product->a)) {
      const auto* right = product->b.as<VarNode>();
      if (right != nullptr && is_constant_name(right->name))
        return match_group(addends, i, rest, then);
      return match_factor(addends, i, rest, then);
    }
    const Expr& atom = product != nullptr ? product->a : p;
    for (std::size_t t = 0; t < rest.terms.size(); ++t) {
      const Term term = rest.terms[t];
      if (term.factors.size() != 1) continue;
      if (product == nullptr && term.coefficient != 1) continue;
      Affine others = rest;
      others.terms.erase(others.terms.begin() + static_cast<std::ptrdiff_t>(t));
      const Then go_on = [&] { return match_sum(addends, i + 1, others, then); };
      const Then with_coefficient = [&] {
        return product == nullptr ? go_on() : match(product->b, imm(term.coefficient), go_on);
      };
      if (match(atom, term.factors[0], with_coefficient)) return true;
    }
    return false;
  }

  /// `x * c`, x unbound: all terms whose coefficient c divides.
  bool match_group(const std::vector<Expr>& addends, std::size_t i, const Affine& rest,
                   const Then& then) {
    const auto* product = addends[i].as<BinaryNode>();
    if (const Expr known = bound(product->b))
      return split(addends, i, rest, *as_int(known), false, then);
    std::vector<std::int64_t> candidates;
    const auto propose = [&](std::int64_t c) {
      if (c > 1 && c < kLargestConstant &&
          std::find(candidates.begin(), candidates.end(), c) == candidates.end())
        candidates.push_back(c);
    };
    propose(coefficient_gcd(rest));
    for (const Term& t : rest.terms) {
      if (t.coefficient == INT64_MIN) continue;
      propose(std::abs(t.coefficient));
      for (const auto& [var, value] : env_) {
        if (const auto c = as_int(value)) propose(std::gcd(*c, t.coefficient));
      }
    }
    for (const std::int64_t c : candidates) {
      if (bind(product->b, imm(c), [&] { return split(addends, i, rest, c, true, then); }))
        return true;
    }
    return false;
  }

  bool split(const std::vector<Expr>& addends, std::size_t i, const Affine& all, std::int64_t c,
             bool needs_terms, const Then& then) {
    if (c <= 0) return false;
    Affine multiple, rest;
    for (const Term& t : all.terms) {
      if (t.coefficient % c == 0)
        multiple.terms.push_back({t.factors, t.coefficient / c});
      else
        rest.terms.push_back(t);
    }
    // The constant goes where the rest then lies in [0, c), if it can.
    const ConstRange range = knowledge_.interval(rest);
    const auto low = range.lower ? checked_add(*range.lower, all.constant) : std::nullopt;
    const auto high = range.upper ? checked_add(*range.upper, all.constant) : std::nullopt;
    const bool one_window = low && high && div_floor(*low, c) == div_floor(*high, c);
    multiple.constant = div_floor(one_window ? *low : all.constant, c);
    const auto moved = checked_mul(multiple.constant, -c);
    const auto left = moved ? checked_add(all.constant, *moved) : std::nullopt;
    if (!left) return false;
    rest.constant = *left;
    if (multiple.terms.empty() && (needs_terms || multiple.constant == 0)) return false;
    const auto* product = addends[i].as<BinaryNode>();
    return bind(product->a, to_expr(multiple),
                [&] { return match_sum(addends, i + 1, rest, then); });
  }

  /// `x * y`, x unbound, y bound to an atom: all terms that have y as a factor.
  bool match_factor(const std::vector<Expr>& addends, std::size_t i, const Affine& rest,
                    const Then& then) {
    const auto* product = addends[i].as<BinaryNode>();
    const Expr factor = bound(product->b);
    if (!factor || as_int(factor)) return false;
    Affine quotient, others;
    others.constant = rest.constant;
    for (const Term& t : rest.terms) {
      Term left = t;
      const auto found = std::find_if(left.factors.begin(), left.factors.end(),
                                      [&](const Expr& f) { return same_expr(f, factor); });
      if (found == left.factors.end()) {
        others.terms.push_back(t);
        continue;
      }
      left.factors.erase(found);
      if (left.factors.empty())
        quotient.constant += left.coefficient;
      else
        quotient.terms.push_back(left);
    }
    if (quotient.is_constant() && quotient.constant == 0) return false;
    return bind(product->a, to_expr(quotient),
                [&] { return match_sum(addends, i + 1, others, then); });
  }

  Expr instantiate(const Expr& p) const {
    if (p.as<VarNode>() != nullptr) {
      const Expr value = bound(p);
      TENON_CHECK(value, "rule ", rule_.rule->name, " does not bind ", p.as<VarNode>()->name);
      return value;
    }
    if (const auto* b = p.as<BinaryNode>())
      return binary(b->op, instantiate(b->a), instantiate(b->b));
    if (const auto* u = p.as<UnaryNode>()) return unary(u->op, instantiate(u->a));
    if (const auto* s = p.as<SelectNode>()) {
      return select(instantiate(s->condition), instantiate(s->true_value),
                    instantiate(s->false_value));
    }
    return p;
  }

  const CompiledRule& rule_;
  Knowledge& knowledge_;
  std::vector<std::pair<const ExprNode*, Expr>> env_;
};

/// What kind of node a rule can start at: sums are one kind.
int head(const Expr& e) {
  if (const auto* b = e.as<BinaryNode>())
    return is_sum_op(b->op) ? 1 : 10 + static_cast<int>(b->op);
  if (const auto* u = e.as<UnaryNode>()) return 50 + static_cast<int>(u->op);
  return e.as<SelectNode>() != nullptr ? 2 : 0;
}

/// Never freed: expressions must not outlive the thread-local state that frees them.
const std::map<int, std::vector<CompiledRule>>& compiled_rules() {
  static const auto* table = [] {
    auto* out = new std::map<int, std::vector<CompiledRule>>;
    for (const Rule& rule : rules()) {
      CompiledRule compiled = compile(rule);
      (*out)[head(compiled.pattern)].push_back(std::move(compiled));
    }
    return out;
  }();
  return *table;
}

/// Whether the rules of the index domain may look into `e`.
bool is_index_arithmetic(const Expr& e, Knowledge* knowledge) {
  const auto* b = e.as<BinaryNode>();
  if (b == nullptr) return e->dtype == kInt64 && knowledge->is_exact(e);
  if (b->a->dtype != kInt64) return false;
  if (is_sum_op(b->op)) return knowledge->is_exact(e);
  return knowledge->is_exact(b->a) && knowledge->is_exact(b->b);
}

bool domain_fits(Domain domain, const Expr& e, Knowledge* knowledge) {
  const auto* b = e.as<BinaryNode>();
  const auto* s = e.as<SelectNode>();
  const DType operand = b != nullptr ? b->a->dtype : s != nullptr ? s->true_value->dtype : e->dtype;
  switch (domain) {
    case Domain::kIndex:
      return is_index_arithmetic(e, knowledge);
    case Domain::kWrap:
      return operand.is_int() || operand.is_bool();
    case Domain::kBool:
      return operand.is_bool();
    case Domain::kFloat:
      return operand.is_float() || operand.is_bool();
  }
  return false;
}

}  // namespace

bool apply_rules(const Expr& e, Knowledge* knowledge,
                 const std::function<bool(const Rewrite&)>& accept) {
  const auto found = compiled_rules().find(head(e));
  if (found == compiled_rules().end()) return false;
  for (const CompiledRule& rule : found->second) {
    if (domain_fits(rule.rule->domain, e, knowledge) && Match(rule, knowledge).run(e, accept))
      return true;
  }
  return false;
}

}  // namespace tenon::arith
