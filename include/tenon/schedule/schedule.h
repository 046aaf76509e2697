#pragma once

/// Schedules: a function and the steps that rewrite it.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tenon/ir/function.h"
#include "tenon/schedule/decision.h"
#include "tenon/schedule/handle.h"
#include "tenon/schedule/primitive.h"
#include "tenon/schedule/trace.h"

namespace tenon {

class Recorder;
struct ScheduleState;

/// Named arguments of a primitive; what is missing gets its default.
using NamedArguments = std::vector<std::pair<std::string, ScheduleValue>>;

/// Holds a function at block level and rewrites it, one primitive at a time.
///
/// Every primitive returns handles and may raise ScheduleError; the schedule is then as it was
/// before. Loops keep their handles until a primitive consumes them (`split`, `fuse`, `tile`, the
/// old loops of a moved block). The result computes the same values; steps marked `reassociates` in
/// the trace may change the bits of a float sum or product, no others do. `span` is the user's
/// line, which errors show. Copies are independent.
///
/// **Divided tails.** After a split with tail="partition" or "balance" the inner extent has two
/// values: `min(f, n - o*f)` or `select(o < q, b, b + 1)`. Lowering divides the loop (or its body)
/// there, so that each part has an extent of its own.
class Schedule {
 public:
  /// The function must be at block level (an InternalError otherwise).
  explicit Schedule(Function f);
  Schedule(const Schedule& other);
  Schedule(Schedule&&) noexcept;
  Schedule& operator=(Schedule other) noexcept;
  ~Schedule();

  /// The function as it is now.
  const Function& function() const;
  /// The loops around a block, outermost first.
  std::vector<LoopRef> loops(const std::string& block, Span span = {}) const;
  std::vector<LoopRef> loops(const BlockRef& block, Span span = {}) const {
    return loops(block.name, std::move(span));
  }
  /// The handle of a block; raises E0202 when there is none.
  BlockRef block(const std::string& name, Span span = {}) const;
  /// All blocks in program order.
  std::vector<BlockRef> blocks() const;

  /// The steps so far; look-ups of loops are written where a step first needs them.
  const Trace& trace() const;
  /// Applies any registered primitive.
  ScheduleValue apply(const std::string& primitive, const NamedArguments& arguments,
                      Span span = {});

  // --- decisions (docs/design/tuner.md) ---

  /// What later samples take, by name. A name that no sample asks for is ignored; a value that is
  /// none of its options is refused by the sample. Replaces what was given before.
  void use_decisions(DecisionValues values);
  /// The decisions so far, in the order taken.
  const std::vector<Decision>& decisions() const;
  /// Takes one of some numbers: that of use_decisions, or else `preferred`. Changes nothing.
  ///
  /// Requires: (1) a name that no sample has; (2) options, all different; (3) a preferred one that
  /// is an option; (4) a decision that is an option.
  std::int64_t sample_categorical(const std::string& name, const std::vector<std::int64_t>& options,
                                  std::int64_t preferred, Span span = {});
  /// Takes `n` factors of the extent of a loop, for `split`: all whose product is the extent and of
  /// which the last is at most `max_innermost` are options. Without a preferred one that is the
  /// one with the largest last factor, the others as far out as they go. Changes nothing.
  ///
  /// Requires: (1) a name that no sample has; (2) a loop of constant extent of at least 1, 2 to 4
  /// factors, and max_innermost of at least 1; (3) and (4) as above.
  Factors sample_tile(const std::string& name, const LoopRef& loop, std::int64_t n,
                      std::int64_t max_innermost = 16, const Factors& preferred = {},
                      Span span = {});
  /// Takes a place for a block: a loop around the only block that reads what it makes, counted from
  /// the outermost, to which compute_at can move it; -2 to inline it; -1 to leave it where it is.
  /// The places where this is legal are the options. Changes nothing.
  ///
  /// Requires: (1) a name that no sample has; (2) a block; (3) and (4) as above.
  std::int64_t sample_compute_location(const std::string& name, const BlockRef& block,
                                       std::int64_t preferred = -1, Span span = {});

  // --- loops ---

