#pragma once

/// The tree of loops, blocks and sequences of a block-level function: finding and replacing parts
/// of it.

#include <functional>
#include <string>
#include <vector>

#include "schedule/bounds.h"
#include "tenon/ir/stmt.h"

namespace tenon {

/// The statements from the root down to one of them, both included. Empty when there is none.
using Path = std::vector<Stmt>;

/// The path to the first statement, in program order, for which `wanted` holds. Does not enter
/// blocks.
Path find_path(const Stmt& root, const std::function<bool(const StmtNode&)>& wanted);
Path path_to_loop(const Stmt& root, const Expr& loop_var);
Path path_to_block(const Stmt& root, const std::string& name);
/// The loops on a path, outermost first, from position `first` on.
std::vector<const ForNode*> loops_on(const Path& path, std::size_t first = 0);
LoopRanges ranges_of(const std::vector<const ForNode*>& loops);

/// All blocks under a statement in program order.
std::vector<const BlockNode*> blocks_under(const Stmt& s);
/// All loops under (and including) a statement in program order.
std::vector<const ForNode*> loops_under(const Stmt& s);

/// The root with the last statement of `path` replaced; a null replacement removes it together with
/// every loop that is left empty.
Stmt replace_at(const Path& path, const Stmt& replacement);

/// A statement without the allocations at its root, and those allocations.
struct RootBody {
  std::vector<Stmt> allocations;  ///< AllocateNodes, outermost first
  Stmt body;
};
RootBody split_root(const Stmt& root);
Stmt join_root(const RootBody& parts);

}  // namespace tenon
