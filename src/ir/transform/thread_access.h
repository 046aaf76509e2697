#pragma once

/// What the threads of a block touch, and whether two of them may meet.

#include <array>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tenon/ir/analyzer.h"
#include "tenon/ir/thread.h"
#include "tenon/ir/visit.h"

namespace tenon {

/// One access of shared or global memory by each of the threads that run a statement.
struct ThreadAccess {
  Buffer buffer;
  std::vector<Range> region;  ///< one a dimension; empty: anywhere
  bool is_write = false;
  bool in_flight = false;  ///< an asynchronous copy that was not waited for
  const StmtNode* origin = nullptr;
  bool is_own = false;  ///< the element that the statement stores to
  /// A coordinate that a condition fixes (x, y, z): only that thread runs the statement.
  std::array<std::optional<std::int64_t>, 3> fixed;
  std::vector<Expr> inner;  ///< variables of the loops inside of the statement that was collected
};

/// Answers whether two accesses, the first of them earlier, may be of one element in different
/// threads of a block. Indices are over coordinates, loops and symbols: a variable in both accesses
/// has one value unless it is a coordinate; iterations at different times have variables of their
/// own.
class ThreadRelation {
 public:
  explicit ThreadRelation(const Function& f) { analyzer_.bind_symbols(f); }

  /// A coordinate of the block's threads.
  void bind_coordinate(ThreadAxis axis, const Expr& coordinate, std::int64_t extent);
  /// A variable with one value for all threads, or (a loop of one thread) not.
  void bind_loop(const Expr& variable, const Range& range);
  /// A variable whose value depends on data.
  void bind_data(const Expr& variable) { data_.insert(variable.get()); }
  /// Whether all threads of the block have one value.
  bool is_uniform(const Expr& e) const;
  /// The access at some other time: these loops may be in any iteration.
  ThreadAccess at_another_time(const ThreadAccess& access, const std::vector<Expr>& variables);
  /// The access in an iteration of the loop that is not the current one.
  ThreadAccess in_another_iteration(const ThreadAccess& access, const Expr& variable);
  /// Whether every index is a sum of multiples of variables: nothing about it is unknown.
  bool is_linear(const ThreadAccess& access);
  /// Whether another thread may touch in `later` what one touched in `earlier`. False is proved.
  bool may_meet(const ThreadAccess& earlier, const ThreadAccess& later);

  Analyzer& analyzer() { return analyzer_; }

 private:
  struct Equation;
  struct Unknowns;
  bool solve(const Equation& equation, Unknowns* unknowns);
  std::optional<Equation> without_quotient(const Equation& e, const Unknowns& unknowns);
  Expr renamed(const Expr& variable);
  Expr where_fixed(const Expr& e, const ThreadAccess& access) const;
  Expr at_first_time(const Expr& e);
  bool varies(const Expr& atom) const;
  bool is_known(const Expr& e) const;

  struct Coordinate {
    Expr variable;
    std::int64_t extent = 1;
  };
  Analyzer analyzer_;
  std::array<Coordinate, 3> coordinates_;
  std::unordered_set<const ExprNode*> data_, dependent_;
  std::unordered_map<const ExprNode*, Range> ranges_;
  VarMap originals_;         ///< of a renamed variable: the loop's
  VarMap other_iterations_;  ///< renamed, and never equal to the loop's
};

}  // namespace tenon
