#include "ir/verify/iteration_space.h"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "tenon/ir/builder.h"
#include "tenon/ir/print.h"
#include "tenon/ir/scalar_ops.h"
#include "tenon/ir/visit.h"

namespace tenon::verify_rules {
namespace {

constexpr std::int64_t kMaxPoints = 1 << 14;
constexpr std::int64_t kMaxBound = std::int64_t{1} << 40;
constexpr int kMaxDepth = 64;  // of an expression that is evaluated

using Values = std::unordered_map<const ExprNode*, std::int64_t>;

/// The integer value of `e`, or nothing if it is not a plain index expression.
std::optional<std::int64_t> evaluate(const Expr& e, const Values& values) {
  if (e->depth > kMaxDepth || !e->dtype.is_scalar() || e->dtype.is_float()) return std::nullopt;
  if (const auto* i = e.as<IntImmNode>()) return i->value;
  if (e.as<VarNode>() != nullptr) {
    const auto found = values.find(e.get());
    return found == values.end() ? std::nullopt : std::optional(found->second);
  }
  if (const auto* b = e.as<BinaryNode>()) {
    const auto x = evaluate(b->a, values);
    if (!x) return std::nullopt;
    if (b->op == BinaryOp::kAnd && *x == 0) return 0;
    if (b->op == BinaryOp::kOr && *x != 0) return 1;
    const auto y = evaluate(b->b, values);
    return y ? std::optional(eval_int(b->op, b->a->dtype, *x, *y)) : std::nullopt;
  }
  if (const auto* u = e.as<UnaryNode>()) {
    const auto x = evaluate(u->a, values);
    if (x && u->op == UnaryOp::kNot) return *x == 0;
    if (x && u->op == UnaryOp::kNeg)
      return wrap_int(e->dtype, static_cast<std::int64_t>(0 - static_cast<std::uint64_t>(*x)));
    return std::nullopt;
  }
  if (const auto* s = e.as<SelectNode>()) {
    const auto c = evaluate(s->condition, values);
    return c ? evaluate(*c != 0 ? s->true_value : s->false_value, values) : std::nullopt;
  }
  if (const auto* c = e.as<CastNode>(); c != nullptr && !c->value->dtype.is_float()) {
    const auto x = evaluate(c->value, values);
    return x ? std::optional(wrap_int(e->dtype, *x)) : std::nullopt;
  }
  return std::nullopt;
}

void split_conjunction(const Expr& e, std::vector<Expr>* out) {
  if (!e) return;
  const auto* b = e.as<BinaryNode>();
  if (b == nullptr || b->op != BinaryOp::kAnd) {
    out->push_back(e);
    return;
  }
  split_conjunction(b->a, out);
  split_conjunction(b->b, out);
}

/// Bindings and conditions that share loop variables, directly or through another one.
struct Group {
  std::vector<std::size_t> iters;
  std::vector<Expr> conditions;
  std::vector<bool> uses;  ///< per surrounding variable
};

class Grouping {
 public:
  Grouping(const BlockNode& block, const Expr& condition, const std::vector<Surrounding>& around)
      : around_(around), parent_(around.size()) {
    for (std::size_t i = 0; i < parent_.size(); ++i) parent_[i] = i;
    for (std::size_t i = 0; i < around.size(); ++i) {
      for (const Expr& e : {around[i].min, around[i].extent, around[i].value}) {
        if (e) join(i, e);
      }
    }
    std::vector<Expr> conditions;
    split_conjunction(condition, &conditions);
    for (const Expr& e : block.bindings) join_used(e);
    for (const Expr& e : conditions) join_used(e);
    for (std::size_t i = 0; i < block.bindings.size(); ++i)
      group_of(block.bindings[i]).iters.push_back(i);
    for (const Expr& e : conditions) group_of(e).conditions.push_back(e);
  }

