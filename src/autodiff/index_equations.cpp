#include "autodiff/index_equations.h"

#include <algorithm>
#include <numeric>
#include <unordered_set>

#include "te/checks.h"
#include "tenon/ir/analyzer.h"
#include "tenon/ir/builder.h"

namespace tenon::autodiff {
namespace {

/// sum(coefficient * variable) + rest = target, a target in [min, min + extent).
struct Equation {
  Expr lhs;
  Expr target;  ///< over p
  Range range;
};

struct VariableTerm {
  Expr var;
  std::int64_t coefficient;
};

/// The left side taken apart.
struct Form {
  std::vector<VariableTerm> terms;  ///< over unsolved variables
  Expr rest;                        ///< over solved axes and symbols
  bool is_affine = true;
};

/// Whether `e` is more than constants and symbols.
bool depends_on_variables(const Expr& e) {
  return uses_var(e, [](const VarNode& v) { return v.symbol == nullptr; });
}

std::int64_t inverse_modulo(std::int64_t a, std::int64_t modulus) {
  a = ((a % modulus) + modulus) % modulus;
  for (std::int64_t x = 1; x < modulus; ++x) {
    if (a * x % modulus == 1) return x;
  }
  return 0;
}

class Solver {
 public:
  explicit Solver(const IndexProblem& problem) : problem_(problem) {
    bind_symbols();
    for (const IterVar& step : te::steps_in_scope()) {
      if (step.domain.extent) analyzer_.bind_kept(step.var, step.domain);
    }
    for (std::size_t d = 0; d < problem.position.size(); ++d)
      analyzer_.bind_kept(problem.position[d], {imm(0), problem.shape[d]});
    for (const IterVar& v : problem.domain) {
      analyzer_.bind_kept(v.var, v.domain);
      unsolved_.push_back(v);
    }
    for (std::size_t d = 0; d < problem.indices.size(); ++d)
      equations_.push_back({problem.indices[d], problem.position[d], {imm(0), problem.shape[d]}});
  }

  IndexSolution solve() {
    split_quotients();
    while (!equations_.empty()) step();
    order_axes();
    place_free_variables();
    place_conditions();
    return std::move(out_);
  }

 private:
  void bind_symbols() {
    std::unordered_set<const ExprNode*> seen;
    const auto collect = [&](const Expr& e) {
      if (!e) return;
      post_order_visit(e, [&](const Node& n) {
        if (n.kind != NodeKind::kVar) return;
        const auto& v = static_cast<const VarNode&>(n);
        if (v.symbol == nullptr || !seen.insert(&v).second) return;
        analyzer_.bind(Symbol{Expr(&v), v.symbol->min, v.symbol->max, v.symbol->multiple_of});
      });
    };
    for (const Expr& e : problem_.shape) collect(e);
    for (const Expr& e : problem_.indices) collect(e);
    for (const Expr& e : problem_.conditions) collect(e);
    for (const IterVar& v : problem_.domain) {
      collect(v.domain.min);
      collect(v.domain.extent);
    }
  }

  bool is_unsolved(const ExprNode* v) const {
    return std::any_of(unsolved_.begin(), unsolved_.end(),
                       [&](const IterVar& u) { return u.var.get() == v; });
  }
  bool uses_unsolved(const Expr& e) const {
    return uses_var(e, [&](const VarNode& v) { return is_unsolved(&v); });
  }
  IterVar take(const Expr& v) {
    const auto at = std::find_if(unsolved_.begin(), unsolved_.end(),
                                 [&](const IterVar& u) { return u.var.same_as(v); });
    IterVar found = *at;
    unsolved_.erase(at);
    return found;
  }

  Form form_of(const Expr& lhs) {
    Form out;
    const AffineForm affine = analyzer_.affine(lhs);
    out.rest = imm(affine.constant);
    for (const AffineTerm& t : affine.terms) {
      if (is_unsolved(t.atom.get())) {
        out.terms.push_back({t.atom, t.coefficient});
      } else if (uses_unsolved(t.atom)) {
        out.is_affine = false;
      } else {
        out.rest = out.rest + t.atom * t.coefficient;
      }
    }
    return out;
  }

