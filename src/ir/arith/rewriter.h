#pragma once

/// The expression simplifier: canonical forms bottom-up, then the rules of the table until none
/// applies.

#include "ir/arith/knowledge.h"
#include "ir/arith/rules.h"
#include "tenon/ir/visit.h"

namespace tenon::arith {

class Rewriter : public Mutator {
 public:
  explicit Rewriter(Knowledge* knowledge, int nesting = 0)
      : knowledge_(*knowledge), nesting_(nesting) {}

  /// The simplified expression; `e` itself when equal.
  Expr simplify(const Expr& e);

 protected:
  using Mutator::rewrite;
  Expr rewrite(const VarNode& n) override;
  Expr rewrite(const BinaryNode& n) override;
  Expr rewrite(const UnaryNode& n) override;
  Expr rewrite(const SelectNode& n) override;
  Expr rewrite(const CastNode& n) override;
  Expr rewrite(const LetNode& n) override;
  Expr rewrite(const LoadNode& n) override;
  Expr rewrite(const BroadcastNode& n) override;

 private:
  Expr under(const Expr& condition, const Expr& e);
  Expr finish(const Expr& original, Expr e);
  Expr by_rules(Expr e);
  Expr comparison(const BinaryNode& n, const Expr& a, const Expr& b);
  Expr extremum(BinaryOp op, const Expr& a, const Expr& b);

  Knowledge& knowledge_;
  int nesting_;
  int rule_depth_ = 0;
  bool trial_ = false;  ///< trying out a rule that must shorten: no further such trials within
  std::uint64_t version_ = 0;
  std::vector<Expr> pending_;  ///< results being tried, so that two rules cannot chase each other
};

/// Nodes of `e` as a tree, counted up to a limit.
int tree_size(const Expr& e);

}  // namespace tenon::arith
