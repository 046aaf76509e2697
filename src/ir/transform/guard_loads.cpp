#include "ir/transform/guard_loads.h"

#include "tenon/ir/analyzer.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

bool has_load(const Expr& e) {
  bool found = false;
  post_order_visit(e, [&](const Node& n) { found |= n.kind == NodeKind::kLoad; });
  return found;
}

class GuardLoads : public Mutator {
 public:
  explicit GuardLoads(const Function& f) { analyzer_.bind_symbols(f); }

 protected:
  using Mutator::rewrite;
  Stmt rewrite(const ForNode& n) override {
    Analyzer::Scope scope(&analyzer_);
    analyzer_.bind(n.var, {n.min, n.extent});
    clear_memo();
    return rebuild(n);
  }
  Expr rewrite(const SelectNode& n) override {
    if (!has_load(n.true_value) && !has_load(n.false_value)) return rebuild(n);
    Expr condition = (*this)(n.condition);
    Expr t = under(condition, n.true_value);
    Expr f = under(logical_not(condition), n.false_value);
    if (condition.same_as(n.condition) && t.same_as(n.true_value) && f.same_as(n.false_value))
      return Expr(&n);
    return make<SelectNode>(condition, t, f);
  }
  Expr rewrite(const BinaryNode& n) override {
    const bool lazy = n.op == BinaryOp::kAnd || n.op == BinaryOp::kOr;
    if (!lazy || !has_load(n.b)) return rebuild(n);
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
  Expr under(const Expr& condition, const Expr& branch) {
    if (!has_load(branch)) return (*this)(branch);
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
};

}  // namespace

Function guard_loads(const Function& f) { return with_body(f, GuardLoads(f)(f->body)); }

}  // namespace tenon