  /// Replaces a loop by a nest of loops that run over the same iterations in the same order. One
  /// factor may be absent and is then computed. Returns the new loops, outermost first; consumes
  /// `loop`.
  ///
  /// Requires: (1) the loop is serial; (2) every factor is positive or absent; (3) there are at
  /// least two; (4) at most one is absent; (5) if none is, their product is at least the extent,
  /// which is constant; (6) `tail` is "mask" (blocks get a condition), "partition" (full tiles,
  /// then a smaller one) or "balance" (tiles whose sizes differ by one), the last two with two
  /// factors; (7) "balance" has a constant extent.
  std::vector<LoopRef> split(const LoopRef& loop, const Factors& factors,
                             const std::string& tail = "mask", Span span = {});
  /// Replaces perfectly nested loops, outermost first, by one loop; consumes them.
  ///
  /// Requires: (1) at least two loops, each the whole body of the one before; (2) all serial; (3)
  /// no extent changes with another.
  LoopRef fuse(const std::vector<LoopRef>& loops, Span span = {});
  /// Puts the loops in the given order, outermost first. Reordering the reduction loops of a float
  /// sum or product reassociates.
  ///
  /// Requires: (1) each loop once; (2) one path, perfectly nested from the outermost to the
  /// innermost; (3) no extent changes with a loop that moves inside; (4) no dependence between
  /// iterations changes its direction.
  void reorder(const std::vector<LoopRef>& loops, Span span = {});
  /// Splits i and j and orders the parts io, jo, ii, ji, which it returns; consumes i and j.
  ///
  /// Requires: (1) j is the whole body of i; (2) what split requires; (3) what reorder requires.
  std::vector<LoopRef> tile(const LoopRef& i, const LoopRef& j, std::int64_t i_factor,
                            std::int64_t j_factor, const std::string& tail = "mask",
                            Span span = {});

  /// Puts a loop of one iteration around a loop (LoopRef) or a block (BlockRef or its name).
  LoopRef add_unit_loop(const ScheduleValue& target, Span span = {});

  // --- execution ---

  /// Runs all iterations of a loop as one vector operation. Over the reduction of a float sum or
  /// product it reassociates.
  ///
  /// Requires: (1) a serial loop; (2) of constant extent (or one of two, see divided tails); (3) no
  /// parallel or vectorized loop inside, none vectorized outside; (4) iterations touch distinct
  /// elements, or join one reduction without init.
  void vectorize(const LoopRef& loop, Span span = {});
  /// Repeats the body once for each iteration. Requires: (1) a serial loop; (2) of constant extent
  /// (or one of two).
  void unroll(const LoopRef& loop, Span span = {});
  /// Runs the iterations on several threads.
  ///
  /// Requires: (1) a serial loop; (2) none parallel inside, only serial ones outside; (3)
  /// iterations touch distinct elements, and no reduction or ordered iter uses the loop.
  void parallel(const LoopRef& loop, Span span = {});
  /// Runs the iterations on the coordinates of `axis` ("blockIdx.x", "threadIdx.y", ...) of the
  /// GPU's grid or block; docs/design/gpu.md says what that means. Over the reduction of a float
  /// sum or product it reassociates. Later steps keep the requirements.
  ///
  /// Requires: (1) a serial loop that starts at 0; (2) one of the six axes; (3) an extent within
  /// the axis' limit, constant for thread axes; (4) block axes directly nested, each once, outside
  /// of thread axes; no parallel loop around or inside, no vectorized one around; (5) inside a loop
  /// of the same thread axis only blocks that write shared memory and do not depend on the outer
  /// loop; (6) at most 1024 threads in a block; (7) iterations of a block axis touch distinct
  /// elements, memory that is not global stays in one; (8) iterations of a thread axis touch
  /// distinct elements, write shared memory alike, or (threadIdx.x, a power of two) join one
  /// reduction without init; private memory stays in one.
  void bind(const LoopRef& loop, const std::string& axis, Span span = {});

  /// Attaches a value (integer, float or text) to a loop or a block. Requires: (1) the key is not
  /// empty.
  void annotate(const ScheduleValue& target, const std::string& key, const ScheduleValue& value,
                Span span = {});

  // --- tensor instructions and pipelines ---

