#include "ir/transform/specialize_extents.h"

#include <algorithm>

#include "ir/transform/independent_copy.h"
#include "tenon/ir/analyzer.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/structural.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

/// A choice inside an extent and the condition under which its first value is meant.
struct Choice {
  Expr node, condition, if_true, if_false;
};

/// The first choice in the extent of a vectorized or unrolled loop below that uses `variable`.
class FindChoice : public Walker {
 public:
  FindChoice(const ExprNode* variable, const std::vector<Expr>& threads)
      : variable_(variable), threads_(threads) {}
  Choice found;

 protected:
  using Walker::visit;
  void visit(const ForNode& n) override {
    const bool constant_wanted =
        n.attrs.kind == ForKind::kVectorized || n.attrs.kind == ForKind::kUnrolled;
    if (constant_wanted && !as_int(n.extent)) {
      post_order_visit(n.extent, [&](const Node& node) { consider(node); });
    }
    if (!found.node) walk(n);
  }

 private:
  void consider(const Node& node) {
    if (found.node) return;
    Choice choice;
    if (node.kind == NodeKind::kSelect) {
      const auto& s = static_cast<const SelectNode&>(node);
      choice = {Expr(&s), s.condition, s.true_value, s.false_value};
    } else if (node.kind == NodeKind::kBinary) {
      const auto& b = static_cast<const BinaryNode&>(node);
      if (b.op == BinaryOp::kMin) choice = {Expr(&b), le(b.a, b.b), b.a, b.b};
      if (b.op == BinaryOp::kMax) choice = {Expr(&b), ge(b.a, b.b), b.a, b.b};
    }
    const auto depends = [&](const ExprNode* variable) {
      return uses_var(choice.condition, [&](const VarNode& v) { return &v == variable; });
    };
    if (choice.node && depends(variable_) &&
        std::none_of(threads_.begin(), threads_.end(),
                     [&](const Expr& t) { return depends(t.get()); }))
      found = choice;
  }
  const ExprNode* variable_;
  const std::vector<Expr>& threads_;
};

Stmt replace_choice(const Stmt& s, const Choice& choice, const Expr& value, bool truth) {
  return rewrite_exprs(s, [&](const Expr& e) -> Expr {
    if (structural_equal(e, choice.node)) return value;
    if (structural_equal(e, choice.condition)) return bool_imm(truth);
    return nullptr;
  });
}

class SpecializeExtents : public Mutator {
 public:
  explicit SpecializeExtents(const Function& f) { analyzer_.bind_symbols(f); }

 protected:
  using Mutator::rewrite;
  Stmt rewrite(const ForNode& n) override {
    Analyzer::Scope scope(&analyzer_);
    analyzer_.bind(n.var, {n.min, n.extent});
    // All threads of a kernel run one text: what depends on a coordinate makes no branches of it.
    const bool is_thread = n.attrs.kind == ForKind::kThread;
    if (is_thread) threads_.push_back(n.var);
    Stmt body = (*this)(n.body);
    if (is_thread)
      threads_.pop_back();
    else
      body = branch(n.var.get(), body, 0);
    return body.same_as(n.body) ? Stmt(&n) : with_body(n, body);
  }

 private:
  static constexpr int kMaxNested = 4;
  static constexpr std::int64_t kMaxValues = 8;

  /// The body with the first choice below decided in each branch; allocations are made anew in
  /// each, so that a register tile's indices stay constant.
  Stmt branch(const ExprNode* variable, const Stmt& body, int depth) {
    if (depth == kMaxNested) return body;
    FindChoice find(variable, threads_);
    find(body);
    if (!find.found.node) return body;
    const Choice& c = find.found;
    Analyzer::Scope scope(&analyzer_);
    Stmt if_true = branch(variable, replace_choice(body, c, c.if_true, true), depth + 1);
    return make_if(c.condition, if_true, otherwise(variable, body, c, depth));
  }

  /// The second value of the choice: one branch for each value that it can have, where these are
  /// few.
  Stmt otherwise(const ExprNode* variable, const Stmt& body, const Choice& c, int depth) {
    analyzer_.assume(logical_not(c.condition));
    const ConstRange known = analyzer_.const_bounds(c.if_false);
    const std::int64_t low = std::max<std::int64_t>(known.lower.value_or(1), 1);
    if (as_int(c.if_false) || !known.upper || *known.upper - low >= kMaxValues ||
        *known.upper < low) {
      return branch(variable, independent_copy(replace_choice(body, c, c.if_false, false)),
                    depth + 1);
    }
    Stmt chain;
    for (std::int64_t v = low; v <= *known.upper; ++v) {
      Stmt one =
          branch(variable, independent_copy(replace_choice(body, c, imm(v), false)), depth + 1);
      chain = chain ? make_if(eq(c.if_false, imm(v)), one, chain) : one;
    }
    return chain;
  }

  Analyzer analyzer_;
  std::vector<Expr> threads_;
};

}  // namespace

Function specialize_extents(const Function& f) {
  return with_body(f, SpecializeExtents(f)(f->body));
}

}  // namespace tenon
