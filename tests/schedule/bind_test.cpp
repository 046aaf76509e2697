// Loops bound to thread axes: which may be, and what later steps keep.

#include <gtest/gtest.h>

#include "schedule/excerpt.h"
#include "schedule/loop_tree.h"
#include "schedule/refusal.h"
#include "schedule/workloads.h"
#include "tenon/schedule/schedule.h"

namespace tenon {
namespace {

using testing::counter_example;
using testing::refusal;

std::string text(const Schedule& s) {
  return "\n" + loop_text(split_root(s.function()->body).body) + "\n";
}

const std::string kRequires4 =
    "\n  requires (4): loops on block axes are directly nested, each axis once, outside of those "
    "on "
    "thread axes; no loop around or inside is parallel, none around vectorized";
const std::string kRequires7 =
    "\n  requires (7): iterations of a block axis touch distinct elements; memory that is not "
    "global "
    "stays in one";
const std::string kRequires8 =
    "\n  requires (8): iterations of a thread axis touch distinct elements, write shared memory "
    "alike, or (on threadIdx.x, a power of two up to 1024) join one reduction without init; "
    "private "
    "memory stays in one";

TEST(Bind, gives_loops_to_blocks_and_threads) {
  Schedule s(testing::matmul(64, 64, 16));
  const auto l = s.loops("C");
  const auto i = s.split(l[0], {std::nullopt, 8}), j = s.split(l[1], {std::nullopt, 32});
  s.reorder({i[0], j[0], i[1], j[1]});
  s.bind(i[0], "blockIdx.y");
  s.bind(j[0], "blockIdx.x");
  s.bind(i[1], "threadIdx.y");
  s.bind(j[1], "threadIdx.x");
  EXPECT_FALSE(s.trace().reassociates());
  EXPECT_EQ(text(s), R"(
    thread for io in 0..8 on blockIdx.y
      thread for jo in 0..2 on blockIdx.x
        thread for ii in 0..8 on threadIdx.y
          thread for ji in 0..32 on threadIdx.x
            for k in 0..16
              C[io * 8 + ii, jo * 32 + ji] = fma(A[io * 8 + ii, k], B[k, jo * 32 + ji], C[io * 8 + ii, jo * 32 + ji])
)");
}

TEST(Bind, lets_threads_join_a_reduction) {
  Schedule s(testing::column_sum(64, 11));
  auto l = s.loops("C");
  s.decompose_reduction({"C"}, l[1]);
  s.bind(l[0], "blockIdx.x");
  s.bind(l[1], "threadIdx.x");
  EXPECT_TRUE(s.trace().reassociates());
  s.cache_read({"C"}, "A", "shared");
  EXPECT_FALSE(s.trace().steps.back().reassociates);
  Schedule largest(testing::softmax_chain(4, 32));
  l = largest.loops("M");
  largest.decompose_reduction({"M"}, l[1]);
  largest.bind(l[1], "threadIdx.x");
  EXPECT_FALSE(largest.trace().reassociates());
}

TEST(Bind, refuses_loops_and_axes) {
  Schedule s(testing::matmul(2048, 70000, 96)), symbolic(testing::symbolic_matmul(8, 8));
  const auto l = s.loops("C");
  s.unroll(l[2]);
  EXPECT_EQ(refusal(s, [&] { s.bind(l[2], "threadIdx.x"); }),
            R"(bind: loop 'k' is unrolled already and should be serial [E0205]
  requires (1): the loop is serial and starts at 0)");
  EXPECT_EQ(refusal(s, [&] { s.bind(l[0], "threadIdx.w"); }),
            R"(bind: loop 'i': there is no thread axis 'threadIdx.w' [E1260]
  requires (2): the axis is blockIdx.x, .y, .z or threadIdx.x, .y, .z)");
  const std::string requires3 =
      "\n  requires (3): the extent is within the axis' limit, and constant for a thread axis";
  EXPECT_EQ(
      refusal(s, [&] { s.bind(l[0], "threadIdx.x"); }),
      "bind: the extent 2048 of loop 'i' is more than threadIdx.x takes: 1024 [E1262]" + requires3);
  EXPECT_EQ(refusal(s, [&] { s.bind(l[1], "blockIdx.y"); }),
            "bind: the extent 70000 of loop 'j' is more than blockIdx.y takes: 65535 [E1262]" +
                requires3);
  EXPECT_EQ(refusal(symbolic, [&] { symbolic.bind(symbolic.loops("C")[0], "threadIdx.x"); }),
            "bind: the extent of loop 'i' should be constant on threadIdx.x [E1262]" + requires3);
  symbolic.bind(symbolic.loops("C")[0], "blockIdx.x");
}

TEST(Bind, refuses_what_is_no_kernel) {
  Schedule s(testing::matmul(64, 64, 16));
  const auto l = s.loops("C");
  const auto i = s.split(l[0], {std::nullopt, 8}), j = s.split(l[1], {std::nullopt, 32});
  s.bind(i[0], "blockIdx.x");
  EXPECT_EQ(
      refusal(s, [&] { s.bind(j[0], "blockIdx.x"); }),
      "bind: loop 'jo' is inside loop 'io' on blockIdx.x, the same axis [E1263]" + kRequires4);
  EXPECT_EQ(refusal(s, [&] { s.bind(j[0], "blockIdx.y"); }),
            "bind: loop 'jo' on blockIdx.y is not directly inside loop 'io' on blockIdx.x [E1263]" +
                kRequires4);
  s.bind(i[1], "threadIdx.y");
  EXPECT_EQ(refusal(s, [&] { s.bind(j[0], "blockIdx.y"); }),
            "bind: loop 'jo' on blockIdx.y is not directly inside loop 'io' on blockIdx.x [E1263]" +
                kRequires4);
  EXPECT_EQ(refusal(s, [&] { s.reorder({i[1], i[0]}); }),
            "reorder: loop 'ii' on threadIdx.y holds loop 'io' on blockIdx.x [E1263]");
  EXPECT_EQ(refusal(s, [&] { s.parallel(j[0]); }).substr(0, 66),
            "parallel: loop 'jo' is inside the thread loop 'io' [E0220]\n  requi");
  Schedule cpu(testing::matmul(64, 64, 16));
  cpu.parallel(cpu.loops("C")[0]);
  EXPECT_EQ(refusal(cpu, [&] { cpu.bind(cpu.loops("C")[1], "threadIdx.x"); }),
            "bind: loop 'j' is inside the parallel loop 'i' [E1263]" + kRequires4);
  Schedule around(testing::matmul(64, 64, 16));
  around.parallel(around.loops("C")[1]);
  EXPECT_EQ(refusal(around, [&] { around.bind(around.loops("C")[0], "blockIdx.x"); }),
            "bind: loop 'i' holds the parallel loop 'j' [E1263]" + kRequires4);
}

TEST(Bind, refuses_two_loops_of_one_axis_unless_threads_share_a_copy) {
  Schedule s(testing::matmul(64, 64, 16));
  const auto l = s.loops("C");
  s.bind(l[0], "threadIdx.x");
  EXPECT_EQ(
      refusal(s, [&] { s.bind(l[1], "threadIdx.x"); }),
      R"(bind: loop 'j' on threadIdx.x is inside loop 'i' of the same axis, and block 'C' does not write shared memory [E1264]
  requires (5): inside another loop of the same thread axis, blocks write shared memory only and do not depend on the outer loop)");
}

TEST(Bind, refuses_too_many_threads) {
  Schedule s(testing::matmul(64, 64, 16));
  const auto l = s.loops("C");
  s.bind(l[0], "threadIdx.y");
  EXPECT_EQ(
      refusal(s, [&] { s.bind(l[1], "threadIdx.x"); }),
      R"(bind: with loop 'j' a block of the kernel has 64 x 64 = 4096 threads, more than 1024 [E1265]
  requires (6): the kernel has at most 1024 threads in a block)");
}

TEST(Bind, refuses_iterations_that_meet) {
  Schedule s(testing::matmul(30, 32, 24));
  const auto l = s.loops("C");
  EXPECT_EQ(refusal(s, [&] { s.bind(l[2], "blockIdx.x"); }),
            "bind: loop 'k' runs over a reduction iter of block 'C' [E0221]" + kRequires7);
  EXPECT_EQ(refusal(s, [&] { s.bind(l[2], "threadIdx.y"); }),
            "bind: loop 'k' runs over a reduction iter of block 'C' [E0221]" + kRequires8);
  EXPECT_EQ(
      refusal(s, [&] { s.bind(l[2], "threadIdx.x"); }),
      "bind: loop 'k' runs over a reduction iter of block 'C' and should have a power of two up to "
      "1024 as its extent [E1262]" +
          kRequires8);
  const auto k = s.split(l[2], {std::nullopt, 8});
  EXPECT_EQ(refusal(s, [&] { s.bind(k[1], "threadIdx.x"); }),
            "bind: loop 'ki' runs over a reduction iter of block 'C', which still holds its init "
            "[E0221]" +
                kRequires8);
  Schedule scan(testing::column_scan(8, 8));
  EXPECT_EQ(refusal(scan, [&] { scan.bind(scan.loops("S")[0], "threadIdx.x"); }),
            "bind: loop 'i' runs over an ordered iter of block 'S' [E0221]" + kRequires8);
  Schedule window(testing::window_sum(32));
  const auto i = window.split(window.loops("C")[0], {std::nullopt, 4});
  window.compute_at({"T"}, i[0]);
  EXPECT_EQ(refusal(window, [&] { window.bind(i[0], "blockIdx.x"); }),
            "bind: iterations of loop 'io' touch the same elements of buffer 'T' in block 'T' "
            "[E0222]" +
                kRequires7);
  EXPECT_EQ(counter_example([&] { window.bind(i[0], "blockIdx.x"); }),
            "counter-example: iterations (io=0, x=4) and (io=1, x=0) both write T[4]");
  window.set_scope({"T"}, "shared");
  window.bind(i[0], "blockIdx.x");
}

TEST(Bind, keeps_private_memory_in_one_thread) {
  Schedule s(testing::elementwise_chain(64));
  s.set_scope({"T"}, "local");
  const auto t = s.loops("T")[0], c = s.loops("C")[0];
  s.bind(t, "threadIdx.x");  // block C may still move into the kernel
  Schedule one(testing::window_sum(62));
  const auto i = one.split(one.loops("C")[0], {std::nullopt, 31});
  one.compute_at({"T"}, i[0]);
  one.set_scope({"T"}, "local");
  one.bind(i[0], "blockIdx.x");
  EXPECT_EQ(refusal(one, [&] { one.bind(i[1], "threadIdx.x"); }), "nothing was raised");
  EXPECT_EQ(refusal(one, [&] { one.bind(one.loops("T")[1], "threadIdx.x"); }),
            "bind: buffer 'T' in local memory carries values from one iteration of loop 'x' to "
            "another [E1266]" +
                kRequires8);
}

TEST(Bind, holds_for_later_steps) {
  Schedule s(testing::window_sum(62));
  const auto i = s.split(s.loops("C")[0], {std::nullopt, 31});
  s.compute_at({"T"}, i[0]);
  s.set_scope({"T"}, "shared");
  s.bind(i[0], "blockIdx.x");
  s.bind(i[1], "threadIdx.x");
  s.bind(s.loops("T")[1], "threadIdx.x");
  EXPECT_EQ(refusal(s, [&] { s.set_scope({"T"}, "local"); }),
            "set_scope: buffer 'T' in local memory carries values from one iteration of loop 'x' "
            "to another [E1266]");
  EXPECT_EQ(refusal(s, [&] { s.set_scope({"T"}, "global"); }),
            "set_scope: iterations of loop 'io' touch the same elements of buffer 'T' in block 'T' "
            "[E0222]");
  Trace::from_json(s.trace().to_json());
  Schedule again(testing::window_sum(93));
  s.trace().replay(&again);
  EXPECT_EQ(text(again), R"(
    thread for io in 0..3 on blockIdx.x
      thread for x in 0..33 on threadIdx.x
        T[io * 31 + x] = A[io * 31 + x] * A[io * 31 + x]
      thread for ii in 0..31 on threadIdx.x
        for w in 0..3
          C[io * 31 + ii] = C[io * 31 + ii] + T[io * 31 + ii + w]
)");
}

}  // namespace
}  // namespace tenon
