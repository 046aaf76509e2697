#include "ir/transform/partition_loops.h"

#include <algorithm>

#include "ir/transform/conditions.h"
#include "ir/transform/independent_copy.h"
#include "tenon/ir/analyzer.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/structural.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

bool has_load(const Expr& e) {
  bool found = false;
  post_order_visit(e, [&](const Node& n) { found |= n.kind == NodeKind::kLoad; });
  return found;
}

/// What stands below a loop.
class Contents : public Walker {
 public:
  bool has_vector_loop = false;
  std::vector<const ForNode*> loops;
  std::vector<Expr> lets;        ///< variables that have no value outside
  std::vector<Expr> conditions;  ///< conjuncts of every `if` and `select`, each once

 protected:
  using Walker::visit;
  void visit(const ForNode& n) override {
    has_vector_loop |= n.attrs.kind == ForKind::kVectorized;
    loops.push_back(&n);
    walk(n);
  }
  void visit(const LetStmtNode& n) override {
    lets.push_back(n.var);
    walk(n);
  }
  void visit(const LetNode& n) override {
    lets.push_back(n.var);
    walk(n);
  }
  void visit(const IfNode& n) override {
    add(n.condition);
    walk(n);
  }
  void visit(const SelectNode& n) override {
    add(n.condition);
    walk(n);
  }

 private:
  void add(const Expr& condition) {
    for (const Expr& c : conjuncts(condition)) {
      const bool known = std::any_of(conditions.begin(), conditions.end(),
                                     [&](const Expr& k) { return structural_equal(k, c); });
      if (!known) conditions.push_back(c);
    }
  }
};

bool is_one_of(const Expr& e, const std::vector<Expr>& conditions) {
  return std::any_of(conditions.begin(), conditions.end(),
                     [&](const Expr& c) { return structural_equal(c, e); });
}

/// `condition` with the conjuncts that are known to hold left out; null when nothing is left.
Expr without(const Expr& condition, const std::vector<Expr>& known) {
  Expr rest;
  for (const Expr& c : conjuncts(condition)) {
    if (!is_one_of(c, known)) rest = and_predicate(rest, c);
  }
  return rest;
}

/// The statements as they are where `known` holds.
class Assume : public Mutator {
 public:
  explicit Assume(const std::vector<Expr>& known) : known_(known) {}

 protected:
  using Mutator::rewrite;
  Expr rewrite(const SelectNode& n) override {
    const Expr rest = without(n.condition, known_);
    return rest ? rebuild(n) : (*this)(n.true_value);
  }
  Expr rewrite(const BinaryNode& n) override {
    if (n.op != BinaryOp::kAnd) return rebuild(n);
    const Expr rest = without(Expr(&n), known_);
    if (!rest) return bool_imm(true);
    return structural_equal(rest, Expr(&n)) ? rebuild(n) : (*this)(rest);
  }
  Stmt rewrite(const IfNode& n) override {
    const Expr rest = without(n.condition, known_);
    return rest ? rebuild(n) : (*this)(n.then_case);
  }

 private:
  const std::vector<Expr>& known_;
};

bool loads_same_place(const Expr& e, const StoreNode& s) {
  const auto* l = e.as<LoadNode>();
  if (l == nullptr || !l->buffer.same_as(s.buffer) || l->indices.size() != s.indices.size())
    return false;
  for (std::size_t d = 0; d < s.indices.size(); ++d) {
    if (!structural_equal(l->indices[d], s.indices[d])) return false;
  }
  return true;
}

/// Whether the statement does nothing where `condition` is false.
bool does_nothing_without(const Stmt& s, const Expr& condition) {
  const auto needs = [&](const Expr& c) { return is_one_of(condition, conjuncts(c)); };
  if (const auto* f = s.as<ForNode>()) return does_nothing_without(f->body, condition);
  if (const auto* branch = s.as<IfNode>())
    return !branch->else_case &&
           (needs(branch->condition) || does_nothing_without(branch->then_case, condition));
  if (const auto* seq = s.as<SeqNode>())
    return std::all_of(seq->stmts.begin(), seq->stmts.end(),
                       [&](const Stmt& child) { return does_nothing_without(child, condition); });
  const auto* store = s.as<StoreNode>();
  const auto* choice = store == nullptr ? nullptr : store->value.as<SelectNode>();
  return choice != nullptr && needs(choice->condition) &&
         loads_same_place(choice->false_value, *store);
}