  /// Whether the domain of an unsolved variable depends on others.
  bool has_moving_domain(const Expr& v) const {
    const auto at = std::find_if(unsolved_.begin(), unsolved_.end(),
                                 [&](const IterVar& u) { return u.var.same_as(v); });
    return depends_on_variables(at->domain.min) || depends_on_variables(at->domain.extent);
  }

  /// The variable of the problem that `v` is, or takes the place of; null for part of one.
  Expr origin_of(const Expr& v) const {
    for (const IterVar& u : problem_.domain) {
      if (u.var.same_as(v)) return v;
    }
    const auto found = origins_.find(v.get());
    return found == origins_.end() ? nullptr : found->second;
  }

  /// `v` is `solved` from now on.
  void define(const Expr& v, const Expr& solved) {
    const Expr value = analyzer_.simplify(solved);
    const VarMap map{{v.get(), value}};
    for (auto& [var, e] : out_.values) e = substitute(e, map);
    out_.values[v.get()] = value;
    for (Equation& e : equations_) e.lhs = substitute(e.lhs, map);
    for (IterVar& u : unsolved_) {
      u.domain = {substitute(u.domain.min, map), substitute(u.domain.extent, map)};
    }
    for (Expr& c : bounds_) c = substitute(c, map);
  }

  /// The domain of a variable that is no axis of its own becomes a condition.
  void keep_bounds(const IterVar& v, const Expr& value) {
    bounds_.push_back(ge(value, v.domain.min));
    bounds_.push_back(lt(value, v.domain.min + v.domain.extent));
  }

  // --- v // c and v % c -----------------------------------------------------------------------

  /// Replaces variables under // c and % c by c * quotient + remainder until none is left.
  void split_quotients() {
    constexpr int kMaxSplits = 16;
    for (int i = 0; i < kMaxSplits && split_one_quotient(); ++i) {
    }
  }

  bool split_one_quotient() {
    for (Equation& e : equations_) {
      e.lhs = analyzer_.simplify(e.lhs);
      const BinaryNode* found = nullptr;
      post_order_visit(e.lhs, [&](const Node& n) {
        if (n.kind != NodeKind::kBinary || found != nullptr) return;
        const auto& b = static_cast<const BinaryNode&>(n);
        const bool divides = b.op == BinaryOp::kFloorDiv || b.op == BinaryOp::kFloorMod;
        if (divides && as_int(b.b).value_or(0) > 1 && uses_unsolved(b.a)) found = &b;
      });
      if (found != nullptr && split_variable_of(found->a, *as_int(found->b))) return true;
    }
    return false;
  }

  /// Splits a variable with coefficient one in `numerator`.
  bool split_variable_of(const Expr& numerator, std::int64_t divisor) {
    const Form form = form_of(numerator);
    const ConstRange span = analyzer_.const_bounds(numerator);
    if (!form.is_affine || !span.lower || !span.upper) return false;
    const auto unit = std::find_if(form.terms.rbegin(), form.terms.rend(),
                                   [](const VariableTerm& t) { return t.coefficient == 1; });
    if (unit == form.terms.rend()) return false;
    const std::int64_t low = *floor_of(*span.lower, divisor);
    const std::int64_t high = *floor_of(*span.upper, divisor);
    const Expr v = unit->var;
    const std::string& name = v.as<VarNode>()->name;
    const auto at = std::find_if(unsolved_.begin(), unsolved_.end(),
                                 [&](const IterVar& u) { return u.var.same_as(v); });
    IterVar old = *at;
    const IterVar quotient{var(name + "o"), {imm(low), imm(high - low + 1)}, old.kind};
    const IterVar remainder{var(name + "i"), {imm(0), imm(divisor)}, old.kind};
    analyzer_.bind_kept(quotient.var, quotient.domain);
    analyzer_.bind_kept(remainder.var, remainder.domain);
    const Expr others = analyzer_.simplify(numerator - v);
    const Expr value = quotient.var * divisor + remainder.var - others;
    *at = quotient;
    unsolved_.insert(std::find_if(unsolved_.begin(), unsolved_.end(),
                                  [&](const IterVar& u) { return u.var.same_as(quotient.var); }) +
                         1,
                     remainder);
    keep_bounds(old, value);
    define(v, value);
    return true;
  }

  static std::optional<std::int64_t> floor_of(std::int64_t a, std::int64_t b) {
    return as_int(floordiv(imm(a), imm(b)));
  }

  // --- one equation ---------------------------------------------------------------------------

