#include "ir/transform/guard_loads.h"

#include <unordered_map>
#include <utility>

#include "tenon/ir/analyzer.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

class GuardLoads : public Mutator {
 public:
  explicit GuardLoads(const Function& f) { analyzer_.bind_symbols(f); }

 protected:
  using Mutator::rewrite;
  Stmt rewrite(const ForNode& n) override {
    Analyzer::Scope scope(&analyzer_);
    analyzer_.bind(n.var, {n.min, n.extent});
    forget();
    return rebuild(n);
  }
  /// What a statement's own condition keeps in bounds needs no other guard: nothing below runs
  /// where it does not hold.
  Stmt rewrite(const IfNode& n) override {
    const Expr condition = (*this)(n.condition);
    const auto branch = [&](const Expr& holds, const Stmt& s) {
      Analyzer::Scope scope(&analyzer_);
      if (!reads_memory(holds)) analyzer_.assume(holds);
      forget();
      Stmt out = (*this)(s);
      forget();
      return out;
    };
    Stmt then_case = branch(condition, n.then_case);
    Stmt else_case = n.else_case ? branch(logical_not(condition), n.else_case) : n.else_case;
    const bool same = condition.same_as(n.condition) && then_case.same_as(n.then_case) &&
                      else_case.same_as(n.else_case);
    if (same) return Stmt(&n);
    Stmt out = make_if(condition, then_case, else_case);
    keep_span(n, *out.get());
    return out;
  }
  Expr rewrite(const SelectNode& n) override {
    if (!has_open_load(n.true_value) && !has_open_load(n.false_value)) return rebuild(n);
    Expr condition = (*this)(n.condition);
    Expr t = under(condition, n.true_value);
    Expr f = under(logical_not(condition), n.false_value);
    if (condition.same_as(n.condition) && t.same_as(n.true_value) && f.same_as(n.false_value))
      return Expr(&n);
    return make<SelectNode>(condition, t, f);
  }
  Expr rewrite(const BinaryNode& n) override {
    const bool lazy = n.op == BinaryOp::kAnd || n.op == BinaryOp::kOr;
    if (!lazy || !has_open_load(n.b)) return rebuild(n);
    Expr a = (*this)(n.a);
    Expr b = under(n.op == BinaryOp::kAnd ? a : logical_not(a), n.b);
    return a.same_as(n.a) && b.same_as(n.b) ? Expr(&n) : make<BinaryNode>(n.op, a, b);
  }
  Expr rewrite(const LoadNode& n) override {
    Expr out = rebuild(n);
    if (!condition_) return out;
    const auto* l = out.as<LoadNode>();
    if (in_bounds(*l)) return out;
    Expr guarded = load(l->buffer, l->indices, and_predicate(condition_, l->predicate));
    keep_span(n, *guarded.get());
    return guarded;
  }

 private:
  void forget() {
    clear_memo();
    is_open_.clear();
  }

  static bool reads_memory(const Expr& e) {
    bool found = false;
    post_order_visit(
        e, [&](const Node& n) { found |= n.kind == NodeKind::kLoad || n.kind == NodeKind::kCall; });
    return found;
  }

  /// Whether a condition would change anything in `e`. Branches without such loads keep what is
  /// known of shared expressions: chains of selects stay linear.
  bool has_open_load(const Expr& e) {
    bool found = false;
    post_order_visit(e, [&](const Node& n) {
      if (n.kind != NodeKind::kLoad || found) return;
      const auto& l = static_cast<const LoadNode&>(n);
      const auto [known, is_new] = is_open_.try_emplace(&l, Expr(&l), false);
      if (is_new) known->second.second = !in_bounds(l);
      found = known->second.second;
    });
    return found;
  }

  Expr under(const Expr& condition, const Expr& branch) {
    if (!has_open_load(branch)) return (*this)(branch);
    Expr outer = condition_;
    condition_ = and_predicate(outer, condition);
    clear_memo();
    Expr out = (*this)(branch);
    condition_ = outer;
    clear_memo();
    return out;
  }

  bool in_bounds(const LoadNode& l) {
    for (std::size_t d = 0; d < l.indices.size(); ++d) {
      if (!analyzer_.can_prove(ge(l.indices[d], imm(0))) ||
          !analyzer_.can_prove(lt(l.indices[d], l.buffer->shape[d]))) {
        return false;
      }
    }
    return true;
  }

  Analyzer analyzer_;
  Expr condition_;
  std::unordered_map<const LoadNode*, std::pair<Expr, bool>> is_open_;  ///< within this loop
};

}  // namespace

Function guard_loads(const Function& f) { return with_body(f, GuardLoads(f)(f->body)); }

}  // namespace tenon
