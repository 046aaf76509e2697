#include "tenon/schedule/trace.h"

#include <gtest/gtest.h>

#include "schedule/workloads.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/structural.h"
#include "tenon/schedule/schedule.h"

namespace tenon {
namespace {

/// The schedule of tutorial 01.
void schedule_matmul(Schedule* s) {
  const auto ijk = s->loops("C");
  const auto i = s->split(ijk[0], {std::nullopt, 6}, "balance");
  const auto j = s->split(ijk[1], {std::nullopt, 64});
  s->reorder({i[0], j[0], ijk[2], i[1], j[1]});
  const BlockRef out = s->cache_write({"C"}, "register");
  s->reverse_compute_at(out, j[0]);
  s->vectorize(j[1]);
  s->unroll(i[1]);
  const auto inner = s->loops(out);
  s->vectorize(inner[3]);
  s->unroll(inner[2]);
  s->decompose_reduction({"C"}, ijk[2]);
  s->parallel(i[0]);
}

TEST(Trace, is_a_python_program) {
  Schedule s(testing::matmul(512, 512, 512));
  schedule_matmul(&s);
  EXPECT_EQ(s.trace().to_python(), R"(# trace of a schedule of 'matmul', version 1
i, j, k = s.loops("C")
io, ii = s.split(i, factors=[None, 6], tail="balance")
jo, ji = s.split(j, factors=[None, 64])
s.reorder(io, jo, k, ii, ji)
C_register = s.cache_write("C", scope="register")
s.reverse_compute_at("C_register", jo)
s.vectorize(ji)
s.unroll(ii)
io, jo, i_1, j_1 = s.loops("C_register")
s.vectorize(j_1)
s.unroll(i_1)
C_init = s.decompose_reduction("C", k)
s.parallel(io)
)");
}

TEST(Trace, goes_through_json_and_replays_on_other_sizes) {
  Schedule s(testing::matmul(512, 512, 512)), expected(testing::matmul(1024, 768, 512)),
      replayed(testing::matmul(1024, 768, 512));
  schedule_matmul(&s);
  schedule_matmul(&expected);
  const Trace trace = Trace::from_json(s.trace().to_json());
  EXPECT_EQ(trace.to_json(), s.trace().to_json());
  trace.replay(&replayed);
  EXPECT_TRUE(structural_equal(replayed.function(), expected.function()));
  EXPECT_EQ(replayed.trace().to_json(), s.trace().to_json());
}

/// The message of the ScheduleError that `f` raises.
template <typename F>
std::string message_of(const F& f) {
  try {
    f();
  } catch (const ScheduleError& e) {
    return e.what();
  }
  return "nothing was raised";
}

TEST(Trace, names_the_step_that_does_not_fit) {
  Schedule s(testing::matmul(16, 16, 16));
  s.split(s.loops("C")[2], {std::nullopt, 4});
  Schedule other(testing::column_sum(16, 16)), third(testing::gather(4, 4, 4));
  EXPECT_EQ(
      message_of([&] { s.trace().replay(&other); }),
      "trace: step 1 `i, j, k = s.loops(\"C\")`: block 'C' has 2 loops and should have 3 [E0273]");
  s = Schedule(testing::column_sum(16, 16));
  s.split(s.loops("C")[1], {std::nullopt, 4});
  EXPECT_EQ(message_of([&] { s.trace().replay(&third); }),
            "trace: step 1 `j, i = s.loops(\"C\")`: loop 'j' of block 'C' is spatial and should be "
            "reduction [E0273]");
}

TEST(Trace, names_the_step_that_a_primitive_refuses) {
  Schedule s(testing::matmul(16, 16, 16));
  s.split(s.loops("C")[0], {std::nullopt, 4}, "balance");
  Schedule other(testing::symbolic_matmul(16, 16));
  EXPECT_EQ(
      message_of([&] { s.trace().replay(&other); }),
      R"(trace: step 2 `io, ii = s.split(i, factors=[None, 4], tail="balance")`: split: loop 'i' has a symbolic extent and cannot be balanced; use tail="mask" or tail="partition" [E0210]
  requires (7): tail="balance" needs a constant extent
  got: s.split(i, factors=[None, 4], tail="balance")
  in:
    for i in 0..m                           <--- here
      for j in 0..16
        for k in 0..16
          C[i, j] = fma(A[i, k], B[k, j], C[i, j])
  hint: tail="mask" and tail="partition" take a symbolic extent)");
}

TEST(Trace, refuses_what_is_no_trace) {
  EXPECT_EQ(message_of([] { Trace::from_json("{"); }).substr(0, 47),
            "trace: the text is no trace of a schedule: [jso");
  EXPECT_EQ(message_of([] { Trace::from_json("{\"tenon_schedule_trace\": 9, \"steps\": []}"); }),
            "trace: version 9 should be 1 [E0272]");
}

TEST(Trace, keeps_index_maps_and_values) {
  Schedule s(testing::padded_select(30)), other(testing::padded_select(30));
  const Expr x = var("x");
  s.transform_layout({"P"}, "P", {{x}, {floordiv(x, imm(4)), floormod(x, imm(4))}});
  s.annotate(BlockRef{"P"}, "weight", 0.5);
  s.annotate(s.loops("P")[0], "depth", std::int64_t{3});
  Trace::from_json(s.trace().to_json()).replay(&other);
  EXPECT_TRUE(structural_equal(s.function(), other.function()));
  EXPECT_EQ(s.trace().to_python(), R"(# trace of a schedule of 'padded_select', version 1
s.transform_layout("P", "P", lambda x: (x // 4, x % 4))
s.annotate("P", "weight", 0.5)
x, = s.loops("P")
s.annotate(x, "depth", 3)
)");
}

}  // namespace
}  // namespace tenon
