#pragma once

/// Bounds of expressions over some of their variables, in terms of the others.

#include <unordered_set>

#include "ir/arith/knowledge.h"

namespace tenon::arith {

class SymbolicBounds {
 public:
  /// Eliminates `vars`, which have ranges in `knowledge`.
  SymbolicBounds(Knowledge* knowledge, const std::vector<Expr>& vars);

  /// An expression without the variables that `e` is never below (above); null when unknown. Not
  /// simplified.
  Expr minimum(const Expr& e) { return bound(e, false); }
  Expr maximum(const Expr& e) { return bound(e, true); }

 private:
  bool uses(const Expr& e) const;
  Expr bound(const Expr& e, bool upper);
  std::optional<Affine> bound(Affine a, bool upper, int depth);
  Expr atom_bound(const Expr& e, bool upper);
  Expr remainder_bound(const BinaryNode& n, bool upper);
  std::optional<Affine> without_variable(const Affine& a, const Binding& b, bool upper);

  Knowledge& knowledge_;
  std::unordered_set<const ExprNode*> vars_;
};

}  // namespace tenon::arith