  /// Solves the equation that is easiest now.
  void step() {
    std::size_t best = 0;
    int best_rank = 100;
    for (std::size_t i = 0; i < equations_.size(); ++i) {
      const int rank = rank_of(form_of(equations_[i].lhs));
      if (rank >= best_rank) continue;
      best = i;
      best_rank = rank;
    }
    const Equation equation = equations_[best];
    equations_.erase(equations_.begin() + static_cast<std::ptrdiff_t>(best));
    const Form form = form_of(equation.lhs);
    if (!form.is_affine) return keep_equation(equation);
    if (form.terms.empty()) {
      out_.outside.push_back(eq(at_position(form.rest), equation.target));
    } else if (form.terms.size() == 1) {
      solve_single(equation, form);
    } else if (const auto shared = common_factor(form); shared > 1) {
      divide(equation, form, shared);
    } else if (!solve_mixed_radix(equation, form)) {
      solve_window(equation, form);
    }
  }

  int rank_of(const Form& form) {
    if (!form.is_affine) return 5;
    if (form.terms.empty()) return 0;
    if (form.terms.size() == 1) return std::abs(form.terms[0].coefficient) == 1 ? 1 : 2;
    return separable(form) ? 3 : 4;
  }

  static std::int64_t common_factor(const Form& form) {
    std::int64_t g = 0;
    for (const VariableTerm& t : form.terms) g = std::gcd(g, t.coefficient);
    return g;
  }

  /// An expression over solved axes as one over p.
  Expr at_position(const Expr& e) const {
    VarMap map;
    for (const SolvedAxis& a : out_.axes) map[a.axis.var.get()] = a.position;
    return substitute(e, map);
  }

  bool is_position(const Expr& e) const {
    return std::any_of(problem_.position.begin(), problem_.position.end(),
                       [&](const Expr& p) { return p.same_as(e); });
  }

  /// coefficient * v + rest = target: v is an axis of its own.
  void solve_single(const Equation& equation, const Form& form) {
    const auto [v, coefficient] = form.terms[0];
    const Expr rest = at_position(form.rest);
    Expr scaled = coefficient > 0 ? equation.target - rest : rest - equation.target;
    if (is_int(rest, 0) && coefficient > 0) scaled = equation.target;
    const std::int64_t step = std::abs(coefficient);
    const Expr position = step == 1 ? scaled : floordiv(scaled, imm(step));
    IterVar axis = take(v);
    if (depends_on_variables(axis.domain.min) || depends_on_variables(axis.domain.extent)) {
      if (step != 1) {  // no bounds of its own are at hand
        unsolved_.push_back(axis);
        return keep_equation(equation);
      }
      // The target's range bounds the axis; its own domain is a condition on the others.
      keep_bounds(axis, axis.var);
      if (is_int(form.rest, 0) && coefficient > 0) {
        axis.domain = equation.range;
      } else {
        const Expr fresh = var(v.as<VarNode>()->name);
        analyzer_.bind_kept(fresh, equation.range);
        const Expr value = coefficient > 0 ? fresh - form.rest : form.rest - fresh;
        out_.axes.push_back(
            {{fresh, equation.range, IterKind::kSpatial}, equation.target, origin_of(v)});
        define(v, value);
        return;
      }
      analyzer_.bind_kept(axis.var, axis.domain);
    } else {
      out_.outside.push_back(ge(position, axis.domain.min));
      out_.outside.push_back(lt(position, axis.domain.min + axis.domain.extent));
    }
    if (step != 1) out_.outside.push_back(eq(floormod(scaled, imm(step)), imm(0)));
    out_.axes.push_back({axis, position, origin_of(v)});
  }

  /// All coefficients share a factor: so does the target.
  void divide(const Equation& equation, const Form& form, std::int64_t factor) {
    if (depends_on_variables(form.rest)) return keep_equation(equation);
    const Expr scaled = equation.target - at_position(form.rest);
    out_.outside.push_back(eq(floormod(scaled, imm(factor)), imm(0)));
    const Expr rest = form.rest;
    Expr lhs = imm(0);
    for (const VariableTerm& t : form.terms) lhs = lhs + t.var * (t.coefficient / factor);
    const Expr low = equation.range.min - rest;
    const Expr high = equation.range.min + equation.range.extent - 1 - rest;
    const Expr first = analyzer_.simplify(-floordiv(-low, imm(factor)));
    const Expr last = analyzer_.simplify(floordiv(high, imm(factor)));
    equations_.push_back(
        {lhs, floordiv(scaled, imm(factor)), {first, analyzer_.simplify(last - first + 1)}});
  }