  /// Makes a nest of loops the body of the block inside, which then runs once for each tile of
  /// their extents: iters count tiles. Consumes the loops, returns the block.
  ///
  /// Requires: (1) the loop and those inside are serial and hold one block, perfectly nested; (2)
  /// the block has no init; (3) the loops run from 0 to a constant; (4) each iter runs over whole
  /// tiles, and no condition uses the loops.
  BlockRef blockize(const LoopRef& loop, Span span = {});
  /// Marks a nest of loops (LoopRef, which it blockizes) or a block that blockize made as the
  /// tensor instruction of that name (tenon/ir/tensor_instruction.h). Returns the block.
  ///
  /// Requires: (1) a known instruction; (2) a nest of its loops, in any order, around one store;
  /// (3) the store computes what the instruction does, on buffers of its dtypes and scopes, with
  /// rows of consecutive elements; (4) each fragment is one kind of operand in all instructions.
  BlockRef tensorize(const ScheduleValue& target, const std::string& instruction, Span span = {});
  /// Lets a copy run on its own until it is waited for.
  ///
  /// Requires: (1) the block stores what it loads; (2) from global to shared memory.
  void async_copy(const BlockRef& block, Span span = {});
  /// Lets the asynchronous copies in a loop run `stages - 1` iterations ahead of what uses them.
  ///
  /// Requires: (1) a serial loop; (2) 2 to 8 stages; (3) each statement of its body is asynchronous
  /// copies or holds none, and there are both; (4) what the copies read is not written in the loop,
  /// what they write is read in the loop only.
  void software_pipeline(const LoopRef& loop, std::int64_t stages, Span span = {});
  /// Pads the buffer that a block writes, when it is lowered: the stride of dimension `axis`
  /// becomes the smallest that is `offset` more than a multiple of `factor` elements.
  ///
  /// Requires: (1) the block writes one buffer; (2) in shared, local or register memory; (3) not
  /// the last dimension; (4) a factor of at least 1 and an offset less than it.
  void storage_align(const BlockRef& block, std::int64_t axis, std::int64_t factor,
                     std::int64_t offset = 0, Span span = {});

  // --- placement ---

  /// Moves a block under a loop, after the blocks there that make what it reads, with fresh serial
  /// loops (one per iter) over the part made there. The block's old loops die.
  ///
  /// Requires: (1) the loop is not around the block; (2) a block under it writes what the block
  /// reads; (3) that is complete after one iteration; (4) what is made there is a box, each index
  /// of those reads is one iter plus a constant, the same in all reads, and a reduction gets all
  /// its terms; (5) all else that the block reads is complete before the statement that holds the
  /// loop, next to that of the block; (6) nothing from there to the block touches what it writes.
  void reverse_compute_at(const BlockRef& block, const LoopRef& loop, Span span = {});

  /// Moves a block under a loop, before the blocks there that read what it makes, with fresh serial
  /// loops (one per iter) over the part that they need. The block's old loops die.
  ///
  /// Requires: (1) the block writes one buffer, which no other block writes; (2) that is no output;
  /// (3) every block that reads it is under the loop, and there is one; (4) no other block is in
  /// the block's outermost loop.
  void compute_at(const BlockRef& block, const LoopRef& loop, Span span = {});
  /// Replaces every read of what the block makes by the block's expression; removes block and
  /// buffer.
  ///
  /// Requires: (1) a body of one store, no reduction; (2) its buffer is no output and nobody else
  /// writes it; (3) each index of the store is an iter of its own, and the value uses no other
  /// iter.
  void compute_inline(const BlockRef& block, Span span = {});
  /// Computes an element-wise block where its operand is made. The producer's loops stay; the
  /// merged block has the name of `block`.
  ///
  /// Requires: (1) bodies of one store, no reduction, in both; (2) the block reads one buffer that
  /// a block makes, which nobody else reads or writes and which is no output; (3) one element of
  /// it, each dimension by an iter of its own over all of it.
  void reverse_compute_inline(const BlockRef& block, Span span = {});

  // --- storage ---

  /// Lets `block` write a new buffer `<buffer>_<scope>` and returns the new block `<block>_<scope>`
  /// that copies it to the old one, after the block's outermost loop. `block` keeps its name and
  /// handles.
  ///
  /// Requires: (1) the block writes exactly one buffer; (2) no other block writes it, and none
  /// reads it inside the block's loops; (3) the part that it writes has no holes.
  BlockRef cache_write(const BlockRef& block, const std::string& scope, Span span = {});

