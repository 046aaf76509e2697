#include "te/index_range.h"

#include <algorithm>
#include <limits>
#include <unordered_map>

#include "tenon/ir/builder.h"
#include "tenon/ir/scalar_ops.h"
#include "tenon/ir/visit.h"

namespace tenon::te {
namespace {

constexpr std::int64_t kMaxPoints = 4096;

/// One expression of integers and bools as a list of operations, operands first.
class IndexProgram {
 public:
  /// Variables are read from `values`, which is filled in by the caller.
  IndexProgram(const Expr& e, std::unordered_map<const ExprNode*, std::int64_t>* values)
      : values_(values) {
    post_order_visit(e, [&](const Node& n) { add(n); });
  }

  bool is_known() const { return is_known_; }
  const std::vector<const ExprNode*>& variables() const { return variables_; }

  std::int64_t run() {
    std::int64_t result = 0;
    for (const ExprNode* n : nodes_) {
      if (n->kind != NodeKind::kVar) (*values_)[n] = evaluate(*n);
      result = (*values_)[n];
    }
    return result;
  }

 private:
  void add(const Node& n) {
    const bool is_scalar = n.kind == NodeKind::kVar || n.kind == NodeKind::kIntImm ||
                           n.kind == NodeKind::kBinary || n.kind == NodeKind::kUnary ||
                           n.kind == NodeKind::kSelect || n.kind == NodeKind::kCast;
    if (!is_scalar) {
      is_known_ = false;
      return;
    }
    const auto& e = static_cast<const ExprNode&>(n);
    is_known_ = is_known_ && (e.dtype.is_int() || e.dtype.is_bool()) && e.dtype.lanes == 1;
    if (n.kind == NodeKind::kUnary) {
      const UnaryOp op = static_cast<const UnaryNode&>(n).op;
      is_known_ = is_known_ && (op == UnaryOp::kNeg || op == UnaryOp::kNot || op == UnaryOp::kAbs);
    }
    if (n.kind == NodeKind::kVar) variables_.push_back(&e);
    nodes_.push_back(&e);
  }

  std::int64_t value(const Expr& e) const { return values_->at(e.get()); }

  std::int64_t evaluate(const ExprNode& n) const {
    if (n.kind == NodeKind::kIntImm) return static_cast<const IntImmNode&>(n).value;
    if (n.kind == NodeKind::kCast)
      return wrap_int(n.dtype, value(static_cast<const CastNode&>(n).value));
    if (n.kind == NodeKind::kSelect) {
      const auto& s = static_cast<const SelectNode&>(n);
      return value(s.condition) != 0 ? value(s.true_value) : value(s.false_value);
    }
    if (n.kind == NodeKind::kUnary) {
      const auto& u = static_cast<const UnaryNode&>(n);
      if (u.op == UnaryOp::kNot) return std::int64_t{value(u.a) == 0};
      const bool flips = u.op == UnaryOp::kNeg || value(u.a) < 0;
      return flips ? eval_int(BinaryOp::kSub, n.dtype, 0, value(u.a)) : value(u.a);
    }
    const auto& b = static_cast<const BinaryNode&>(n);
    return eval_int(b.op, b.a->dtype, value(b.a), value(b.b));
  }

  std::unordered_map<const ExprNode*, std::int64_t>* values_;
  std::vector<const ExprNode*> nodes_, variables_;
  bool is_known_ = true;
};

/// The iters whose values are tried.
class Points {
 public:
  explicit Points(const std::vector<IterVar>& iters) {
    for (const IterVar& v : iters)
      domains_[v.var.get()] = {as_int(v.domain.min), as_int(v.domain.extent)};
  }

  /// Adds the variables; false, and nothing added, where they are unknown or too many.
  bool add(const std::vector<const ExprNode*>& variables) {
    std::vector<Axis> axes = axes_;
    std::int64_t count = count_;
    for (const ExprNode* v : variables) {
      const auto is_v = [&](const Axis& a) { return a.var == v; };
      if (std::any_of(axes.begin(), axes.end(), is_v)) continue;
      const auto it = domains_.find(v);
      if (it == domains_.end() || !it->second.first || !it->second.second) return false;
      const std::int64_t extent = std::max<std::int64_t>(*it->second.second, 0);
      if (extent > kMaxPoints || count * extent > kMaxPoints) return false;
      count *= extent;
      axes.push_back({v, *it->second.first, extent});
    }
    axes_ = std::move(axes);
    count_ = count;
    return true;
  }

  std::int64_t count() const { return count_; }
  void set(std::int64_t point, std::unordered_map<const ExprNode*, std::int64_t>* values) const {
    for (const Axis& a : axes_) {
      (*values)[a.var] = a.min + point % a.extent;
      point /= a.extent;
    }
  }

 private:
  struct Axis {
    const ExprNode* var;
    std::int64_t min, extent;
  };
  std::unordered_map<const ExprNode*,
                     std::pair<std::optional<std::int64_t>, std::optional<std::int64_t>>>
      domains_;
  std::vector<Axis> axes_;
  std::int64_t count_ = 1;
};

}  // namespace

std::optional<IndexRange> index_range(const Expr& index, const std::vector<Expr>& conditions,
                                      const std::vector<IterVar>& iters) {
  std::unordered_map<const ExprNode*, std::int64_t> values;
  IndexProgram program(index, &values);
  Points points(iters);
  if (!program.is_known() || !points.add(program.variables())) return std::nullopt;
  std::vector<IndexProgram> guards;
  for (const Expr& c : conditions) {
    IndexProgram guard(c, &values);
    if (guard.is_known() && points.add(guard.variables())) guards.push_back(std::move(guard));
  }
  IndexRange range{std::numeric_limits<std::int64_t>::max(),
                   std::numeric_limits<std::int64_t>::min()};
  for (std::int64_t p = 0; p < points.count(); ++p) {
    points.set(p, &values);
    const auto holds = [](IndexProgram& g) { return g.run() != 0; };
    if (!std::all_of(guards.begin(), guards.end(), holds)) continue;
    const std::int64_t value = program.run();
    range = {std::min(range.first, value), std::max(range.last, value)};
  }
  return range;
}

}  // namespace tenon::te