  /// The variable with the largest coefficient, when the others together stay below it.
  const VariableTerm* separable(const Form& form) {
    const auto top = std::max_element(form.terms.begin(), form.terms.end(),
                                      [](const VariableTerm& a, const VariableTerm& b) {
                                        return std::abs(a.coefficient) < std::abs(b.coefficient);
                                      });
    const ConstRange span = analyzer_.const_bounds(sum_without(form, top->var));
    const bool fits =
        span.lower && span.upper && *span.upper - *span.lower < std::abs(top->coefficient);
    return fits ? &*top : nullptr;
  }

  static Expr sum_without(const Form& form, const Expr& v) {
    Expr sum = imm(0);
    for (const VariableTerm& t : form.terms) {
      if (!t.var.same_as(v)) sum = sum + t.var * t.coefficient;
    }
    return sum;
  }

  /// c * v + others with others in [low, low + c): two equations, by quotient and remainder. The
  /// range of the first is the domain of v, which has to be known.
  bool solve_mixed_radix(const Equation& equation, const Form& form) {
    const VariableTerm* top = separable(form);
    if (top == nullptr || has_moving_domain(top->var)) return false;
    const Expr others = sum_without(form, top->var);
    const ConstRange span = analyzer_.const_bounds(others);
    const Expr scaled = equation.target - at_position(form.rest) - *span.lower;
    const std::int64_t c = std::abs(top->coefficient);
    const Expr v = top->coefficient > 0 ? top->var : -top->var;
    const IterVar& domain =
        *std::find_if(unsolved_.begin(), unsolved_.end(),
                      [&](const IterVar& u) { return u.var.same_as(top->var); });
    const Expr extent = domain.domain.extent;
    const Expr first =
        top->coefficient > 0 ? domain.domain.min : imm(1) - domain.domain.min - extent;
    equations_.push_back({v, floordiv(scaled, imm(c)), {first, extent}});
    // Not every remainder is reached. A single variable with a domain of its own says so itself.
    const auto is_moving = [&](const VariableTerm& t) {
      return !t.var.same_as(top->var) && has_moving_domain(t.var);
    };
    const bool is_known =
        form.terms.size() == 2 && std::none_of(form.terms.begin(), form.terms.end(), is_moving);
    const std::int64_t reached = *span.upper - *span.lower + 1;
    if (!is_known && reached < c)
      out_.outside.push_back(lt(floormod(scaled, imm(c)), imm(reached)));
    equations_.push_back({others,
                          floormod(scaled, imm(c)) + *span.lower,
                          {imm(*span.lower), imm(*span.upper - *span.lower + 1)}});
    return true;
  }

  // --- windows --------------------------------------------------------------------------------

  std::int64_t size_of(const Expr& v) {
    const auto at = std::find_if(unsolved_.begin(), unsolved_.end(),
                                 [&](const IterVar& u) { return u.var.same_as(v); });
    const std::int64_t extent = as_int(at->domain.extent).value_or(std::int64_t{1} << 40);
    return 2 * extent + (at->kind == IterKind::kSpatial ? 1 : 0);
  }

  /// Several variables reach one element: all but one of them are summed over.
  void solve_window(const Equation& equation, const Form& form) {
    const VariableTerm* largest = nullptr;
    for (const VariableTerm& t : form.terms) {
      if (largest == nullptr || size_of(t.var) > size_of(largest->var)) largest = &t;
    }
    if (std::abs(largest->coefficient) == 1) return solve_for(equation, form, *largest);
    if (solve_by_residue(equation, form, *largest)) return;
    const VariableTerm* unit = nullptr;
    for (const VariableTerm& t : form.terms) {
      if (std::abs(t.coefficient) != 1) continue;
      if (unit == nullptr || size_of(t.var) > size_of(unit->var)) unit = &t;
    }
    if (unit != nullptr) return solve_for(equation, form, *unit);
    keep_equation(equation);
  }