  /// Lets `block` read a new buffer `<buffer>_<scope>`; returns the new block of that name that
  /// copies to it what the block needs, before the block's outermost loop.
  ///
  /// Requires: (1) the block reads the buffer and does not write it; (2) no block inside its
  /// outermost loop writes it; (3) one block makes every element of the part that it reads, unless
  /// it is an input.
  BlockRef cache_read(const BlockRef& block, const std::string& buffer, const std::string& scope,
                      Span span = {});
  /// Lets `block` read a new buffer `<buffer>_<scope>` with a dimension for each of its iters that
  /// the element depends on (for `v // c` its quotient), reduction iters first: a window unrolled,
  /// as im2col does. Returns the new block of that name, which fills it before the block's
  /// outermost loop, with 0 where there is no such element (a block reads those under no
  /// condition that holds).
  ///
  /// Requires: (1) the block reads one element of the buffer in an iteration, and does not write
  /// it; (2) that depends on its iters alone; (3) no block inside its outermost loop writes it; (4)
  /// one block makes every element of it, unless it is an input.
  BlockRef reindex(const BlockRef& block, const std::string& buffer, const std::string& scope,
                   Span span = {});
  /// Changes the scope of the buffer that the block writes. Requires: (1) it writes one; (2) that
  /// is no parameter.
  void set_scope(const BlockRef& block, const std::string& scope, Span span = {});
  /// Stores an intermediate buffer in another order: element `vars` goes to `results`, which are
  /// quotients and remainders of the variables by constants (`v`, `v // a`, `v % b`, `v // a % b`).
  /// Loops do not change.
  ///
  /// Requires: (1) the block uses the buffer; (2) it is no parameter; (3) one variable for each
  /// dimension, results of the forms above; (4) the results determine every variable.
  void transform_layout(const BlockRef& block, const std::string& buffer, const IndexMap& index_map,
                        Span span = {});

  // --- reductions ---

  /// Moves the init of a reduction into a new block `<block>_init` before `loop`, whose copied
  /// loops keep kind and annotations.
  ///
  /// Requires: (1) the block has an init; (2) the loop is around it; (3) no loop outside runs over
  /// its reduction; (4) each loop inside, and each
  /// condition, is either spatial or of the reduction; (5) the loop and those inside reach each
  /// element once for each term.
  BlockRef decompose_reduction(const BlockRef& block, const LoopRef& loop, Span span = {});
  /// Divides a reduction over one of its loops: a new block `<block>_rf` keeps all the loops, of
  /// which `loop` is spatial now, and fills buffer `<buffer>_rf`, which has one dimension more at
  /// `axis`; `block` then joins it over that dimension in fresh loops after it. Reassociates for
  /// float sums and products. Returns the new block.
  ///
  /// Requires: (1) one block with init under the loop, a sum, product, min or max; (2) the loop
  /// runs over its reduction only; (3) the extents of its reduction loops change with no other
  /// loop, and its reduction iters use reduction loops only; (4) the axis is one of the new
  /// buffer's; (5) no other block writes its buffer, and
  /// none reads it inside the block's loops.
  BlockRef rfactor(const LoopRef& loop, std::int64_t axis = 0, Span span = {});
  /// Splits a reduction loop into blocks of whole iterations that have at most `terms` terms: of
  /// max(1, terms // L) iterations, L being the product of the extents of the block's reduction
  /// loops inside, which may be symbolic. Blocks get a condition where the last one may be shorter.
  /// Returns the loop over the blocks and the one inside; consumes `loop`.
  ///
  /// Requires: (1) the loop is serial; (2) `terms` is at least 1; (3) one block is under the loop,
  /// which runs over its reduction only; (4) the extents of its reduction loops inside change with
  /// no other loop.
  std::vector<LoopRef> split_terms(const LoopRef& loop, std::int64_t terms, Span span = {});

 private:
  std::unique_ptr<ScheduleState> state_;
  std::unique_ptr<Recorder> recorder_;
};

}  // namespace tenon