class PartitionLoops : public Mutator {
 public:
  explicit PartitionLoops(const Function& f) { analyzer_.bind_symbols(f); }

 protected:
  using Mutator::rewrite;
  Stmt rewrite(const ForNode& n) override {
    Analyzer::Scope scope(&analyzer_);
    analyzer_.bind(n.var, {n.min, n.extent});
    if (n.attrs.kind != ForKind::kSerial && n.attrs.kind != ForKind::kParallel) return rebuild(n);
    const Stmt rebuilt = rebuild(n);
    const auto& loop = *rebuilt.as<ForNode>();
    Contents contents;
    contents(loop.body);
    return contents.has_vector_loop ? partition(loop, contents) : rebuilt;
  }

 private:
  /// The iterations before which a condition holds in all lanes, and from which in none.
  struct Limits {
    Expr all, any;
  };

  Stmt partition(const ForNode& n, const Contents& contents) {
    Analyzer::Scope scope(&analyzer_);
    std::vector<Expr> lanes, inside = contents.lets;
    for (const ForNode* f : contents.loops) {
      analyzer_.bind(f->var, {f->min, f->extent});
      const bool repeats =
          f->attrs.kind == ForKind::kVectorized || f->attrs.kind == ForKind::kUnrolled;
      (repeats ? lanes : inside).push_back(f->var);
    }
    std::vector<Expr> known;
    const Expr end = n.min + n.extent;
    Expr full = end, last = end;
    for (const Expr& c : contents.conditions) {
      const bool changes_inside =
          std::any_of(inside.begin(), inside.end(), [&](const Expr& v) { return uses(c, v); });
      const Limits limits = changes_inside ? Limits{} : limits_of(c, n.var, lanes);
      if (!limits.all) continue;
      known.push_back(c);
      full = tenon::min(full, limits.all);
      if (limits.any && does_nothing_without(n.body, c)) last = tenon::min(last, limits.any);
    }
    if (known.empty()) return Stmt(&n);
    Assume assume(known);
    if (n.attrs.kind == ForKind::kParallel)
      return with_body(n, make_if(lt(n.var, full), assume(n.body), independent_copy(n.body)));
    full = tenon::max(full, n.min);
    const Expr rest = var(n.var.as<VarNode>()->name);
    const Stmt tail = independent_copy(substitute(n.body, {{n.var.get(), rest}}));
    return make_seq({make_for(n.var, n.min, full - n.min, assume(n.body), n.attrs),
                     make_for(rest, full, last - full, tail, n.attrs)});
  }

  static bool uses(const Expr& e, const Expr& v) {
    return uses_var(e, [&](const VarNode& x) { return &x == v.get(); });
  }

  /// Of `a < b` (`a <= b`) with a positive multiple of `variable` in a - b, over all values of
  /// `inner`, which must occur in it.
  Limits limits_of(const Expr& condition, const Expr& variable, const std::vector<Expr>& inner) {
    const auto* c = condition.as<BinaryNode>();
    if (c == nullptr || c->a->dtype != kInt64 || has_load(condition)) return {};
    const bool forward = c->op == BinaryOp::kLt || c->op == BinaryOp::kLe;
    const bool backward = c->op == BinaryOp::kGt || c->op == BinaryOp::kGe;
    if (!forward && !backward) return {};
    const bool strict = c->op == BinaryOp::kLt || c->op == BinaryOp::kGt;
    // The condition as form < 0.
    const Expr difference = (forward ? c->a - c->b : c->b - c->a) - (strict ? 0 : 1);
    if (std::none_of(inner.begin(), inner.end(),
                     [&](const Expr& v) { return uses(difference, v); }))
      return {};
    const AffineForm form = analyzer_.affine(difference);
    const std::int64_t step = form.coefficient_of(variable);
    if (step <= 0) return {};
    const Expr rest = difference - variable * step;
    const Interval bounds = analyzer_.symbolic_bounds(analyzer_.simplify(rest), inner);
    const auto usable = [&](const Expr& e) { return e && !uses(e, variable); };
    if (!usable(bounds.max)) return {};
    // step * v + max < 0 for v below ceil(-max / step).
    const auto first_beyond = [&](const Expr& value) {
      return floordiv(imm(step - 1) - value, imm(step));
    };
    return {first_beyond(bounds.max), usable(bounds.min) ? first_beyond(bounds.min) : nullptr};
  }

  Analyzer analyzer_;
};

}  // namespace

Function partition_loops(const Function& f) { return with_body(f, PartitionLoops(f)(f->body)); }

}  // namespace tenon
