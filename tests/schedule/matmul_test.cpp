#include <gtest/gtest.h>

#include "schedule/excerpt.h"
#include "schedule/loop_tree.h"
#include "schedule/workloads.h"
#include "tenon/schedule/schedule.h"

namespace tenon {
namespace {

std::string text(const Schedule& s) {
  return "\n" + loop_text(split_root(s.function()->body).body) + "\n";
}

TEST(MatmulSchedule, the_schedule_of_the_design_keeps_the_tile_in_registers) {
  Schedule s(testing::matmul(512, 512, 512));
  const auto ijk = s.loops("C");
  const auto i = s.split(ijk[0], {std::nullopt, 6}, "balance");
  const auto j = s.split(ijk[1], {std::nullopt, 64});
  s.reorder({i[0], j[0], ijk[2], i[1], j[1]});
  const BlockRef out = s.cache_write({"C"}, "register");
  s.reverse_compute_at(out, j[0]);
  s.vectorize(j[1]);
  s.unroll(i[1]);
  const auto inner = s.loops(out);
  s.vectorize(inner[3]);
  s.unroll(inner[2]);
  s.decompose_reduction({"C"}, ijk[2]);
  s.parallel(i[0]);
  EXPECT_EQ(text(s), R"(
    parallel for io in 0..86
      for jo in 0..8
        unrolled for ii in 0..select(io < 4, 5, 6)
          vectorized for ji in 0..64
            C_register[io * 5 + max(0, io - 4) + ii, jo * 64 + ji] = 0.0
        for k in 0..512
          unrolled for ii in 0..select(io < 4, 5, 6)
            vectorized for ji in 0..64
              C_register[io * 5 + max(0, io - 4) + ii, jo * 64 + ji] = fma(A[io * 5 + max(0, io - 4) + ii, k], B[k, jo * 64 + ji], C_register[io * 5 + max(0, io - 4) + ii, jo * 64 + ji])
        unrolled for i in 0..select(io < 4, 5, 6)
          vectorized for j in 0..64
            C[io * 5 + max(0, io - 4) + i, jo * 64 + j] = C_register[io * 5 + max(0, io - 4) + i, jo * 64 + j]
)");
}

}  // namespace
}  // namespace tenon
