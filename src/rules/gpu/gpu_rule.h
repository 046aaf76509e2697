#pragma once

/// Default schedules for GPUs, one rule for each structural class. Rules follow the conventions of
/// rules/rule.h: an ordinary schedule, ScheduleError where a rule does not fit.
///
/// **Order of sums** (design 3a (e)): it depends on the class and on the extents of the reduction
/// alone, so that results are the same alone and in a batch.

#include <optional>
#include <string>
#include <vector>

#include "rules/rule.h"

namespace tenon::rules::gpu {

/// Threads of a block where nothing else decides.
constexpr std::int64_t kThreads = 256;

/// Binds a loop to blocks of `threads` threads: one element a thread, or `vector` neighbouring
/// ones as one access. Consumes the loop.
void bind_elements(Schedule& s, const LoopRef& loop, std::int64_t threads, std::int64_t vector = 1);

/// Whether the block reads two elements, each by a spatial iter that the other has not: a tile
/// would reuse both. Sizes do not matter.
bool is_product(const BlockInfo& info);

/// The loops of a block that are its own, those of the context (steps of a scan) left out.
std::vector<LoopRef> own_loops(Schedule& s, const BlockInfo& info);

/// The spatial iters in the order of the result's dimensions; E0299 where an iter is none of them.
std::vector<int> iters_of_result(const BlockInfo& info);

/// One element of the result a thread: element-wise blocks, gathers, copies, and reductions whose
/// terms a thread adds up in order (elementwise.cpp).
void schedule_elements(RuleContext& context, const BlockInfo& info);

/// The same with the last three spatial axes on the axes of the grid, the last one divided by
/// threads, the others in each thread: for symbolic sizes whose product hides which elements are
/// distinct (elementwise.cpp).
void schedule_elements_by_axes(RuleContext& context, const BlockInfo& info);

/// An element-wise block that reads one operand across the rows of what it writes: tiles of 32 x 32
/// through shared memory, blocks of 32 x 8 threads (transpose.cpp).
void bind_transpose(RuleContext& context, const BlockInfo& info);

/// Updates in their order, or a scan that is one block: each thread has columns of its own and
/// takes the steps one after the other (scatter.cpp).
void bind_scatter(RuleContext& context, const BlockInfo& info);

/// One block of one thread around all loops of `block` but those of its context (fallback.cpp).
void bind_unit_loop(RuleContext& context, const std::string& block, int num_context);

/// The outermost loop that may be is bound, the others run in each thread; a block that allows
/// nothing runs in one thread (fallback.cpp). Never raises.
void bind_fallback(RuleContext& context, const std::string& block, int num_context);

/// The threads that add up a row of `extent` terms (-1: not constant): a power of two from 2 to 256
/// that holds it, if one does. Term p joins lane p mod 256 whatever this is, so that constant and
/// symbolic sizes have the same bits.
std::int64_t row_threads(std::int64_t extent);

/// The loops around `block` that are inside of `around`, outermost first.
std::vector<LoopRef> loops_inside(const Schedule& s, const std::string& block,
                                  const LoopRef& around);

/// The extent of a loop when it is constant, else -1.
std::int64_t loop_extent(const Schedule& s, const LoopRef& loop);

/// Directly nested loops as at most three, for the axes of the grid: the first of more are fused.
/// They are not fused where it can be helped: what is private to a block of threads is harder to
/// prove through quotients.
std::vector<LoopRef> grid_loops(Schedule& s, const std::vector<LoopRef>& loops);
/// Binds up to three loops to blockIdx.x, y and z.
void bind_grid(Schedule& s, const std::vector<LoopRef>& grid);

/// A row reduction over the threads of a block: `terms` adds up those of each thread, `block` joins
/// the threads.
struct ThreadRow {
  /// The loops over the threads of both parts.
  struct Lanes {
    LoopRef terms, joined;
  };
  std::string block, terms;
};
/// Divides the reduction, a nest of its own as written, into the two, each a nest of its own. Where
/// the reduction has several axes the last ones that count as one are divided, the others run in
/// each thread.
ThreadRow divide_row_over_threads(RuleContext& context, const BlockInfo& info);
/// Computes `terms` under the loop `around`, where `block` is already.
ThreadRow::Lanes place_row_terms(RuleContext& context, const ThreadRow& row, const LoopRef& around);
/// Binds both parts, once they are in their places.
void bind_row(RuleContext& context, const ThreadRow& row, const ThreadRow::Lanes& lanes);

/// A block of threads a row, joined by halving (row_reduction.cpp). Refuses reductions without a
/// join (E0299), such as those of an index.
void bind_row_reduction(RuleContext& context, const BlockInfo& info);

/// A reduction over leading axes that is no product: blocks of 32 columns by 8 threads, each of
/// which adds up a part of the terms (column_sum.cpp).
void bind_column_sum(RuleContext& context, const BlockInfo& info);

/// Several blocks over the same rows as one kernel, a block of threads a row; `before` gets those
/// that make what several rows read and have kernels of their own (row_chain.cpp). False when the
/// blocks of the function do not fit.
bool bind_row_chain(RuleContext& context, std::vector<std::string>* before);

/// A product whose operands both have an axis of their own: tiles of 64 x 64 (smaller for small
/// ones) by blocks of 16 x 16 threads, operands through shared memory, sums in registers.
/// `consumer` is an element-wise block that reads the result at the same place (contraction.cpp).
void bind_contraction(RuleContext& context, const BlockInfo& info,
                      const std::optional<std::string>& consumer);

/// A product whose operands are read through windows, or along several axes: convolutions and their
/// gradients. A block of threads makes a tile of one or two axes by another one; what a step of it
/// needs of each operand is laid out anew in shared memory, a dimension for each axis (window.cpp).
void bind_window(RuleContext& context, const BlockInfo& info,
                 const std::optional<std::string>& consumer);

/// A window of few terms that is no product (depthwise, pooling): a thread makes four neighbours
/// along the window, channels on threadIdx.x (neighbours.cpp).
void bind_neighbours(RuleContext& context, const BlockInfo& info,
                     const std::optional<std::string>& consumer);

/// A product of bfloat16 or float16 matrices with float32 sums on tensor cores, all sizes constant
/// multiples of 16; operands may lie the other way round. `consumer` as above (tensor_product.cpp).
void bind_tensor_product(RuleContext& context, const BlockInfo& info,
                         const std::optional<std::string>& consumer);

/// Schedules every block of the function (schedule.cpp).
void schedule_function(RuleContext& context);

}  // namespace tenon::rules::gpu
