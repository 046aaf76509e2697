#pragma once

/// Rewrites of loop nests that several primitives share.

#include <functional>
#include <string>
#include <vector>

#include "schedule/step.h"

namespace tenon {

/// Every block under `s` through `f`.
Stmt rewrite_blocks(const Stmt& s, const std::function<Stmt(const BlockNode&)>& f);
/// Every block under `s` with one more condition.
Stmt add_predicate(const Stmt& s, const Expr& condition);
/// A copy of the block whose fields are changed by the caller; regions are found anew.
struct BlockParts {
  std::string name;
  std::vector<IterVar> iters;
  std::vector<Expr> bindings;
  Expr predicate;
  Stmt init, body;
  Attrs annotations;
  Span span;
};
BlockParts parts_of(const BlockNode& block);
Stmt make_block(BlockParts parts);

/// Names of the parts of a loop: `i` gives io, ii for two and i0, i1, ... for more.
std::vector<std::string> part_names(const std::string& name, std::size_t count);

/// Raises unless the loop is serial, and its iterations do not overlap as a pipeline.
void require_serial(Step& step, const ForNode& loop, int requirement);
/// The function with the loop's kind changed.
void set_loop_kind(Step& step, const Path& path, ForKind kind);
/// The constant extent of a loop, or the larger of the two of a divided tail (`select(c, a, b)`,
/// `min(a, rest)`).
std::optional<std::int64_t> unit_extent(const ForNode& loop);

/// The only buffer that the block writes; raises E0226 when there are several.
Buffer only_written_buffer(Step& step, const BlockNode& block, int requirement);
/// The buffer of that name which the block reads or writes; raises E0232 when there is none.
Buffer accessed_buffer(Step& step, const BlockNode& block, const std::string& name,
                       int requirement);
/// The position on the path of the statement of the root's sequence.
std::size_t top_level_position(const Path& path);
/// The part of a path up to position `last`, included.
Path path_up_to(const Path& path, std::size_t last);
/// Marks the loops that only the block at the end of the path used as gone.
void consume_loops_around(Step& step, const Path& path, const std::string& why);
/// The function without the allocation of a buffer.
void remove_allocation(Step& step, const Buffer& buffer);

/// split and reorder as other primitives use them.
std::vector<LoopRef> split_loop(Step& step, const LoopRef& loop, const Factors& factors,
                                const std::string& tail);
void reorder_loops(Step& step, const std::vector<LoopRef>& loops);

}  // namespace tenon