  /// A new axis that runs over the target; p itself where the target is p.
  Expr target_axis(const Equation& equation, const std::string& name, const Expr& origin) {
    const Expr axis = var(name);
    analyzer_.bind_kept(axis, equation.range);
    out_.axes.push_back({{axis, equation.range, IterKind::kSpatial}, equation.target, origin});
    return axis;
  }

  /// v = +-(target - others).
  void solve_for(const Equation& equation, const Form& form, const VariableTerm& term) {
    const Expr axis = target_axis(equation, term.var.as<VarNode>()->name, origin_of(term.var));
    const Expr others = sum_without(form, term.var) + form.rest;
    const Expr value = term.coefficient > 0 ? axis - others : others - axis;
    const IterVar v = take(term.var);
    keep_bounds(v, value);
    define(v.var, value);
  }

  /// s * v + a * u + (multiples of s) = target: u = s * u' + r, where the target decides the
  /// residue r, and v = q - (a / s) * s * u' ..., with q = (target - a * r) / s.
  bool solve_by_residue(const Equation& equation, const Form& form, const VariableTerm& top) {
    const std::int64_t s = std::abs(top.coefficient);
    const std::int64_t sign = top.coefficient > 0 ? 1 : -1;
    const VariableTerm* other = nullptr;
    for (const VariableTerm& t : form.terms) {
      if (t.coefficient % s == 0) continue;
      if (other != nullptr || std::gcd(t.coefficient, s) != 1) return false;
      other = &t;
    }
    const auto& range = equation.range;
    const auto u_at = std::find_if(unsolved_.begin(), unsolved_.end(), [&](const IterVar& u) {
      return other != nullptr && u.var.same_as(other->var);
    });
    if (other == nullptr || depends_on_variables(form.rest) ||
        depends_on_variables(u_at->domain.min) || depends_on_variables(u_at->domain.extent) ||
        s > 64) {
      return false;
    }
    const std::int64_t a = sign * other->coefficient;
    const Expr rest = form.rest;
    // P = +-(target - rest) in [low, high].
    const Expr scaled = sign > 0 ? equation.target - rest : rest - equation.target;
    const Expr last = range.min + range.extent - 1;
    const Expr low = sign > 0 ? range.min - rest : rest - last;
    const Expr high = sign > 0 ? last - rest : rest - range.min;
    const std::string name = top.var.as<VarNode>()->name;
    const Expr residue = var(other->var.as<VarNode>()->name);
    const Range residues{imm(0), imm(s)};
    analyzer_.bind_kept(residue, residues);
    const Expr residue_position = floormod(scaled * inverse_modulo(a, s), imm(s));
    const Expr quotient_position =
        a == 1 ? floordiv(scaled, imm(s)) : floordiv(scaled - residue_position * a, imm(s));
    const std::int64_t reach = a * (s - 1);
    const Expr least =
        analyzer_.simplify(floordiv(low - std::max<std::int64_t>(reach, 0) + (s - 1), imm(s)));
    const Expr most = analyzer_.simplify(floordiv(high - std::min<std::int64_t>(reach, 0), imm(s)));
    const Range quotients{least, analyzer_.simplify(most - least + 1)};
    const Expr quotient = var(name);
    analyzer_.bind_kept(quotient, quotients);
    out_.axes.push_back(
        {{quotient, quotients, IterKind::kSpatial}, quotient_position, origin_of(top.var)});
    out_.axes.push_back({{residue, residues, IterKind::kSpatial}, residue_position, nullptr});
    const Expr reached = quotient * s + residue * a;
    reachable_.push_back(ge(reached, low));
    reachable_.push_back(le(reached, high));

    // u' runs over what is left of u for each residue.
    IterVar u = *u_at;
    const Expr up = u.domain.min - residue + (s - 1);
    const Expr first = analyzer_.simplify(floordiv(up, imm(s)));
    const Expr end = analyzer_.simplify(floordiv(up + u.domain.extent, imm(s)));
    const IterVar fewer{
        var(other->var.as<VarNode>()->name), {first, analyzer_.simplify(end - first)}, u.kind};
    analyzer_.bind_kept(fewer.var, fewer.domain);
    origins_[fewer.var.get()] = origin_of(u.var);
    *u_at = fewer;
    const IterVar v = take(top.var);
    Expr value = quotient - fewer.var * a;
    for (const VariableTerm& t : form.terms) {
      if (!t.var.same_as(top.var) && !t.var.same_as(u.var))
        value = value - t.var * (sign * t.coefficient / s);
    }
    keep_bounds(v, value);
    define(u.var, fewer.var * s + residue);
    define(v.var, value);
    return true;
  }

