// Every numbered requirement of every primitive, broken once. The expected text is the first line
// and the requirement.

#include <gtest/gtest.h>

#include "schedule/refusal.h"
#include "schedule/workloads.h"
#include "tenon/ir/builder.h"

namespace tenon {
namespace {

using testing::counter_example;
using testing::refusal;

const BlockRef kC = {"C"};

TEST(Split, refuses) {
  Schedule s(testing::matmul(32, 32, 32)), symbolic(testing::symbolic_matmul(8, 8));
  const auto l = s.loops("C");
  s.unroll(l[1]);
  EXPECT_EQ(refusal(s, [&] { s.split(l[1], {std::nullopt, 4}); }),
            R"(split: loop 'j' is unrolled already and should be serial [E0205]
  requires (1): the loop is serial)");
  EXPECT_EQ(refusal(s, [&] { s.split(l[0], {std::nullopt, 0}); }),
            R"(split: factors[1] = 0 for loop 'i' must be at least 1 [E0203]
  requires (2): every factor is a positive integer or None)");
  EXPECT_EQ(refusal(s, [&] { s.split(l[0], {4}); }),
            R"(split: loop 'i' needs at least 2 factors, got 1 [E0206]
  requires (3): there are at least two factors)");
  EXPECT_EQ(
      refusal(s, [&] { s.split(l[0], {std::nullopt, std::nullopt}); }),
      R"(split: factors[0] and factors[1] of loop 'i' are both None; at most one can be computed [E0207]
  requires (4): at most one factor is None)");
  EXPECT_EQ(refusal(s, [&] { s.split(l[0], {4, 4}); }),
            R"(split: product of factors 16 of loop 'i' is less than extent 32 [E0208]
  requires (5): without a None the product of the factors is at least the extent, which is constant)");
  EXPECT_EQ(refusal(symbolic, [&] { symbolic.split(symbolic.loops("C")[0], {4, 4}); }),
            R"(split: loop 'i' has the symbolic extent and needs one factor None [E0208]
  requires (5): without a None the product of the factors is at least the extent, which is constant)");
  EXPECT_EQ(refusal(s, [&] { s.split(l[0], {std::nullopt, 4}, "guard"); }),
            R"(split: tail="guard" for loop 'i' should be "mask", "partition" or "balance" [E0209]
  requires (6): tail is "mask", "partition" or "balance"; the last two take exactly two factors)");
  EXPECT_EQ(
      refusal(s, [&] { s.split(l[0], {std::nullopt, 4, 2}, "partition"); }),
      R"(split: loop 'i' gets 3 factors, but tail="partition" and "balance" divide into exactly 2 loops [E0209]
  requires (6): tail is "mask", "partition" or "balance"; the last two take exactly two factors)");
  EXPECT_EQ(
      refusal(symbolic,
              [&] { symbolic.split(symbolic.loops("C")[0], {std::nullopt, 4}, "balance"); }),
      R"(split: loop 'i' has a symbolic extent and cannot be balanced; use tail="mask" or tail="partition" [E0210]
  requires (7): tail="balance" needs a constant extent)");
}

TEST(Handles, that_are_gone_say_what_replaced_them) {
  Schedule s(testing::matmul(32, 32, 32)), other(testing::matmul(32, 32, 32));
  const auto l = s.loops("C");
  s.split(l[0], {std::nullopt, 4});
  EXPECT_EQ(refusal(s, [&] { s.unroll(l[0]); }),
            R"(unroll: loop 'i' no longer exists: split replaced it by 'io', 'ii' [E0201])");
  s.fuse({l[1], l[2]});
  EXPECT_EQ(refusal(s, [&] { s.unroll(l[1]); }),
            R"(unroll: loop 'j' no longer exists: fuse replaced it by 'j_k_f' [E0201])");
  EXPECT_EQ(refusal(other, [&] { other.unroll(l[1]); }),
            R"(unroll: loop 'j' is not in function 'matmul' [E0201])");
  EXPECT_EQ(refusal(s, [&] { s.block("D"); }),
            R"(block: no block 'D' in function 'matmul' [E0202])");
  EXPECT_EQ(refusal(s, [&] { s.apply("split_up", {}); }),
            R"(unknown primitive 'split_up' [E0243])");
  EXPECT_EQ(refusal(s, [&] { s.apply("unroll", {}); }),
            R"(unroll: the argument 'loop' is missing [E0240])");
  EXPECT_EQ(refusal(s, [&] { s.apply("unroll", {{"loop", std::string("i")}}); }),
            R"(unroll: the argument 'loop' should be a loop [E0241])");
  EXPECT_EQ(refusal(s, [&] { s.apply("unroll", {{"loop", l[2]}, {"by", std::int64_t{4}}}); }),
            R"(unroll: there is no argument 'by' [E0242])");
}

TEST(Fuse, refuses) {
  Schedule s(testing::matmul(32, 32, 30));
  const auto l = s.loops("C");
  EXPECT_EQ(refusal(s, [&] { s.fuse({l[0]}); }), R"(fuse: needs at least 2 loops, got 1 [E0211]
  requires (1): there are at least two loops, outermost first, each the whole body of the one before)");
  EXPECT_EQ(refusal(s, [&] { s.fuse({l[0], l[2]}); }),
            R"(fuse: loop 'k' is not the whole body of loop 'i' [E0211]
  requires (1): there are at least two loops, outermost first, each the whole body of the one before)");
  const auto k = s.split(l[2], {std::nullopt, 4}, "partition");
  EXPECT_EQ(refusal(s, [&] { s.fuse({k[0], k[1]}); }),
            R"(fuse: the extent of loop 'ki' changes with a loop that it is fused with [E0212]
  requires (3): no extent changes with another of the loops)");
  s.unroll(l[1]);
  EXPECT_EQ(refusal(s, [&] { s.fuse({l[0], l[1]}); }),
            R"(fuse: loop 'j' is unrolled already and should be serial [E0205]
  requires (2): the loops are serial)");
}

TEST(Reorder, refuses) {
  Schedule s(testing::matmul(30, 32, 32)), chain(testing::softmax_chain(8, 8));
  const auto l = s.loops("C");
  EXPECT_EQ(refusal(s, [&] { s.reorder({l[0], l[0]}); }),
            R"(reorder: loop 'i' is given twice [E0216]
  requires (1): each loop is given once)");
  EXPECT_EQ(refusal(chain, [&] { chain.reorder({chain.loops("M")[0], chain.loops("C")[0]}); }),
            R"(reorder: loop 'i' is not nested with loop 'i': all loops must lie on one path [E0204]
  requires (2): the loops lie on one path, and each loop between the outermost and the innermost holds one loop only)");
  const auto i = s.split(l[0], {std::nullopt, 4}, "partition");
  EXPECT_EQ(
      refusal(s, [&] { s.reorder({i[1], i[0]}); }),
      R"(reorder: the extent of loop 'ii' changes with loop 'io' and must stay inside it [E0214]
  requires (3): no extent changes with a loop that moves inside)");
  s.decompose_reduction(kC, l[2]);
  EXPECT_EQ(refusal(s, [&] { s.reorder({l[2], l[1]}); }),
            R"(reorder: loop 'j' holds more than one statement, so that 'k' cannot leave it [E0213]
  requires (2): the loops lie on one path, and each loop between the outermost and the innermost holds one loop only)");
  Schedule scan(testing::column_scan(8, 8));
  const auto t = scan.split(scan.loops("S")[0], {std::nullopt, 4});
  EXPECT_EQ(
      refusal(scan, [&] { scan.reorder({t[1], t[0]}); }),
      R"(reorder: block 'S' runs in ascending order over the loops of its ordered iters [E0215]
  requires (4): no dependence between iterations changes its direction)");
}

TEST(Tile, refuses) {
  Schedule s(testing::matmul(32, 32, 32));
  const auto l = s.loops("C");
  EXPECT_EQ(refusal(s, [&] { s.tile(l[0], l[2], 4, 4); }),
            R"(tile: loop 'k' is not the whole body of loop 'i' [E0217]
  requires (1): loop j is the whole body of loop i)");
  EXPECT_EQ(refusal(s, [&] { s.tile(l[0], l[1], 0, 4); }),
            R"(tile: factors[1] = 0 for loop 'i' must be at least 1 [E0203]
  requires (2) of split: every factor is a positive integer or None)");
  Schedule uneven(testing::matmul(30, 30, 32));
  const auto i = uneven.split(uneven.loops("C")[0], {std::nullopt, 4}, "balance");
  EXPECT_EQ(
      refusal(uneven, [&] { uneven.tile(i[0], i[1], 2, 2); }),
      R"(tile: the extent of loop 'iio' changes with loop 'ioi' and must stay inside it [E0214]
  requires (3) of reorder: no extent changes with a loop that moves inside)");
}

TEST(Vectorize, refuses) {
  Schedule s(testing::matmul(32, 32, 32)), symbolic(testing::symbolic_matmul(8, 8)),
      gone(testing::column_sum(8, 8));
  const auto l = s.loops("C");
  EXPECT_EQ(
      refusal(s, [&] { s.vectorize(l[2]); }),
      R"(vectorize: loop 'k' runs over a reduction iter of block 'C', which still holds its init [E0221]
  requires (4): iterations touch distinct elements, or join one reduction)");
  s.vectorize(l[1]);
  EXPECT_EQ(refusal(s, [&] { s.vectorize(l[1]); }),
            R"(vectorize: loop 'j' is vectorized already and should be serial [E0205]
  requires (1): the loop is serial)");
  EXPECT_EQ(refusal(symbolic, [&] { symbolic.vectorize(symbolic.loops("C")[0]); }),
            R"(vectorize: the extent of loop 'i' should be constant [E0218]
  requires (2): its extent is constant (or one of two, after a partition or balance split))");
  EXPECT_EQ(refusal(s, [&] { s.vectorize(l[0]); }),
            R"(vectorize: loop 'i' holds the vectorized loop 'j' [E0219]
  requires (3): no loop inside is parallel or vectorized, and no loop outside is vectorized)");
  EXPECT_EQ(refusal(s, [&] { s.vectorize(l[2]); }),
            R"(vectorize: loop 'k' is inside the vectorized loop 'j' [E0219]
  requires (3): no loop inside is parallel or vectorized, and no loop outside is vectorized)");
  const auto fused = gone.fuse({gone.loops("C")[0], gone.loops("C")[1]});
  EXPECT_EQ(
      refusal(gone, [&] { gone.vectorize(fused); }),
      R"(vectorize: loop 'j_i_f' runs over reduction and spatial iters of block 'C' at once [E0221]
  requires (4): iterations touch distinct elements, or join one reduction)");
}

TEST(Unroll, refuses) {
  Schedule s(testing::symbolic_matmul(8, 8));
  const auto l = s.loops("C");
  s.parallel(l[0]);
  EXPECT_EQ(refusal(s, [&] { s.unroll(l[0]); }),
            R"(unroll: loop 'i' is parallel already and should be serial [E0205]
  requires (1): the loop is serial)");
  Schedule other(testing::symbolic_matmul(8, 8));
  EXPECT_EQ(refusal(other, [&] { other.unroll(other.loops("C")[0]); }),
            R"(unroll: the extent of loop 'i' should be constant [E0218]
  requires (2): its extent is constant (or one of two, after a partition or balance split))");
}

TEST(Parallel, refuses) {
  Schedule s(testing::matmul(32, 32, 32));
  const auto l = s.loops("C");
  EXPECT_EQ(refusal(s, [&] { s.parallel(l[2]); }),
            R"(parallel: loop 'k' runs over a reduction iter of block 'C' [E0221]
  requires (3): iterations touch distinct elements; no reduction or ordered iter uses the loop)");
  s.parallel(l[1]);
  EXPECT_EQ(refusal(s, [&] { s.parallel(l[1]); }),
            R"(parallel: loop 'j' is parallel already and should be serial [E0205]
  requires (1): the loop is serial)");
  EXPECT_EQ(refusal(s, [&] { s.parallel(l[0]); }),
            R"(parallel: loop 'i' holds the parallel loop 'j' [E0220]
  requires (2): no loop inside is parallel, and all loops outside are serial)");
  EXPECT_EQ(refusal(s, [&] { s.parallel(l[2]); }),
            R"(parallel: loop 'k' is inside the parallel loop 'j' [E0220]
  requires (2): no loop inside is parallel, and all loops outside are serial)");
}

TEST(Parallel, refuses_ordered_iters_and_shared_elements) {
  Schedule scan(testing::column_scan(8, 8)), window(testing::window_sum(8));
  EXPECT_EQ(refusal(scan, [&] { scan.parallel(scan.loops("S")[0]); }),
            R"(parallel: loop 'i' runs over an ordered iter of block 'S' [E0221]
  requires (3): iterations touch distinct elements; no reduction or ordered iter uses the loop)");
  window.reverse_compute_at(window.cache_write({"T"}, "local"), window.loops("T")[0]);
  const LoopRef unit = window.add_unit_loop(window.loops("T")[0]);
  const auto twice = window.split(unit, {2, 1});
  EXPECT_EQ(
      refusal(window, [&] { window.parallel(twice[0]); }),
      R"(parallel: iterations of loop 'unito' touch the same elements of buffer 'T_local' in block 'T' [E0222]
  requires (3): iterations touch distinct elements; no reduction or ordered iter uses the loop)");
}

TEST(Dependences, are_shown_by_two_iterations) {
  Schedule matmul(testing::matmul(8, 8, 8)), symbolic(testing::symbolic_matmul(8, 8));
  EXPECT_EQ(counter_example([&] { matmul.parallel(matmul.loops("C")[2]); }),
            "counter-example: iterations (i=0, j=0, k=0) and (i=0, j=0, k=1) both write C[0, 0]");
  EXPECT_EQ(counter_example([&] { symbolic.parallel(symbolic.loops("C")[2]); }),
            "counter-example: iterations (i=0, j=0, k=0) and (i=0, j=0, k=1) both write C[0, 0]");
  Schedule scan(testing::column_scan(8, 8));
  EXPECT_EQ(
      counter_example([&] { scan.parallel(scan.loops("S")[0]); }),
      "counter-example: iteration (i=0, j=0) writes S[0, 0], which iteration (i=1, j=0) reads");
  Schedule window(testing::window_sum(8));
  window.reverse_compute_at(window.cache_write({"T"}, "local"), window.loops("T")[0]);
  const LoopRef unit = window.add_unit_loop(window.loops("T")[0]);
  EXPECT_EQ(counter_example([&] { window.parallel(window.split(unit, {2, 1})[0]); }), "");
}

TEST(ComputeAt, refuses) {
  Schedule s(testing::matmul(8, 8, 8)), chain(testing::softmax_chain(8, 8)),
      window(testing::window_sum(8));
  EXPECT_EQ(refusal(s, [&] { s.compute_at(kC, s.loops("C")[0]); }),
            R"(compute_at: block 'C' writes the output 'C' and cannot move to its readers [E0233]
  requires (2): the buffer is no output of the function)");
  EXPECT_EQ(refusal(chain, [&] { chain.compute_at({"E"}, chain.loops("C")[0]); }),
            R"(compute_at: block 'S' reads buffer 'E' outside loop 'i' [E0234]
  requires (3): every block that reads the buffer is under the loop, and there is one)");
  EXPECT_EQ(refusal(chain, [&] { chain.compute_at({"E"}, chain.loops("M")[0]); }),
            R"(compute_at: block 'S' reads buffer 'E' outside loop 'i' [E0234]
  requires (3): every block that reads the buffer is under the loop, and there is one)");
  window.reverse_compute_at(window.cache_write({"T"}, "local"), window.loops("T")[0]);
  EXPECT_EQ(refusal(window, [&] { window.compute_at({"T_local"}, window.loops("C")[0]); }),
            R"(compute_at: block 'T_local' shares its outermost loop with other blocks [E0235]
  requires (4): no other block is in the block's outermost loop)");
  chain.decompose_reduction({"M"}, chain.loops("M")[1]);
  EXPECT_EQ(refusal(chain, [&] { chain.compute_at({"M"}, chain.loops("E")[0]); }),
            R"(compute_at: block 'M_init' writes buffer 'M' too [E0226]
  requires (1): the block writes one buffer, which no other block writes)");
}

TEST(ReverseComputeAt, refuses) {
  Schedule chain(testing::softmax_chain(8, 8)), window(testing::window_sum(8));
  EXPECT_EQ(refusal(chain, [&] { chain.reverse_compute_at(kC, chain.loops("C")[0]); }),
            R"(reverse_compute_at: loop 'i' is around block 'C' already [E0228]
  requires (1): the loop is not around the block)");
  EXPECT_EQ(refusal(chain, [&] { chain.reverse_compute_at(kC, chain.loops("M")[0]); }),
            R"(reverse_compute_at: no block under loop 'i' writes what block 'C' reads [E0229]
  requires (2): a block under the loop writes what the block reads)");
  EXPECT_EQ(
      refusal(chain, [&] { chain.reverse_compute_at({"E"}, chain.loops("M")[1]); }),
      R"(reverse_compute_at: block 'M' is not complete under loop 'j': loop 'j' runs over its reduction [E0230]
  requires (3): what it reads there is complete after one iteration of the loop)");
  EXPECT_EQ(
      refusal(window, [&] { window.reverse_compute_at(kC, window.loops("T")[0]); }),
      R"(reverse_compute_at: block 'C' reads dimension 0 of buffer 'T' by an index that is not one iter [E0231]
  requires (4): what is made there is a box, each index of those reads is one iter plus a constant, the same in all reads, and a reduction gets all its terms)");
  EXPECT_EQ(
      refusal(chain, [&] { chain.reverse_compute_at({"S"}, chain.loops("E")[1]); }),
      R"(reverse_compute_at: the loop makes only a part of what the reduction of block 'S' needs [E0231]
  requires (4): what is made there is a box, each index of those reads is one iter plus a constant, the same in all reads, and a reduction gets all its terms)");
  EXPECT_EQ(
      refusal(chain, [&] { chain.reverse_compute_at(kC, chain.loops("E")[0]); }),
      R"(reverse_compute_at: block 'C' reads buffer 'S', which block 'S' completes after loop 'i' begins [E0274]
  requires (5): all else that the block reads is complete before the statement with the loop)");
}

TEST(ReverseComputeAt, refuses_to_write_before_another_block_does) {
  Schedule s(testing::updated_copy(8));
  EXPECT_EQ(refusal(s, [&] { s.reverse_compute_at({"R"}, s.loops("T")[0]); }),
            R"(reverse_compute_at: block 'R_init' writes buffer 'R' too [E0226]
  requires (6): nothing from there to the block touches what the block writes)");
}

TEST(ReverseComputeAt, refuses_a_part_that_is_not_a_box) {
  Schedule s(testing::matmul(8, 6, 4));
  const BlockRef copy = s.cache_write(kC, "local");
  const LoopRef f = s.fuse({s.loops("C")[0], s.loops("C")[1]});
  const auto parts = s.split(f, {std::nullopt, 4});
  EXPECT_EQ(
      refusal(s, [&] { s.reverse_compute_at(copy, parts[0]); }),
      R"(reverse_compute_at: what block 'C' makes of buffer 'C_local' under the loop is no box [E0231]
  requires (4): what is made there is a box, each index of those reads is one iter plus a constant, the same in all reads, and a reduction gets all its terms)");
}

TEST(ComputeInline, refuses) {
  Schedule chain(testing::softmax_chain(8, 8)), two(testing::elementwise_chain(8));
  EXPECT_EQ(
      refusal(chain, [&] { chain.compute_inline({"M"}); }),
      R"(compute_inline: block 'M' is no element-wise block: it has reduction or ordered iters [E0236]
  requires (1): the block's body is one store, without reduction)");
  EXPECT_EQ(refusal(two, [&] { two.compute_inline(kC); }),
            R"(compute_inline: block 'C' writes the output 'C' [E0233]
  requires (2): the buffer is no output, and no other block writes it)");
  const Expr i = var("i");
  two.transform_layout({"T"}, "T", {{i}, {floordiv(i, imm(2)), floormod(i, imm(2))}});
  EXPECT_EQ(refusal(two, [&] { two.compute_inline({"T"}); }),
            R"(compute_inline: an index of buffer 'T' in block 'T' is not an iter of its own [E0237]
  requires (3): each index of the store is an iter of its own, and the value uses no other iter)");
}

TEST(ReverseComputeInline, refuses) {
  Schedule chain(testing::softmax_chain(8, 8)), pad(testing::padded_select(8));
  EXPECT_EQ(
      refusal(chain, [&] { chain.reverse_compute_inline({"S"}); }),
      R"(reverse_compute_inline: block 'S' should have one store as its body and no reduction [E0236]
  requires (1): the block and its producer have one store each as their bodies, without reduction)");
  EXPECT_EQ(
      refusal(chain, [&] { chain.reverse_compute_inline(kC); }),
      R"(reverse_compute_inline: block 'C' reads 2 buffers that blocks make and should read exactly one [E0238]
  requires (2): the block reads one buffer that a block makes, which nothing else reads or writes and which is no output)");
  EXPECT_EQ(refusal(chain, [&] { chain.reverse_compute_inline({"E"}); }),
            R"(reverse_compute_inline: block 'M' reads buffer 'M' too [E0238]
  requires (2): the block reads one buffer that a block makes, which nothing else reads or writes and which is no output)");
  EXPECT_EQ(refusal(pad, [&] { pad.reverse_compute_inline(kC); }),
            R"(reverse_compute_inline: block 'C' reads buffer 'P' at more than one place [E0239]
  requires (3): it reads one element of it, each dimension by an iter of its own over the whole dimension)");
}

TEST(CacheWrite, refuses) {
  Schedule chain(testing::elementwise_chain(8)), done(testing::column_sum(8, 8));
  chain.compute_at({"T"}, chain.loops("C")[0]);
  EXPECT_EQ(refusal(chain, [&] { chain.cache_write({"T"}, "local"); }),
            R"(cache_write: block 'C' reads buffer 'T' inside the loops of block 'T' [E0227]
  requires (2): no other block writes the buffer, and none reads it inside the block's loops)");
  EXPECT_EQ(refusal(done, [&] { done.cache_write(kC, "cache"); }),
            R"(unknown scope 'cache' [E0250])");
}

TEST(CacheRead, refuses) {
  Schedule chain(testing::elementwise_chain(8));
  EXPECT_EQ(refusal(chain, [&] { chain.cache_read(kC, "B", "local"); }),
            R"(cache_read: block 'C' does not use a buffer 'B' [E0232]
  requires (1): the block reads the buffer, and does not write it)");
  EXPECT_EQ(refusal(chain, [&] { chain.cache_read(kC, "C", "local"); }),
            R"(cache_read: block 'C' writes buffer 'C' [E0260]
  requires (1): the block reads the buffer, and does not write it)");
  chain.compute_at({"T"}, chain.loops("C")[0]);
  EXPECT_EQ(refusal(chain, [&] { chain.cache_read(kC, "T", "local"); }),
            R"(cache_read: block 'T' makes buffer 'T' inside the loops of block 'C' [E0261]
  requires (2): no block inside the block's outermost loop writes it)");
}

TEST(Caches, refuse_to_copy_what_was_not_made) {
  Schedule s(testing::elementwise_chain(7));
  const Expr i = var("i");
  s.transform_layout({"T"}, "T", {{i}, {floordiv(i, imm(2)), floormod(i, imm(2))}});
  EXPECT_EQ(refusal(s, [&] { s.cache_write({"T"}, "local"); }),
            R"(cache_write: block 'T' leaves elements of its part of buffer 'T' out [E0275]
  requires (3): the part of the buffer that the block writes has no holes)");
  EXPECT_EQ(
      refusal(s, [&] { s.cache_read(kC, "T", "local"); }),
      R"(cache_read: not every element of buffer 'T' that would be copied for block 'C' has been made [E0275]
  requires (3): one block makes every element of the part that the block reads, unless it is an input)");
}

TEST(Reindex, refuses) {
  Schedule chain(testing::elementwise_chain(8)), rows(testing::gather(4, 3, 5));
  EXPECT_EQ(refusal(chain, [&] { chain.reindex(kC, "C", "local"); }),
            R"(reindex: block 'C' writes buffer 'C' [E1300]
  requires (1): the block reads one element of the buffer in an iteration, and does not write it)");
  EXPECT_EQ(
      refusal(rows, [&] { rows.reindex(kC, "A", "local"); }),
      R"(reindex: block 'C' reads buffer 'A' at places that loops inside of it or memory decide [E1301]
  requires (2): the element depends on the block's iters alone)");
  chain.compute_at({"T"}, chain.loops("C")[0]);
  EXPECT_EQ(refusal(chain, [&] { chain.reindex(kC, "T", "local"); }),
            R"(reindex: block 'T' makes buffer 'T' inside the loops of block 'C' [E0261]
  requires (3): no block inside the block's outermost loop writes the buffer)");
  Schedule s(testing::elementwise_chain(7));
  const Expr i = var("i");
  s.transform_layout({"T"}, "T", {{i}, {floordiv(i, imm(2)), floormod(i, imm(2))}});
  EXPECT_EQ(
      refusal(s, [&] { s.reindex(kC, "T", "local"); }),
      R"(reindex: not every element of buffer 'T' that would be copied for block 'C' has been made [E0275]
  requires (4): one block makes every element of the buffer, unless it is an input)");
}

TEST(ReverseComputeAt, refuses_to_lose_iterations) {
  Schedule s(testing::padded_select(8));
  const BlockRef a = s.cache_read({"P"}, "A", "local");
  EXPECT_EQ(
      refusal(s, [&] { s.reverse_compute_at({"P"}, s.loops(a)[0]); }),
      R"(reverse_compute_at: block 'P' also runs where what it reads of buffer 'A_local' is not made [E0231]
  requires (4): what is made there is a box, each index of those reads is one iter plus a constant, the same in all reads, and a reduction gets all its terms)");
}

TEST(Rfactor, refuses_when_the_sum_is_read_at_once) {
  Schedule s(testing::column_sum(8, 8));
  const BlockRef copy = s.cache_write(kC, "local");
  s.compute_at(kC, s.loops(copy)[0]);
  EXPECT_EQ(refusal(s, [&] { s.rfactor(s.loops("C")[2]); }),
            R"(rfactor: block 'C_local' reads buffer 'C_local' inside the loops of block 'C' [E0227]
  requires (5): no other block writes the block's buffer, and none reads it inside the block's loops)");
}

TEST(SetScope, refuses) {
  Schedule chain(testing::elementwise_chain(8));
  EXPECT_EQ(refusal(chain, [&] { chain.set_scope(kC, "local"); }),
            R"(set_scope: buffer 'C' of block 'C' is a parameter, which is always global [E0262]
  requires (2): the buffer is no parameter of the function)");
}

TEST(TransformLayout, refuses) {
  Schedule chain(testing::elementwise_chain(8));
  const Expr i = var("i"), j = var("j");
  const BlockRef t = {"T"};
  EXPECT_EQ(refusal(chain, [&] { chain.transform_layout(t, "X", {{i}, {i}}); }),
            R"(transform_layout: block 'T' does not use a buffer 'X' [E0232]
  requires (1): the block uses the buffer)");
  EXPECT_EQ(refusal(chain, [&] { chain.transform_layout(kC, "C", {{i}, {i}}); }),
            R"(transform_layout: buffer 'C' is a parameter; its layout is the caller's [E0262]
  requires (2): the buffer is no parameter of the function)");
  EXPECT_EQ(
      refusal(chain, [&] { chain.transform_layout(t, "T", {{i, j}, {i, j}}); }),
      R"(transform_layout: the index map has 2 variables, but buffer 'T' has 1 dimensions [E0264]
  requires (3): the map has one variable for each dimension, and its results are quotients and remainders of them by constants)");
  EXPECT_EQ(refusal(chain, [&] { chain.transform_layout(t, "T", {{i}, {i + 1}}); }),
            R"(transform_layout: the index i + 1 is no quotient or remainder of a variable [E0264]
  requires (3): the map has one variable for each dimension, and its results are quotients and remainders of them by constants)");
  EXPECT_EQ(refusal(chain, [&] { chain.transform_layout(t, "T", {{i}, {floormod(i, imm(4))}}); }),
            "transform_layout: the results do not determine 'i' [E0265]\n  requires (4): the "
            "results determine every variable");
}

TEST(Annotate, refuses) {
  Schedule s(testing::elementwise_chain(8));
  EXPECT_EQ(refusal(s, [&] { s.annotate(kC, "", std::int64_t{1}); }),
            R"(annotate: the key should not be empty [E0263]
  requires (1): the key is not empty)");
}

TEST(DecomposeReduction, refuses) {
  Schedule s(testing::matmul(8, 8, 8)), fused(testing::column_sum(8, 8)),
      chain(testing::softmax_chain(8, 8));
  EXPECT_EQ(refusal(chain, [&] { chain.decompose_reduction({"E"}, chain.loops("E")[0]); }),
            R"(decompose_reduction: block 'E' has no init to move: it is no reduction [E0223]
  requires (1): the block has an init)");
  EXPECT_EQ(refusal(chain, [&] { chain.decompose_reduction({"M"}, chain.loops("E")[0]); }),
            R"(decompose_reduction: loop 'i' is not around block 'M' [E0204]
  requires (2): the loop is around the block)");
  const auto l = s.loops("C");
  s.reorder({l[2], l[0]});
  EXPECT_EQ(
      refusal(s, [&] { s.decompose_reduction(kC, l[0]); }),
      R"(decompose_reduction: loop 'k' outside loop 'i' runs over a reduction iter of block 'C' [E0224]
  requires (3): no loop outside it runs over a reduction iter of the block)");
  const LoopRef f = fused.fuse({fused.loops("C")[0], fused.loops("C")[1]});
  EXPECT_EQ(
      refusal(fused, [&] { fused.decompose_reduction(kC, f); }),
      R"(decompose_reduction: loop 'j_i_f' runs over spatial and reduction iters of block 'C' at once [E0225]
  requires (4): each loop inside, and each condition of the block, is either spatial or of the reduction)");
}

TEST(DecomposeReduction, refuses_to_begin_elements_once_that_are_summed_twice) {
  Schedule s(testing::softmax_chain(8, 8));
  const auto l = s.loops("C");
  s.compute_at({"S"}, l[1]);
  EXPECT_EQ(
      refusal(s, [&] { s.decompose_reduction({"S"}, l[0]); }),
      R"(decompose_reduction: loop 'j' comes back to elements of block 'S', which begins them anew [E0276]
  requires (5): the loop and those inside reach each element once for each term)");
}

TEST(Rfactor, refuses) {
  Schedule s(testing::column_sum(8, 30)), chain(testing::elementwise_chain(8));
  const auto l = s.loops("C");
  EXPECT_EQ(refusal(chain, [&] { chain.rfactor(chain.loops("C")[0]); }),
            R"(rfactor: block 'C' is no sum, product, min or max with an init [E0266]
  requires (1): one block is under the loop, a sum, product, min or max with an init)");
  EXPECT_EQ(refusal(s, [&] { s.rfactor(l[0]); }),
            R"(rfactor: loop 'j' does not run over the reduction of block 'C' alone [E0267]
  requires (2): the loop runs over its reduction only)");
  EXPECT_EQ(refusal(s, [&] { s.rfactor(l[1], 3); }),
            R"(rfactor: axis = 3 for buffer 'C' of rank 1 should be from -2 to 1 [E0269]
  requires (4): the axis is one of the new buffer's)");
  const auto i = s.split(l[1], {std::nullopt, 3}, "partition");
  EXPECT_EQ(refusal(s, [&] { s.rfactor(i[1]); }),
            R"(rfactor: the extent of loop 'ii' changes with loop 'io' [E0268]
  requires (3): the extents of its reduction loops change with no other loop, and no loop or condition mixes reduction and spatial iters)");
}

TEST(SplitTerms, refuses) {
  Schedule s(testing::column_sum(8, 30)), other(testing::column_sum(8, 30));
  const auto l = s.loops("C");
  EXPECT_EQ(refusal(s, [&] { s.split_terms(l[1], 0); }),
            R"(split_terms: terms = 0 for loop 'i' must be at least 1 [E0277]
  requires (2): terms is at least 1)");
  EXPECT_EQ(refusal(s, [&] { s.split_terms(l[0], 4); }),
            R"(split_terms: loop 'j' does not run over the reduction of one block alone [E0278]
  requires (3): one block is under the loop, which runs over its reduction only)");
  const auto i = s.split(l[1], {std::nullopt, 3}, "partition");
  EXPECT_EQ(refusal(s, [&] { s.split_terms(i[0], 4); }),
            R"(split_terms: the extent of loop 'ii' changes with loop 'io' [E0279]
  requires (4): the extents of its reduction loops inside change with no other loop)");
  const LoopRef k = other.loops("C")[1];
  other.decompose_reduction(kC, k);
  other.unroll(k);
  EXPECT_EQ(refusal(other, [&] { other.split_terms(k, 4); }),
            R"(split_terms: loop 'i' is unrolled already and should be serial [E0205]
  requires (1): the loop is serial)");
}

TEST(Errors, show_the_call_the_line_and_the_loops) {
  Schedule s(testing::matmul(128, 128, 64));
  try {
    s.split(s.loops("C")[1], {std::nullopt, 0}, "mask", Span("train.py", 14));
    FAIL() << "nothing was raised";
  } catch (const ScheduleError& e) {
    EXPECT_EQ(e.code(), "E0203");
    const std::string text = e.what();
    EXPECT_EQ(text, R"(split: factors[1] = 0 for loop 'j' must be at least 1 [E0203]
  requires (2): every factor is a positive integer or None
  got: s.split(j, factors=[None, 0])  at train.py:14
  in:
    for i in 0..128
      for j in 0..128                       <--- here
        for k in 0..64
          C[i, j] = fma(A[i, k], B[k, j], C[i, j])
  hint: use factors=[4, None] to fix the number of outer iterations instead)");
  }
}

}  // namespace
}  // namespace tenon