  std::vector<Group> groups() {
    std::vector<Group> out;
    for (auto& [root, group] : groups_) {
      group.uses.resize(around_.size());
      for (std::size_t i = 0; i < around_.size(); ++i) group.uses[i] = find(i) == root;
      if (!group.iters.empty()) out.push_back(std::move(group));
    }
    return out;
  }

 private:
  std::vector<std::size_t> used(const Expr& e) const {
    std::vector<std::size_t> out;
    for (std::size_t i = 0; i < around_.size(); ++i) {
      if (uses_var(e, [&](const VarNode& v) { return &v == around_[i].var.get(); }))
        out.push_back(i);
    }
    return out;
  }
  void join(std::size_t i, const Expr& e) {
    for (const std::size_t j : used(e)) parent_[find(j)] = find(i);
  }
  void join_used(const Expr& e) {
    const std::vector<std::size_t> all = used(e);
    for (const std::size_t j : all) parent_[find(j)] = find(all[0]);
  }
  std::size_t find(std::size_t i) const {
    while (parent_[i] != i) i = parent_[i];
    return i;
  }
  Group& group_of(const Expr& e) {
    const std::vector<std::size_t> all = used(e);
    return groups_[all.empty() ? around_.size() : find(all[0])];
  }

  const std::vector<Surrounding>& around_;
  std::vector<std::size_t> parent_;
  std::map<std::size_t, Group> groups_;
};

/// Runs the loops of one group.
class Run {
 public:
  Run(const BlockNode& block, const std::vector<Surrounding>& around, const Group& group)
      : block_(block), around_(around), group_(group) {}

  std::optional<BindingFault> fault(bool must_cover) {
    std::int64_t size = 1;
    for (const std::size_t i : group_.iters) {
      const auto min = evaluate(block_.iters[i].domain.min, {});
      const auto extent = evaluate(block_.iters[i].domain.extent, {});
      if (!min || !extent || std::abs(*min) > kMaxBound || *extent < 0 || *extent > kMaxBound)
        return std::nullopt;
      if (__builtin_mul_overflow(size, *extent, &size)) return std::nullopt;
      domains_.emplace_back(*min, *extent);
    }
    loop(0);
    if (fault_ || gave_up_) return gave_up_ ? std::nullopt : fault_;
    if (must_cover && size <= kMaxPoints && static_cast<std::int64_t>(covered_.size()) < size)
      return missing(size);
    return std::nullopt;
  }

 private:
  void loop(std::size_t i) {
    if (fault_ || gave_up_) return;
    if (i == around_.size()) {
      point();
      return;
    }
    if (!group_.uses[i]) {
      loop(i + 1);
      return;
    }
    const Surrounding& s = around_[i];
    if (s.value) {
      const auto value = evaluate(s.value, values_);
      if (value) values_[s.var.get()] = *value;
      gave_up_ |= !value;
      loop(i + 1);
      return;
    }
    const auto min = evaluate(s.min, values_);
    const auto extent = evaluate(s.extent, values_);
    gave_up_ |= !min || !extent || *extent > kMaxPoints;
    for (std::int64_t v = 0; !gave_up_ && !fault_ && v < *extent; ++v) {
      values_[s.var.get()] = *min + v;
      loop(i + 1);
    }
  }

  void point() {
    if (++points_ > kMaxPoints) gave_up_ = true;
    for (const Expr& c : group_.conditions) {
      const auto holds = evaluate(c, values_);
      gave_up_ |= !holds;
      if (gave_up_ || *holds == 0) return;
    }
    std::vector<std::int64_t> all, independent;
    for (std::size_t g = 0; g < group_.iters.size(); ++g) {
      const std::size_t i = group_.iters[g];
      const auto value = evaluate(block_.bindings[i], values_);
      gave_up_ |= !value;
      if (gave_up_) return;
      const auto [min, extent] = domains_[g];
      if (*value < min || *value >= min + extent) {
        fault_ = BindingFault{
            "domain", detail::concat(name(i), " is ", *value, at(), ", outside of its domain ", min,
                                     "..", min + extent)};
        return;
      }
      all.push_back(*value);
      if (block_.iters[i].kind != IterKind::kReduction) independent.push_back(*value);
    }
    covered_.insert(std::move(all));
    check_parallel(std::move(independent));
  }

