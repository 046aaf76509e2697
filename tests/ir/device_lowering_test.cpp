/// What lowering refuses in functions with thread-bound loops, and what it leaves alone. The texts
/// before and after are in golden/.

#include <gtest/gtest.h>

#include <string>

#include "ir/transform/insert_barriers.h"
#include "ir/transform/lower_blocks.h"
#include "ir/transform/lower_thread_reductions.h"
#include "ir/transform/pipeline_loops.h"
#include "ir/transform/settle_async_copies.h"
#include "ir/transform/unify_threads.h"
#include "tenon/ir/lower.h"
#include "tenon/ir/parse.h"
#include "tenon/ir/print.h"
#include "tenon/ir/structural.h"

namespace tenon {
namespace {

/// The first line of the ScheduleError that the pass raises for this text.
template <typename Pass>
std::string refusal(const Pass& pass, const std::string& text) {
  try {
    pass(parse_function(text));
  } catch (const ScheduleError& e) {
    const std::string message = e.what();
    return message.substr(0, message.find('\n'));
  }
  return "nothing was refused";
}

Function lowered(const Function& f) { return lower(f); }

#define EXPECT_REFUSED(pass, text, code, words)           \
  do {                                                    \
    const std::string got = refusal(pass, text);          \
    EXPECT_NE(got.find(code), std::string::npos) << got;  \
    EXPECT_NE(got.find(words), std::string::npos) << got; \
  } while (false)

/// A sum over 64 threads; `axis` is the reduction's.
std::string sum_over(const std::string& axis, const std::string& extent, const std::string& init) {
  return "function f(X: float32[4, " + extent + "]) -> (Y: float32[4])\n" +
         "  thread for bx in 0..4 on \"blockIdx.x\"\n" + "    thread for t in 0.." + extent +
         " on \"" + axis + "\"\n" +
         "      block Y\n        spatial i in 0..4 = bx\n        reduction k in 0.." + extent +
         " = t\n        reads X[i, k], Y[i]\n        writes Y[i]\n" + init +
         "        Y[i] = Y[i] + X[i, k]\n";
}

TEST(DeviceLowering, a_function_without_bound_loops_is_left_alone) {
  const Function f = parse_function(
      "function f(X: float32[8]) -> (Y: float32[8])\n"
      "  parallel for i in 0..8\n    block Y\n      spatial j in 0..8 = i\n      reads X[j]\n"
      "      writes Y[j]\n      Y[j] = X[j]\n");
  EXPECT_TRUE(unify_threads(f).same_as(f));
}

TEST(DeviceLowering, a_reduction_over_threads_belongs_on_x_without_its_init) {
  EXPECT_REFUSED(lowered, sum_over("threadIdx.y", "64", ""), "[E1240]",
                 "block 'Y' reduces over a loop bound to threadIdx.y, should be threadIdx.x");
  EXPECT_REFUSED(lowered, sum_over("threadIdx.x", "64", "        init\n          Y[i] = 0.0\n"),
                 "[E1241]", "block 'Y' reduces over threads and still has its init");
}

TEST(DeviceLowering, a_reduction_over_threads_takes_a_power_of_two) {
  EXPECT_REFUSED(lowered, sum_over("threadIdx.x", "48", ""), "[E1244]",
                 "'Y' is reduced over 48 threads, should be a power of two up to 1024");
}

/// A nest of blocks and an extent that changes with the outer loop.
std::string ragged(const std::string& extent) {
  return "function f(X: float32[8, 8], I: int64[8]) -> (Y: float32[8, 8])\n"
         "  thread for by in 0..8 on \"blockIdx.y\"\n"
         "    thread for bx in 0.." +
         extent +
         " on \"blockIdx.x\"\n"
         "      block Y\n        spatial i in 0..8 = by\n        spatial j in 0..8 = bx\n"
         "        reads X[i, j]\n        writes Y[i, j]\n        Y[i, j] = X[i, j]\n";
}

TEST(DeviceLowering, a_launch_knows_symbols_only) {
  const std::string text = print(unify_threads(parse_function(ragged("by + 1"))));
  EXPECT_NE(text.find("    thread for bx in 0..8 on \"blockIdx.x\"\n"
                      "      thread for thread_ in 0..1 on \"threadIdx.x\""),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("where bx < by + 1"), std::string::npos) << text;
  EXPECT_REFUSED(lowered, ragged("I[by]"), "[E1251]",
                 "loop 'bx' on blockIdx.x has I[by] iterations, which has no bound for a launch");
}

/// A sum over 16 threads next to rows of 48.
std::string two_widths(const std::string& rows) {
  return "function f(X: float32[4, 16], Z: float32[48]) -> (Y: float32[4], V: float32[" + rows +
         ", 48])\n"
         "  thread for bx in 0..4 on \"blockIdx.x\"\n"
         "    thread for t in 0..16 on \"threadIdx.x\"\n"
         "      block Y\n        spatial i in 0..4 = bx\n        reduction k in 0..16 = t\n"
         "        reads X[i, k], Y[i]\n        writes Y[i]\n        Y[i] = Y[i] + X[i, k]\n"
         "    thread for v in 0.." +
         rows +
         " on \"threadIdx.y\"\n"
         "      thread for u in 0..48 on \"threadIdx.x\"\n"
         "        block V\n          spatial i in 0.." +
         rows +
         " = v\n"
         "          spatial j in 0..48 = u\n          reads Z[j]\n          writes V[i, j]\n"
         "          V[i, j] = Z[j]\n";
}

TEST(DeviceLowering, rows_of_threads_fill_warps) {
  const std::string text = print(unify_threads(parse_function(two_widths("4"))));
  EXPECT_NE(text.find("thread for u in 0..64 on \"threadIdx.x\""), std::string::npos) << text;
  EXPECT_REFUSED(lowered, two_widths("20"), "[E1245]",
                 "'Y' is reduced over 16 threads in a kernel with 48 threads along threadIdx.x");
}

TEST(DeviceLowering, all_threads_arrive_at_a_reduction) {
  const char* text =
      "function f(X: float32[64, 9]) -> (Y: float32[1])\n"
      "  thread for t in 0..64 on \"threadIdx.x\"\n"
      "    for i in 0..int64(X[t, 1])\n"
      "      block Y\n        spatial j in 0..1 = 0\n        reduction k in 0..64 = t\n"
      "        reads X[k, 0], Y[j]\n        writes Y[j]\n        Y[j] = Y[j] + X[k, 0]\n";
  EXPECT_REFUSED(lowered, text, "[E1246]", "loop 'i' holds a reduction over threads");
}

TEST(DeviceLowering, terms_of_threads_are_joined_by_a_known_operation) {
  const char* text =
      "function f(X: float32[64]) -> (Y: float32[1])\n"
      "  thread for t in 0..64 on \"threadIdx.x\"\n"
      "    block Y\n      spatial j in 0..1 = 0\n      reduction k in 0..64 = t\n"
      "      reads X[k], Y[j]\n      writes Y[j]\n      Y[j] = Y[j] / X[k]\n";
  EXPECT_REFUSED(lowered, text, "[E1247]", "'Y' is reduced over threads, but the stored value");
}

/// Two nests and a buffer between them.
std::string two_kernels(const std::string& scope) {
  return "function f(X: float32[32]) -> (Y: float32[32])\n  alloc T: float32[32] " + scope +
         "\n  thread for t in 0..32 on \"threadIdx.x\"\n    block T\n      spatial i in 0..32 = t\n"
         "      reads X[i]\n      writes T[i]\n      T[i] = X[i]\n"
         "  thread for t in 0..32 on \"threadIdx.x\"\n    block Y\n      spatial i in 0..32 = t\n"
         "      reads T[i]\n      writes Y[i]\n      Y[i] = T[i]\n";
}

TEST(DeviceLowering, memory_of_a_kernel_stays_in_it) {
  EXPECT_REFUSED(lowered, two_kernels("shared"), "[E1242]",
                 "buffer 'T' in shared memory is used by more than one kernel");
  EXPECT_REFUSED(lowered, two_kernels("local"), "[E1242]",
                 "buffer 'T' in local memory is used by more than one kernel");
}

TEST(DeviceLowering, memory_of_a_kernel_has_a_constant_size) {
  const char* text =
      "function f[n](X: float32[4, n]) -> (Y: float32[4, n])\n"
      "  alloc T: float32[4, n] shared\n"
      "  thread for bx in 0..4 on \"blockIdx.x\"\n"
      "    for j in 0..n\n"
      "      block T\n        spatial i in 0..4 = bx\n        spatial k in 0..n = j\n"
      "        reads X[i, k]\n        writes T[i, k]\n        T[i, k] = X[i, k]\n"
      "    for j in 0..n\n"
      "      block Y\n        spatial i in 0..4 = bx\n        spatial k in 0..n = j\n"
      "        reads T[i, k]\n        writes Y[i, k]\n        Y[i, k] = T[i, k]\n";
  EXPECT_REFUSED(lowered, text, "[E1243]",
                 "buffer 'T' in shared memory needs n elements in dimension 1 for one iteration of "
                 "loop 'bx'");
}

/// A loop between the launch's loops, in the IR between the levels.
std::string kernel(const std::string& attrs, const std::string& body) {
  return "function f(A: float32[64]) -> (C: float32[16])\n"
         "  alloc S: float32[16] shared\n"
         "  thread for tx in 0..16 on \"threadIdx.x\"\n"
         "    for ko in 0..4" +
         attrs + "\n" + body;
}

TEST(DeviceLowering, a_pipelined_loop_has_copies_of_its_own) {
  const std::string pipelined = " {software_pipeline=2}";
  const std::string copy = "      S[tx] = async_copy(A[ko * 16 + tx])\n";
  EXPECT_REFUSED(pipeline_loops, kernel(pipelined, "      S[tx] = A[ko * 16 + tx]\n"), "[E1248]",
                 "loop 'ko' is pipelined; it should be serial");
  EXPECT_REFUSED(pipeline_loops, kernel(pipelined, copy + "      S[tx] = S[tx] + 1.0\n"), "[E1249]",
                 "its work writes 'S'");
  EXPECT_REFUSED(pipeline_loops,
                 kernel(pipelined, copy + "      C[tx] = S[tx]\n") + "    C[tx] = S[tx]\n",
                 "[E1249]", "'S' is copied in a pipelined loop and used outside of it");
  EXPECT_REFUSED(pipeline_loops,
                 "function f(A: float32[64]) -> (C: float32[64])\n"
                 "  alloc S: float32[16] shared\n"
                 "  thread for tx in 0..16 on \"threadIdx.x\"\n"
                 "    for ko in 0..4 {software_pipeline=2}\n"
                 "      S[tx] = async_copy(C[ko * 16 + tx])\n"
                 "      C[ko * 16 + tx] = S[tx]\n",
                 "[E1249]", "a copy reads what the loop writes");
}

TEST(DeviceLowering, a_barrier_is_not_put_where_some_threads_do_not_arrive) {
  EXPECT_REFUSED(insert_barriers,
                 "function f(A: float32[64]) -> (C: float32[16])\n"
                 "  alloc S: float32[16] shared\n"
                 "  thread for tx in 0..16 on \"threadIdx.x\"\n"
                 "    for ko in 0..int64(A[tx])\n"
                 "      S[tx] = A[ko]\n"
                 "      C[tx] = S[15 - tx]\n",
                 "[E1250]", "loop 'ko' needs a barrier inside");
  EXPECT_REFUSED(insert_barriers,
                 "function f(A: float32[64]) -> (C: float32[16])\n"
                 "  alloc S: float32[16] shared\n"
                 "  thread for tx in 0..16 on \"threadIdx.x\"\n"
                 "    if A[tx] > 0.0\n"
                 "      S[tx] = A[tx]\n"
                 "      C[tx] = S[15 - tx]\n",
                 "[E1250]", "the condition A[tx] > 0.0 needs a barrier inside");
}

TEST(DeviceLowering, copies_that_the_hardware_cannot_make_are_named) {
  const Function f = settle_async_copies(
      parse_function("loop function f(A: float32[1024], H: float16[64]) -> (C: float32[32])\n"
                     "  alloc S: float32[64] shared\n"
                     "  alloc T: float16[64] shared\n"
                     "  thread for tx in 0..8 on \"threadIdx.x\"\n"
                     "    S[ramp(tx * 4, 1, 4)] = async_copy(A[ramp(tx * 4 + 8, 1, 4)])\n"
                     "    S[ramp(tx * 4, 1, 4)] = async_copy(A[ramp(tx * 17, 1, 4)])\n"
                     "    S[tx] = async_copy(A[tx] + 1.0)\n"
                     "    T[tx] = async_copy(H[tx])\n"));
  EXPECT_EQ(std::get<std::string>(f->attrs.at(kPlainCopies)),
            "S: places in 'A' are not proved to be aligned; S: the value is not loaded as it is; "
            "T: 2 bytes at a time, should be 4, 8 or 16");
  const std::string text = print(f);
  EXPECT_NE(text.find("S[ramp(tx * 4, 1, 4)] = async_copy(A[ramp(tx * 4 + 8, 1, 4)])"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("T[tx] = H[tx]"), std::string::npos) << text;
}

/// How many barriers `insert_barriers` puts into this kernel of 16 x 8 threads.
int barriers(const std::string& body) {
  const std::string text =
      "function f[n](A: float32[64, 64]) -> (C: float32[64, 64])\n"
      "  alloc S: float32[64, 64] shared\n"
      "  alloc T: float32[64] shared\n"
      "  alloc U: float32[64] shared\n"
      "  thread for ty in 0..8 on \"threadIdx.y\"\n"
      "    thread for tx in 0..16 on \"threadIdx.x\"\n" +
      body;
  const std::string after = print(insert_barriers(parse_function(text)));
  int count = 0;
  for (std::size_t at = after.find("thread_barrier"); at != std::string::npos;
       at = after.find("thread_barrier", at + 1))
    ++count;
  return count;
}

TEST(InsertBarriers, one_thread_needs_none) {
  EXPECT_EQ(barriers("      S[ty, tx] = A[ty, tx]\n"
                     "      C[ty, tx] = S[ty, tx]\n"),
            0);
  EXPECT_EQ(barriers("      for i in 0..4\n"
                     "        S[ty, tx * 4 + i] = A[ty, tx]\n"
                     "      for i in 0..4\n"
                     "        C[ty, tx * 4 + i] = S[ty, tx * 4 + i]\n"),
            0);
  EXPECT_EQ(
      barriers(
          "      for i in 0..4\n"
          "        S[(i * 128 + ty * 16 + tx) // 60, (i * 128 + ty * 16 + tx) % 60] = 1.0\n"
          "        C[i, tx] = S[(i * 128 + ty * 16 + tx) // 60, (i * 128 + ty * 16 + tx) % 60]\n"),
      0);
  EXPECT_EQ(barriers("      if tx == 0\n"
                     "        T[ty] = A[ty, 0]\n"
                     "      if tx == 0\n"
                     "        T[ty] = T[ty] + 1.0\n"),
            0);
}

TEST(InsertBarriers, different_elements_need_none) {
  // Even and odd columns, columns further to the right, rows of each iteration's own.
  EXPECT_EQ(barriers("      S[ty, tx * 2] = A[ty, tx]\n"
                     "      C[ty, tx] = S[7 - ty, tx * 2 + 1]\n"),
            0);
  EXPECT_EQ(barriers("      S[ty, tx] = A[ty, tx]\n"
                     "      C[ty, tx] = S[7 - ty, tx + 16]\n"),
            0);
  EXPECT_EQ(barriers("      for k in 0..8\n"
                     "        S[k, ty * 16 + tx] = A[ty, tx]\n"),
            0);
  // Steps of unknown number.
  EXPECT_EQ(barriers("      for k in 0..n\n"
                     "        S[0, k * 128 + ty * 16 + tx] = S[0, k * 128 + ty * 16 + tx] + 1.0\n"),
            0);
}

TEST(InsertBarriers, other_threads_need_one) {
  // Neighbours, a transposition, another split, one thread for all, overlapping parts.
  EXPECT_EQ(barriers("      S[ty, tx] = A[ty, tx]\n"
                     "      C[ty, tx] = S[ty, tx + 1]\n"),
            1);
  EXPECT_EQ(barriers("      S[ty, tx] = A[ty, tx]\n"
                     "      C[ty, tx] = S[tx, ty]\n"),
            1);
  EXPECT_EQ(barriers("      for i in 0..4\n"
                     "        S[ty, tx * 4 + i] = A[ty, tx]\n"
                     "      for i in 0..4\n"
                     "        C[ty, tx] = S[ty, i * 16 + tx]\n"),
            1);
  EXPECT_EQ(barriers("      if tx == 0\n"
                     "        T[ty] = A[ty, 0]\n"
                     "      C[ty, tx] = T[ty]\n"),
            1);
  EXPECT_EQ(barriers("      for i in 0..4\n"
                     "        S[ty, tx * 4 + i] = A[ty, tx]\n"
                     "      C[ty, tx] = S[ty, tx * 3]\n"),
            1);
  // Written again by the next row of threads in the next iteration.
  EXPECT_EQ(barriers("      for i in 0..4\n"
                     "        S[ty + i, tx] = A[ty, tx]\n"),
            1);
  EXPECT_EQ(barriers("      C[ty, tx] = S[ty, tx + 1]\n"
                     "      S[ty, tx] = A[ty, tx]\n"),
            1);
}

TEST(InsertBarriers, iterations_follow_one_another) {
  // After the write, and before the next one.
  EXPECT_EQ(barriers("      for k in 0..4\n"
                     "        S[ty, tx] = A[ty, tx]\n"
                     "        C[ty, tx] = S[tx, ty]\n"),
            2);
  // Two buffers in turn: each barrier serves the other as well.
  EXPECT_EQ(barriers("      for k in 0..4\n"
                     "        T[tx] = A[k, tx]\n"
                     "        C[ty, tx] = T[15 - tx]\n"
                     "        U[tx] = A[k, tx]\n"
                     "        C[ty, tx + 16] = U[15 - tx]\n"),
            2);
  // Each iteration has a row of its own.
  EXPECT_EQ(barriers("      for k in 0..8\n"
                     "        S[k, tx] = A[k, tx]\n"
                     "        C[k, tx] = S[k, 15 - tx]\n"),
            1);
}

TEST(InsertBarriers, what_a_loop_asks_of_the_past_stands_before_it) {
  const char* text =
      "function f(A: float32[64]) -> (C: float32[64])\n"
      "  alloc T: float32[64] shared\n"
      "  thread for tx in 0..16 on \"threadIdx.x\"\n"
      "    T[tx] = A[tx]\n"
      "    for k in 0..4\n"
      "      C[k * 16 + tx] = T[15 - tx]\n";
  const Function after = insert_barriers(parse_function(text));
  EXPECT_NE(print(after).find("    evaluate thread_barrier()\n    for k"), std::string::npos)
      << print(after);
}

TEST(InsertBarriers, a_guard_around_two_statements_is_divided) {
  const char* text =
      "function f(A: float32[64]) -> (C: float32[64])\n"
      "  alloc T: float32[64] shared\n"
      "  thread for tx in 0..16 on \"threadIdx.x\"\n"
      "    if tx < 9\n"
      "      T[tx] = A[tx]\n"
      "      C[tx] = T[8 - tx]\n";
  const std::string after = print(insert_barriers(parse_function(text)));
  EXPECT_NE(after.find("    if tx < 9\n      T[tx] = A[tx]\n    evaluate thread_barrier()\n"
                       "    if tx < 9\n      C[tx] = T[8 - tx]\n"),
            std::string::npos)
      << after;
}

TEST(InsertBarriers, a_loop_of_each_thread_gets_the_largest_range) {
  const char* text =
      "function f(A: float32[64]) -> (C: float32[64])\n"
      "  alloc T: float32[64] shared\n"
      "  thread for tx in 0..16 on \"threadIdx.x\"\n"
      "    for k in 0..tx + 1\n"
      "      T[tx] = A[k]\n"
      "      C[tx] = T[15 - tx]\n";
  const std::string after = print(insert_barriers(parse_function(text)));
  EXPECT_NE(after.find("    for k in 0..16\n      evaluate thread_barrier()\n      if k < tx + 1\n"
                       "        T[tx] = A[k]\n      evaluate thread_barrier()\n"
                       "      if k < tx + 1\n        C[tx] = T[15 - tx]\n"),
            std::string::npos)
      << after;
}

TEST(InsertBarriers, a_copy_is_waited_for_even_by_its_own_thread) {
  const char* text =
      "function f(A: float32[64]) -> (C: float32[64])\n"
      "  alloc T: float32[64] shared\n"
      "  thread for tx in 0..16 on \"threadIdx.x\"\n"
      "    T[tx] = async_copy(A[tx])\n"
      "    C[tx] = T[tx]\n"
      "    C[tx + 16] = T[15 - tx]\n";
  const std::string after = print(insert_barriers(parse_function(text)));
  EXPECT_NE(
      after.find("    evaluate async_commit()\n    evaluate async_wait(0)\n    C[tx] = T[tx]\n"
                 "    evaluate thread_barrier()\n    C[tx + 16] = T[15 - tx]\n"),
      std::string::npos)
      << after;
}

}  // namespace
}  // namespace tenon
