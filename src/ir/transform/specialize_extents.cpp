#include "ir/transform/specialize_extents.h"

#include <vector>

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
  explicit FindChoice(const ExprNode* variable) : variable_(variable) {}
  Choice found;

 protected:
  using Walker::visit;
  void visit(const ForNode& n) override {
    const bool constant_wanted = n.attrs.kind == ForKind::kVectorized || n.attrs.kind == ForKind::kUnrolled;
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
    if (choice.node && uses_var(choice.condition, [&](const VarNode& v) { return &v == variable_; })) found = choice;
  }
  const ExprNode* variable_;
};

Stmt replace_choice(const Stmt& s, const Choice& choice, const Expr& value, bool truth) {
  return rewrite_exprs(s, [&](const Expr& e) -> Expr {
    if (structural_equal(e, choice.node)) return value;
    if (structural_equal(e, choice.condition)) return bool_imm(truth);
    return nullptr;
  });
}

class SpecializeExtents : public Mutator {
 protected:
  using Mutator::rewrite;
  Stmt rewrite(const ForNode& n) override {
    Stmt body = (*this)(n.body);
    body = branch(n.var.get(), body, 0);
    return body.same_as(n.body) ? Stmt(&n) : with_body(n, body);
  }

 private:
  static constexpr int kMaxNested = 4;

  static Stmt branch(const ExprNode* variable, const Stmt& body, int depth) {
    if (depth == kMaxNested) return body;
    // Allocations stay outside, so that both branches share them.
    if (const auto* a = body.as<AllocateNode>()) return with_body(*a, branch(variable, a->body, depth));
    FindChoice find(variable);
    find(body);
    if (!find.found.node) return body;
    const Choice& c = find.found;
    Stmt if_true = branch(variable, replace_choice(body, c, c.if_true, true), depth + 1);
    Stmt if_false = branch(variable, fresh_definitions(replace_choice(body, c, c.if_false, false)), depth + 1);
    return make_if(c.condition, if_true, if_false);
  }
};

}  // namespace

Stmt specialize_extents(const Stmt& body) { return SpecializeExtents{}(body); }

}  // namespace tenon