  /// No two values of the parallel loops may give the same spatial values while the serial loops
  /// outside them stand still.
  void check_parallel(std::vector<std::int64_t> independent) {
    std::vector<std::int64_t> parallel;
    for (std::size_t i = 0; i < around_.size(); ++i) {
      if (!group_.uses[i]) continue;
      const std::int64_t value = values_[around_[i].var.get()];
      if (around_[i].parallel) {
        parallel.push_back(value);
      } else if (parallel.empty() && !independent.empty()) {
        independent.push_back(value);
      }
    }
    if (parallel.empty() || independent.empty()) return;
    const auto [first, fresh] = owner_.emplace(std::move(independent), parallel);
    if (fresh || first->second == parallel) return;
    std::string message = "two parallel iterations have the same";
    for (std::size_t g = 0, k = 0; g < group_.iters.size(); ++g) {
      if (block_.iters[group_.iters[g]].kind == IterKind::kReduction) continue;
      message +=
          (k == 0 ? " " : ", ") + name(group_.iters[g]) + " = " + std::to_string(first->first[k]);
      ++k;
    }
    fault_ = BindingFault{"parallel", message + at()};
  }

  std::optional<BindingFault> missing(std::int64_t size) const {
    for (std::int64_t position = 0; position < size; ++position) {
      std::vector<std::int64_t> tuple(domains_.size());
      std::int64_t rest = position;
      for (std::size_t g = domains_.size(); g-- > 0;) {
        tuple[g] = domains_[g].first + rest % domains_[g].second;
        rest /= domains_[g].second;
      }
      if (covered_.count(tuple) != 0) continue;
      std::string message = "the loops never run";
      for (std::size_t g = 0; g < tuple.size(); ++g) {
        message += (g == 0 ? " " : ", ") + name(group_.iters[g]) + " = " + std::to_string(tuple[g]);
      }
      return BindingFault{"cover", message};
    }
    return std::nullopt;
  }

  std::string name(std::size_t i) const {
    return "'" + block_.iters[i].var.as<VarNode>()->name + "'";
  }

  /// " at i = 3, j = 0".
  std::string at() const {
    std::string out;
    for (std::size_t i = 0; i < around_.size(); ++i) {
      if (!group_.uses[i]) continue;
      out += (out.empty() ? " at " : ", ") + around_[i].var.as<VarNode>()->name + " = " +
             std::to_string(values_.at(around_[i].var.get()));
    }
    return out;
  }

  const BlockNode& block_;
  const std::vector<Surrounding>& around_;
  const Group& group_;
  std::vector<std::pair<std::int64_t, std::int64_t>> domains_;
  Values values_;
  std::map<std::vector<std::int64_t>, std::vector<std::int64_t>> owner_;
  struct TupleHash {
    std::size_t operator()(const std::vector<std::int64_t>& v) const {
      std::size_t h = v.size();
      for (const std::int64_t x : v) h = h * 1000003 + static_cast<std::size_t>(x);
      return h;
    }
  };
  std::unordered_set<std::vector<std::int64_t>, TupleHash> covered_;
  std::int64_t points_ = 0;
  bool gave_up_ = false;
  std::optional<BindingFault> fault_;
};

}  // namespace

std::optional<BindingFault> find_binding_fault(const BlockNode& block, const Expr& condition,
                                               const std::vector<Surrounding>& around,
                                               bool must_cover) {
  for (const Group& group : Grouping(block, condition, around).groups()) {
    if (auto fault = Run(block, around, group).fault(must_cover)) return fault;
  }
  return std::nullopt;
}

}  // namespace tenon::verify_rules