  /// Not solved: the terms of every iteration are looked at.
  void keep_equation(const Equation& equation) {
    const Expr axis = target_axis(equation, "p", nullptr);
    bounds_.push_back(eq(equation.lhs, axis));
  }

  // --- what is left ---------------------------------------------------------------------------

  /// Axes in the order of the dimensions of p that they come from.
  void order_axes() {
    const auto first_dimension = [&](const SolvedAxis& a) {
      for (std::size_t d = 0; d < problem_.position.size(); ++d) {
        const auto* p = problem_.position[d].get();
        if (uses_var(a.position, [&](const VarNode& v) { return &v == p; })) return d;
      }
      return problem_.position.size();
    };
    std::stable_sort(out_.axes.begin(), out_.axes.end(),
                     [&](const SolvedAxis& a, const SolvedAxis& b) {
                       return first_dimension(a) < first_dimension(b);
                     });
  }

  /// Reduction axes of the read stay innermost but one: first what was reduced over, then what was
  /// spatial, so that a contraction's terms run along memory.
  void place_free_variables() {
    std::vector<IterVar> waiting;
    for (const bool reductions : {true, false}) {
      for (const IterVar& v : unsolved_) {
        if ((v.kind == IterKind::kReduction) == reductions) waiting.push_back(v);
      }
    }
    const auto is_known = [&](const Expr& e) {
      return !uses_var(e, [&](const VarNode& v) {
        return std::any_of(waiting.begin(), waiting.end(),
                           [&](const IterVar& u) { return u.var.get() == &v; });
      });
    };
    while (!waiting.empty()) {
      auto next = std::find_if(waiting.begin(), waiting.end(), [&](const IterVar& v) {
        return is_known(v.domain.min) && is_known(v.domain.extent);
      });
      if (next == waiting.end()) {  // in a circle: constant bounds, and the domain as a condition
        next = waiting.begin();
        keep_bounds(*next, next->var);
        const ConstRange low = analyzer_.const_bounds(next->domain.min);
        const ConstRange high = analyzer_.const_bounds(next->domain.min + next->domain.extent);
        TENON_CHECK(low.lower && high.upper, "a reduction axis without bounds");
        next->domain = {imm(*low.lower), imm(*high.upper - *low.lower)};
      }
      IterVar axis = *next;
      waiting.erase(next);
      axis.kind = IterKind::kReduction;
      axis.domain = {analyzer_.simplify(axis.domain.min), analyzer_.simplify(axis.domain.extent)};
      out_.free.push_back(axis);
      out_.free_origins.push_back(origin_of(axis.var));
    }
  }

  /// A bound that changes with a reduction axis of its own narrows that axis; true when it did.
  bool narrow(const Expr& condition) {
    const auto* c = condition.as<BinaryNode>();
    if (c == nullptr || (c->op != BinaryOp::kGe && c->op != BinaryOp::kLt &&
                         c->op != BinaryOp::kLe && c->op != BinaryOp::kGt))
      return false;
    // difference >= 0
    Expr difference = c->op == BinaryOp::kGe   ? c->a - c->b
                      : c->op == BinaryOp::kGt ? c->a - c->b - 1
                      : c->op == BinaryOp::kLe ? c->b - c->a
                                               : c->b - c->a - 1;
    const AffineForm form = analyzer_.affine(difference);
    for (std::size_t i = out_.free.size(); i-- > 0;) {
      IterVar& axis = out_.free[i];
      const std::int64_t coefficient = form.coefficient_of(axis.var);
      if (std::abs(coefficient) != 1) continue;
      const Expr rest = analyzer_.simplify(
          coefficient > 0 ? axis.var - difference : difference + axis.var);  // the axis' bound
      const bool is_later = uses_var(rest, [&](const VarNode& v) {
        for (std::size_t j = i; j < out_.free.size(); ++j) {
          if (out_.free[j].var.get() == &v) return true;
        }
        return false;
      });
      if (is_later) continue;
      const Expr end = axis.domain.min + axis.domain.extent;
      Expr first = axis.domain.min, last = end;
      if (coefficient > 0) {
        first = analyzer_.simplify(max(first, rest));
      } else {
        last = analyzer_.simplify(min(last, rest + 1));
      }
      axis.domain = {first, analyzer_.simplify(last - first)};
      return true;
    }
    return false;
  }

