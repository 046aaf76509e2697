#pragma once

/// Solves f(v) = p for the iterations v that read the element p.
///
/// A read T[f(v)] over iteration variables v gives element p of T's adjoint one term for each v
/// with f(v) = p. The solution expresses as many variables as possible by p; what is left runs as a
/// reduction, so that the adjoint gathers its terms and nothing is scattered.

#include <vector>

#include "tenon/ir/expr.h"
#include "tenon/ir/visit.h"

namespace tenon::autodiff {

struct IndexProblem {
  std::vector<IterVar> domain;   ///< the variables v in order; a domain may use earlier ones
  std::vector<Expr> indices;     ///< f, one per dimension, over v
  std::vector<Expr> shape;       ///< the extents of p
  std::vector<Expr> position;    ///< p, one variable per dimension
  std::vector<Expr> conditions;  ///< over v: other iterations do not count
  Expr term;                     ///< what is summed, over v; its reads decide what must be guarded
};

/// One axis that the terms are summed for.
struct SolvedAxis {
  IterVar axis;
  Expr position;  ///< the value of `axis.var` for element p, over p
  Expr origin;    ///< the variable of the problem that it stands for; null for none
};

struct IndexSolution {
  std::vector<SolvedAxis> axes;
  std::vector<IterVar> free;       ///< reduction axes; a domain may use axes and earlier free ones
  std::vector<Expr> free_origins;  ///< the variable that each stands for; null for none
  VarMap values;                   ///< the other variables of the problem, over axes and free ones
  std::vector<Expr> where;         ///< over axes and free: which iterations count
  std::vector<Expr> outside;       ///< over p: which elements have any term
};

/// Always succeeds: an equation that is not affine (or quasi-affine by constants) becomes a
/// condition on reduction axes.
IndexSolution solve(const IndexProblem& problem);

/// The parts of a conjunction.
std::vector<Expr> conjuncts(const Expr& condition);
/// Their conjunction; null for none.
Expr all_of(const std::vector<Expr>& conditions);

}  // namespace tenon::autodiff
