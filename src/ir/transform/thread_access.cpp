#include "ir/transform/thread_access.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "ir/transform/conditions.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/structural.h"

namespace tenon {

/// earlier + [0, extent of the earlier region) == later + [0, extent of the later one).
struct ThreadRelation::Equation {
  Expr earlier, later;
  std::int64_t earlier_extent = 1, later_extent = 1;
};

/// What is known to be equal in both accesses.
struct ThreadRelation::Unknowns {
  struct Pair {
    Expr earlier, later;
  };
  std::vector<Pair> equal;
  bool impossible = false;  ///< no element is in both

  bool is_equal(const Expr& later) const {
    return std::any_of(equal.begin(), equal.end(),
                       [&](const Pair& p) { return structural_equal(p.later, later); });
  }
};

namespace {

/// coefficient * (an integer in [low, high]).
struct Unknown {
  std::int64_t coefficient = 1;
  std::int64_t low = 0, high = 0;
  Expr earlier, later;  ///< set when it is the difference of one atom at two times
};

/// Of a sum of unknowns. An unbounded one is as large as kHuge, which no coefficient reaches.
struct Bounds {
  double low = 0, high = 0;
  void add(const Unknown& u) {
    const double a = static_cast<double>(u.coefficient) * static_cast<double>(u.low);
    const double b = static_cast<double>(u.coefficient) * static_cast<double>(u.high);
    low += std::min(a, b);
    high += std::max(a, b);
  }
};

constexpr std::int64_t kHuge = std::int64_t{1} << 48;

/// From the largest coefficient down: where all the rest is smaller than the coefficient, its
/// unknowns sum to zero. Calls `zero(unknown)` for each that stands alone; false when no solution
/// exists.
template <typename F>
bool eliminate(std::vector<Unknown> unknowns, std::int64_t constant, const F& zero) {
  const auto size = [](const Unknown& u) { return std::abs(u.coefficient); };
  std::sort(unknowns.begin(), unknowns.end(),
            [&](const Unknown& a, const Unknown& b) { return size(a) > size(b); });
  for (std::size_t i = 0; i < unknowns.size();) {
    std::size_t end = i;
    while (end < unknowns.size() && size(unknowns[end]) == size(unknowns[i])) ++end;
    Bounds rest{static_cast<double>(constant), static_cast<double>(constant)};
    for (std::size_t k = end; k < unknowns.size(); ++k) rest.add(unknowns[k]);
    Bounds all = rest;
    for (std::size_t k = i; k < end; ++k) all.add(unknowns[k]);
    if (all.low > 0 || all.high < 0) return false;
    std::int64_t divisor = 0;
    for (std::size_t k = i; k < unknowns.size(); ++k)
      divisor = std::gcd(divisor, unknowns[k].coefficient);
    if (constant % divisor != 0) return false;
    if (std::max(std::abs(rest.low), std::abs(rest.high)) >= static_cast<double>(size(unknowns[i])))
      return true;
    if (end == i + 1) zero(unknowns[i]);
    i = end;
  }
  return constant == 0;
}

}  // namespace

void ThreadRelation::bind_coordinate(ThreadAxis axis, const Expr& coordinate, std::int64_t extent) {
  coordinates_[static_cast<std::size_t>(dimension_of(axis))] = {coordinate, extent};
  dependent_.insert(coordinate.get());
  analyzer_.bind_kept(coordinate, {imm(0), imm(extent)});
}

void ThreadRelation::bind_loop(const Expr& variable, const Range& range) {
  Range& known = ranges_[variable.get()];
  if (known.min.same_as(range.min) && known.extent.same_as(range.extent)) return;
  known = range;
  analyzer_.bind_kept(variable, range);
  if (is_uniform(range.min) && is_uniform(range.extent)) {
    dependent_.erase(variable.get());
  } else {
    dependent_.insert(variable.get());
  }
}

bool ThreadRelation::is_known(const Expr& e) const {
  return !reads_memory(e) && !uses_var(e, [&](const VarNode& v) { return data_.count(&v) != 0; });
}

bool ThreadRelation::is_uniform(const Expr& e) const {
  return is_known(e) && !uses_var(e, [&](const VarNode& v) { return dependent_.count(&v) != 0; });
}

Expr ThreadRelation::at_first_time(const Expr& e) {
  Expr out = substitute(e, originals_);
  return out.same_as(e) ? out : analyzer_.simplify(out);  // the order of terms goes by variables
}

/// Whether the atom may have another value at the other time or in another thread.
bool ThreadRelation::varies(const Expr& atom) const {
  return uses_var(atom, [&](const VarNode& v) {
    return dependent_.count(&v) != 0 || originals_.count(&v) != 0;
  });
}

Expr ThreadRelation::renamed(const Expr& variable) {
  const Expr fresh = var(variable.as<VarNode>()->name);
  const auto original = originals_.find(variable.get());
  originals_[fresh.get()] = original == originals_.end() ? variable : original->second;
  if (const auto range = ranges_.find(variable.get()); range != ranges_.end()) {
    const Range known = range->second;  // binding may move the table
    bind_loop(fresh, known);
  }
  if (dependent_.count(variable.get()) != 0) dependent_.insert(fresh.get());
  return fresh;
}

ThreadAccess ThreadRelation::at_another_time(const ThreadAccess& access,
                                             const std::vector<Expr>& variables) {
  VarMap map;
  // Also what another iteration of such a loop has touched.
  for (const Range& r : access.region) {
    post_order_visit(r.min, [&](const Node& n) {
      if (n.kind != NodeKind::kVar || map.count(static_cast<const VarNode*>(&n)) != 0) return;
      const Expr v(static_cast<const VarNode*>(&n));
      const auto original = originals_.find(v.get());
      const Expr& loop = original == originals_.end() ? v : original->second;
      if (std::any_of(variables.begin(), variables.end(),
                      [&](const Expr& x) { return x.same_as(loop); }))
        map[v.get()] = nullptr;
    });
  }
  if (map.empty()) return access;
  for (auto& [v, fresh] : map) fresh = renamed(Expr(v));
  ThreadAccess out = access;
  for (Range& r : out.region) r.min = substitute(r.min, map);
  return out;
}

ThreadAccess ThreadRelation::in_another_iteration(const ThreadAccess& access,
                                                  const Expr& variable) {
  const bool used = std::any_of(access.region.begin(), access.region.end(),
                                [&](const Range& r) { return uses(r.min, variable); });
  if (!used) return access;
  const VarMap map = {{variable.get(), renamed(variable)}};
  other_iterations_[map.at(variable.get()).get()] = variable;
  ThreadAccess out = access;
  for (Range& r : out.region) r.min = substitute(r.min, map);
  return out;
}

/// Learns from one equation; false when it tells nothing new.
bool ThreadRelation::solve(const Equation& equation, Unknowns* unknowns) {
  AffineForm earlier = analyzer_.affine(analyzer_.simplify(equation.earlier));
  AffineForm later = analyzer_.affine(analyzer_.simplify(equation.later));
  std::vector<Unknown> terms;
  const auto bounded = [&](const Expr& atom, std::int64_t coefficient) {
    const ConstRange known = analyzer_.const_bounds(atom);
    return Unknown{coefficient, std::max(known.lower.value_or(-kHuge), -kHuge),
                   std::min(known.upper.value_or(kHuge), kHuge), nullptr, nullptr};
  };
  for (const AffineTerm& t : earlier.terms) {
    const Expr first = at_first_time(t.atom);
    const auto twin =
        std::find_if(later.terms.begin(), later.terms.end(), [&](const AffineTerm& o) {
          return o.coefficient == t.coefficient && structural_equal(at_first_time(o.atom), first);
        });
    Unknown u = bounded(t.atom, t.coefficient);
    if (twin != later.terms.end()) {
      const Expr other = twin->atom;
      later.terms.erase(twin);
      const bool same = structural_equal(t.atom, other) && !varies(t.atom);
      if (same || unknowns->is_equal(other)) continue;
      const Unknown o = bounded(other, t.coefficient);
      const std::int64_t low = u.low - o.high, high = u.high - o.low;
      u = {t.coefficient, low, high, t.atom, other};
    }
    terms.push_back(u);
  }
  for (const AffineTerm& t : later.terms) terms.push_back(bounded(t.atom, -t.coefficient));
  if (equation.earlier_extent > 1 || equation.later_extent > 1)
    terms.push_back(
        {1, -(equation.later_extent - 1), equation.earlier_extent - 1, nullptr, nullptr});
  bool learned = false;
  const bool possible =
      eliminate(std::move(terms), earlier.constant - later.constant, [&](const Unknown& u) {
        if (!u.later) return;
        unknowns->equal.push_back({u.earlier, u.later});
        learned = true;
      });
  unknowns->impossible |= !possible;
  return learned;
}

/// An index in the threads that run the statement.
Expr ThreadRelation::where_fixed(const Expr& e, const ThreadAccess& access) const {
  VarMap values;
  for (std::size_t i = 0; i < coordinates_.size(); ++i) {
    if (access.fixed[i] && coordinates_[i].variable)
      values[coordinates_[i].variable.get()] = imm(*access.fixed[i]);
  }
  return values.empty() ? e : substitute(e, values);
}

/// Where x % c is equal, a * (x // c) + rest is when a * x + c * rest is. Nothing when no quotient
/// in the equation is like that.
std::optional<ThreadRelation::Equation> ThreadRelation::without_quotient(const Equation& e,
                                                                         const Unknowns& unknowns) {
  if (e.earlier_extent > 1 || e.later_extent > 1) return std::nullopt;
  const auto quotient = [&](const AffineTerm& t) -> const BinaryNode* {
    const auto* b = t.atom.as<BinaryNode>();
    return b != nullptr && b->op == BinaryOp::kFloorDiv && as_int(b->b) ? b : nullptr;
  };
  const AffineForm earlier = analyzer_.affine(analyzer_.simplify(e.earlier));
  const AffineForm later = analyzer_.affine(analyzer_.simplify(e.later));
  for (const AffineTerm& t : later.terms) {
    const BinaryNode* q = quotient(t);
    if (q == nullptr || !unknowns.is_equal(analyzer_.simplify(floormod(q->a, q->b)))) continue;
    for (const AffineTerm& o : earlier.terms) {
      const BinaryNode* p = quotient(o);
      if (p == nullptr || o.coefficient != t.coefficient ||
          !structural_equal(at_first_time(o.atom), at_first_time(t.atom)))
        continue;
      const auto with_dividend = [&](const Expr& whole, const BinaryNode* division) {
        const Expr rest = whole - Expr(division) * t.coefficient;
        return analyzer_.simplify(rest * division->b + division->a * t.coefficient);
      };
      return Equation{with_dividend(e.earlier, p), with_dividend(e.later, q)};
    }
  }
  return std::nullopt;
}

bool ThreadRelation::is_linear(const ThreadAccess& access) {
  return std::all_of(access.region.begin(), access.region.end(), [&](const Range& r) {
    if (!is_known(r.min)) return false;
    const AffineForm form = analyzer_.affine(analyzer_.simplify(r.min));
    return std::all_of(form.terms.begin(), form.terms.end(),
                       [](const AffineTerm& t) { return t.atom->kind == NodeKind::kVar; });
  });
}

bool ThreadRelation::may_meet(const ThreadAccess& earlier, const ThreadAccess& later) {
  if (!earlier.buffer.same_as(later.buffer) || (!earlier.is_write && !later.is_write)) return false;
  std::vector<Equation> equations;
  const std::size_t rank = std::min(earlier.region.size(), later.region.size());
  for (std::size_t d = 0; d < rank; ++d) {
    const Range &a = earlier.region[d], &b = later.region[d];
    if (!is_known(a.min) || !is_known(b.min)) continue;
    const auto first = as_int(a.extent), second = as_int(b.extent);
    if (first && second)
      equations.push_back(
          {where_fixed(a.min, earlier), where_fixed(b.min, later), *first, *second});
  }
  Unknowns unknowns;
  const auto same_thread = [&] {
    for (std::size_t i = 0; i < coordinates_.size(); ++i) {
      const Coordinate& c = coordinates_[i];
      if (!c.variable || c.extent == 1) continue;
      const bool pinned = earlier.fixed[i] && earlier.fixed[i] == later.fixed[i];
      if (!pinned && !unknowns.is_equal(c.variable)) return false;
    }
    return true;
  };
  for (bool learned = true; learned;) {
    learned = false;
    for (const Equation& e : equations) learned |= solve(e, &unknowns);
    for (const auto& pair : unknowns.equal) {
      const auto other = other_iterations_.find(pair.earlier.get());
      unknowns.impossible |= other != other_iterations_.end() && other->second.same_as(pair.later);
    }
    if (unknowns.impossible || same_thread()) return false;
    std::vector<Equation> derived;
    for (const Equation& e : equations) {
      if (auto next = without_quotient(e, unknowns)) derived.push_back(std::move(*next));
    }
    for (const Equation& e : derived) {
      const bool known = std::any_of(equations.begin(), equations.end(), [&](const Equation& x) {
        return structural_equal(x.earlier, e.earlier) && structural_equal(x.later, e.later);
      });
      if (known) continue;
      equations.push_back(e);
      learned = true;
    }
  }
  return true;
}

}  // namespace tenon
