#pragma once

/// What loops carry: which iterations touch the same elements, and in what order a reduction adds
/// up.

#include <optional>
#include <string>
#include <vector>

#include "schedule/loop_tree.h"
#include "tenon/ir/function.h"

namespace tenon {

/// One access of a block to a buffer, its region in terms of loop variables.
struct Access {
  const BlockNode* block;
  Buffer buffer;
  bool is_write;
  std::vector<Range> ranges;          ///< block iters replaced by their bindings
  std::vector<const ForNode*> loops;  ///< around the block, outermost first
};

/// Every access under a statement; `outer` are the loops around it.
std::vector<Access> accesses_under(const Stmt& s, const std::vector<const ForNode*>& outer = {});
/// Only those to `buffer`.
std::vector<Access> accesses_of(const std::vector<Access>& all, const Buffer& buffer);

/// The operation of a reduction block, found from its body: sum, product, min or max.
struct Reducer {
  ReduceOp op;
  DType dtype;
  /// Whether another order may give other bits: sums and products of floats.
  bool order_matters() const {
    return dtype.is_float() && (op == ReduceOp::kSum || op == ReduceOp::kProd);
  }
};
std::optional<Reducer> find_reducer(const BlockNode& block);

/// The kinds of the block's iters whose binding uses the loop.
bool touches(const BlockNode& block, const Expr& loop_var, IterKind kind);
bool has_kind(const BlockNode& block, IterKind kind);

/// Whether different iterations of `loop` always touch different elements, in all the accesses,
/// while the loops of `fixed` stand still and all others run. False means "not proved".
bool touches_distinct_elements(const ForNode& loop, const std::vector<Access>& accesses,
                               const std::vector<Expr>& fixed, const std::vector<Symbol>& symbols);
/// The same where iterations take turns: in one dimension the indices are `c * v + m * (other
/// loops)` plus less than c, and the loop's extent is at most m / c. `x = outer * extent + v` with
/// v outside of `outer` is such an index.
bool touches_interleaved_elements(const ForNode& loop, const std::vector<Access>& accesses,
                                  const std::vector<Expr>& fixed);
/// Those of `loops` whose iterations are not proved to touch elements of their own while the
/// `fixed` loops stand still; loops of one iteration are left out. Empty: together the loops reach
/// each element once.
std::vector<const ForNode*> overlapping_loops(const std::vector<const ForNode*>& loops,
                                              const std::vector<Access>& accesses,
                                              const std::vector<Expr>& fixed,
                                              const std::vector<Symbol>& symbols);
/// The conditions joined by `and` in a predicate; none for a null one.
std::vector<Expr> conjuncts_of(const Expr& predicate);
/// Whether the access reaches every element of its bounding box that lies in the block's domain,
/// while the `fixed` loops stand still. False means "not proved".
bool fills_its_box(const Access& access, const std::vector<Expr>& fixed,
                   const std::vector<Symbol>& symbols);
/// Whether each iteration of the loop at the end of `loop_path` writes all that its reads of
/// `buffer` need, and nothing else uses `buffer`.
bool is_private(const Buffer& buffer, const Stmt& root, const Path& loop_path,
                const std::vector<Symbol>& symbols);
/// The variables of loops.
std::vector<Expr> vars_of(const std::vector<const ForNode*>& loops);

}  // namespace tenon
