#pragma once

/// One rule per structural class. A rule writes an ordinary schedule; it may raise ScheduleError,
/// whereupon the caller goes back.

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "rules/block_info.h"
#include "tenon/runtime/target.h"
#include "tenon/schedule/schedule.h"

namespace tenon::rules {

/// What a rule works on. `s` is rewritten.
struct RuleContext {
  Schedule& s;
  const Target& target;
  /// The rules that fitted, with the block ("" for all blocks): for reports.
  std::vector<std::pair<std::string, std::string>> applied = {};
  /// Choices are samples, which a tuner may decide; else they are what the rule prefers, and leave
  /// no step in the trace.
  bool offers_decisions = false;
};

/// One of the options, to which the preferred one is added: what the tuner wants, or the preferred
/// one. Offer only what keeps every bit. `name` is "<block>.<role>" (choice.cpp).
std::int64_t choose(RuleContext& context, const std::string& name,
                    std::vector<std::int64_t> options, std::int64_t preferred);
bool choose(RuleContext& context, const std::string& name, bool preferred);
/// Whether a block's loops run in several threads, which is preferred where they are worth it.
bool runs_in_threads(RuleContext& context, const std::string& block, std::int64_t elements);
/// Elements of one vector operation.
std::int64_t choose_lanes(RuleContext& context, const std::string& block, std::int64_t preferred);

/// Inlines element-wise blocks where that costs nothing (inline_elementwise.cpp).
void inline_elementwise(RuleContext& context);

/// Lanes along the innermost axis, whole chunks in parallel (elementwise.cpp).
void schedule_elementwise(RuleContext& context, const BlockInfo& info);

/// An element-wise block that reads across the lanes of what it writes.
struct TransposeAxes {
  int lane = -1;  ///< neighbours are next to each other in the output
  int row = -1;   ///< neighbours are next to each other in the operand that is read across
};
std::optional<TransposeAxes> transpose_axes(const BlockInfo& info, int lanes);
/// The side of the squares that are transposed in registers.
int transpose_lanes(const Target& target, DType dtype);
/// Squares of these two loops, in which lowering reads rows (pass transpose_tiles); returns the
/// loops over the squares, outermost first.
std::vector<LoopRef> tile_transpose(RuleContext& context, const LoopRef& row, const LoopRef& lane,
                                    DType dtype);
/// A transposing copy, or anything element-wise that reads so (transpose.cpp).
void schedule_transpose(RuleContext& context, const BlockInfo& info, const TransposeAxes& axes);

/// Design 3a (b): a block of a float sum or product is 4096 indices of its only axis, or
/// max(1, 4096 div L) steps of the outermost of several, L being the product of the other extents.
constexpr std::int64_t kBlockTerms = 4096;

/// A chain in blocks of terms: the block `sums` adds up the terms of each, the reduction itself
/// adds the blocks left to right (chain_blocks.cpp).
struct ChainBlocks {
  std::string sums;
  LoopRef block;               ///< over the blocks, around the terms of `sums`, in its own nest
  LoopRef joined;              ///< over the blocks, the only reduction loop of the block itself
  std::vector<LoopRef> terms;  ///< of one block, the reduction loops of `sums`
};
/// How the terms of a chain are divided. It is one block where it is short, of another order or in
/// a step of a scan.
struct BlocksOfTerms {
  std::int64_t steps = -1;  ///< of the outermost reduction axis in each; -1: not constant
  std::int64_t count = 1;   ///< -1: not constant, and the chain is divided
};
BlocksOfTerms blocks_of_terms(const BlockInfo& info);
/// Divides the reduction, which is a nest as written, where it has several blocks. The loops that
/// the block had are then those of `sums`.
std::optional<ChainBlocks> divide_chain(RuleContext& context, const BlockInfo& info);
/// Computes the sums of one block in registers where the block itself, tiled, adds them up: the
/// terms outside, `row` (an iter, or -1) unrolled, `column` in lanes. Returns the loops of the
/// terms.
std::vector<LoopRef> place_sums(RuleContext& context, const BlockInfo& info,
                                const std::string& sums, const LoopRef& around, int row,
                                int column);

/// Whether threads are to share the blocks of each sum, because they cannot share evenly the
/// `shared` iterations (-1: unknown) of the outermost loop.
bool threads_share_blocks(const RuleContext& context, const BlockInfo& info, std::int64_t shared);
/// Schedules the reduction of a divided chain whose sums are a nest of their own (contraction.cpp).
void join_blocks(RuleContext& context, const std::string& block,
                 const std::optional<std::string>& consumer);

/// Register tiles with the accumulators in registers over the reduction; `consumer` is an
/// element-wise block that reads the result at the same place (contraction.cpp).
void schedule_contraction(RuleContext& context, const BlockInfo& info,
                          const std::optional<std::string>& consumer);

/// Whether the block is a reduction that reads an operand at combinations of a spatial and a
/// reduction iter (convolutions and their gradients, pooling), or a product over pixels: of several
/// reduction axes, or with an operand that several axes share.
bool is_window(const BlockInfo& info);

/// Register tiles of pixels (or other iters along which weights are reused) by channels, padding
/// kept out of the interior (convolution.cpp).
void schedule_convolution(RuleContext& context, const BlockInfo& info,
                          const std::optional<std::string>& consumer);

/// The name of the buffer that a contraction reads across the lanes of its last spatial axis
/// although another layout would make them neighbours; "" when there is none.
std::string unpacked_operand(const BlockInfo& info);

/// Lets the dimension of `buffer` that runs along the last spatial axis of the contraction `block`
/// be its innermost one. The buffer is an intermediate; its loops do not change.
void pack_operand(RuleContext& context, const std::string& block, const std::string& buffer);

/// The blocks besides a contraction under the loops of a row, made before these are joined.
struct RowContraction {
  std::string copy;       ///< writes the accumulators back (made by cache_write)
  std::string sums;       ///< the sums of the blocks of a divided chain; "" for one block
  std::string sums_copy;  ///< writes the accumulators of `sums` back
};
/// A contraction under the loops of a row: accumulators in registers over the reduction, lanes
/// along the last spatial axis. `row` is the innermost of these loops.
void schedule_contraction_in_row(RuleContext& context, const BlockInfo& info,
                                 const RowContraction& parts, const LoopRef& row);

/// A row reduction in parts (design 3a (b)): the 64 accumulators of each block of terms, their
/// joining for each block, and the joining of the blocks. A row of one block has no `blocks`.
struct RowParts {
  std::string block;   ///< the reduction's own name: joins the blocks, or the lanes of the only one
  std::string blocks;  ///< joins the lanes of each block of terms; "" when there is one
  std::string lanes;   ///< fills the accumulators
};
/// Divides the reduction into these, each a nest of its own. What is not to be divided
/// `into_blocks`, because no bits depend on it, is one block.
RowParts divide_row(RuleContext& context, const BlockInfo& info, bool into_blocks);
/// Computes the parts of one block where they are joined, if there are blocks. The reduction itself
/// is in its place, its loop over the blocks the innermost one.
void place_row(RuleContext& context, const RowParts& row);
/// Vectorizes the parts once they are in their places.
void finish_row(RuleContext& context, const RowParts& row);

/// 64 lanes along the reduction, joined by halving (row_reduction.cpp).
void schedule_row_reduction(RuleContext& context, const BlockInfo& info);

/// The updates of a scatter in their order: ranges of columns in parallel, lanes along them
/// (scatter.cpp). Likewise the steps of a scan that is one block, such as running sums.
void schedule_scatter(RuleContext& context, const BlockInfo& info);

/// Several blocks over the same leading axes, run together for each (row_chain.cpp). False when the
/// blocks do not fit.
bool schedule_row_chain(RuleContext& context);
/// Whether the blocks look like such a chain, which the rule then tries.
bool is_row_chain(const RuleContext& context);

/// The block's outermost loop, after those of its context, in parallel when it may be
/// (default_schedule.cpp).
void schedule_fallback(RuleContext& context, const std::string& block, int num_context);

/// The only block that reads what `producer` makes, when it is element-wise and reads each element
/// once at its own place (default_schedule.cpp).
std::optional<std::string> sole_consumer(const std::vector<BlockInfo>& blocks,
                                         const BlockInfo& producer, const Function& f);

/// Whether work over so many elements (-1: unknown) is worth several threads.
bool worth_threads(std::int64_t elements);

}  // namespace tenon::rules