  void place_conditions() {
    // Ranges as they are now.
    for (const SolvedAxis& a : out_.axes) analyzer_.bind_kept(a.axis.var, a.axis.domain);
    for (const IterVar& v : out_.free) analyzer_.bind_kept(v.var, v.domain);
    for (Expr bound : bounds_) {
      bound = substitute(bound, out_.values);
      const Expr simple = analyzer_.simplify(bound);
      if (is_int(simple, 1)) continue;
      const bool moving = has_moving_bound(bound);
      if (!(moving && narrow(bound))) out_.where.push_back(simple);
    }
    for (const IterVar& v : out_.free) analyzer_.bind_kept(v.var, v.domain);
    for (const Expr& c : problem_.conditions) {
      const Expr here = substitute(c, out_.values);
      const Expr simple = analyzer_.simplify(here);
      if (is_int(simple, 1)) continue;
      if (holds_where_read(here) && reads_stay_inside()) continue;
      out_.where.push_back(simple);
    }
    for (SolvedAxis& a : out_.axes) a.position = analyzer_.simplify(a.position);
    std::vector<Expr> kept;
    for (const Expr& c : out_.outside) {
      const Expr simple = analyzer_.simplify(c);
      if (!is_int(simple, 1)) kept.push_back(simple);
    }
    out_.outside = std::move(kept);
  }

  /// Whether a side of the comparison is a bound that is no constant: one that came from a domain
  /// over other variables.
  bool has_moving_bound(const Expr& condition) const {
    const auto* c = condition.as<BinaryNode>();
    return c != nullptr && depends_on_variables(c->b);
  }

  /// Whether a condition holds for everything that the result is read for.
  bool holds_where_read(const Expr& condition) {
    if (reachable_.empty()) return false;
    Analyzer::Scope scope(&analyzer_);
    for (const Expr& c : reachable_) analyzer_.assume(c);
    return analyzer_.can_prove(condition);
  }

  /// Whether the term and its conditions read in bounds also where they are computed for nobody.
  bool reads_stay_inside() {
    Analyzer::Scope scope(&analyzer_);
    for (const Expr& c : out_.where) analyzer_.assume(c);
    bool inside = true;
    const auto look_at = [&](const Expr& e) {
      post_order_visit(substitute(e, out_.values), [&](const Node& n) {
        if (n.kind != NodeKind::kLoad || !inside) return;
        const auto& l = static_cast<const LoadNode&>(n);
        for (std::size_t d = 0; d < l.indices.size() && inside; ++d) {
          inside = analyzer_.can_prove(ge(l.indices[d], imm(0))) &&
                   analyzer_.can_prove(lt(l.indices[d], l.buffer->shape[d]));
        }
      });
    };
    look_at(problem_.term);
    for (const Expr& c : problem_.conditions) look_at(c);
    return inside;
  }

  const IndexProblem& problem_;
  Analyzer analyzer_;
  VarMap origins_;  ///< of new variables
  std::vector<IterVar> unsolved_;
  std::vector<Equation> equations_;
  std::vector<Expr> bounds_;     ///< domains of solved variables, over axes and unsolved ones
  std::vector<Expr> reachable_;  ///< over axes: what some p leads to
  IndexSolution out_;
};

}  // namespace

IndexSolution solve(const IndexProblem& problem) { return Solver(problem).solve(); }

std::vector<Expr> conjuncts(const Expr& condition) {
  std::vector<Expr> out;
  if (!condition) return out;
  std::vector<Expr> stack{condition};
  while (!stack.empty()) {
    const Expr e = stack.back();
    stack.pop_back();
    if (const auto* b = e.as<BinaryNode>(); b != nullptr && b->op == BinaryOp::kAnd) {
      stack.push_back(b->b);
      stack.push_back(b->a);
    } else {
      out.push_back(e);
    }
  }
  return out;
}

Expr all_of(const std::vector<Expr>& conditions) {
  Expr out;
  for (const Expr& c : conditions) out = and_predicate(out, c);
  return out;
}

}  // namespace tenon::autodiff
