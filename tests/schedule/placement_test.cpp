#include <gtest/gtest.h>

#include "schedule/excerpt.h"
#include "schedule/loop_tree.h"
#include "schedule/workloads.h"
#include "tenon/ir/builder.h"
#include "tenon/schedule/schedule.h"

namespace tenon {
namespace {

std::string text(const Schedule& s) {
  return "\n" + loop_text(split_root(s.function()->body).body) + "\n";
}

TEST(ComputeAt, makes_what_the_reader_needs_of_each_tile) {
  Schedule s(testing::window_sum(32));
  const auto i = s.split(s.loops("C")[0], {std::nullopt, 8});
  s.compute_at({"T"}, i[0]);
  s.parallel(i[0]);
  EXPECT_EQ(text(s), R"(
    parallel for io in 0..4
      for x in 0..10
        T[io * 8 + x] = A[io * 8 + x] * A[io * 8 + x]
      for ii in 0..8
        for w in 0..3
          C[io * 8 + ii] = C[io * 8 + ii] + T[io * 8 + ii + w]
)");
}

TEST(ComputeAt, masks_what_lies_outside_the_domain) {
  Schedule s(testing::window_sum(30));
  const auto i = s.split(s.loops("C")[0], {std::nullopt, 8});
  s.compute_at({"T"}, i[0]);
  EXPECT_EQ(text(s), R"(
    for io in 0..4
      for x in 0..10
        if io * 8 + x < 32: T[io * 8 + x] = A[io * 8 + x] * A[io * 8 + x]
      for ii in 0..8
        for w in 0..3
          if io * 8 + ii < 30: C[io * 8 + ii] = C[io * 8 + ii] + T[io * 8 + ii + w]
)");
}

TEST(ComputeInline, puts_the_expression_where_it_is_read) {
  Schedule s(testing::padded_select(30));
  s.compute_inline({"P"});
  EXPECT_EQ(text(s), R"(
    for i in 0..31
      C[i] = select(i >= 1 and i < 31, A[i - 1], 0.0) + select(i + 1 >= 1 and i + 1 < 31, A[i + 1 - 1], 0.0)
)");
}

TEST(ReverseComputeInline, computes_the_reader_where_its_operand_is_made) {
  Schedule s(testing::elementwise_chain(30));
  s.reverse_compute_inline({"C"});
  EXPECT_EQ(text(s), R"(
    for i in 0..30
      C[i] = A[i] * 2.0 + 1.0
)");
}

TEST(ComputeAt, keeps_a_chain_of_producers_in_one_row) {
  Schedule s(testing::softmax_chain(4, 30));
  const auto i = s.loops("C")[0];
  s.compute_at({"S"}, i);
  s.compute_at({"E"}, i);
  s.compute_at({"M"}, i);
  s.parallel(i);
  s.set_scope({"E"}, "local");
  EXPECT_EQ(text(s), R"(
    parallel for i in 0..4
      for i_1 in 0..1
        for j in 0..30
          M[i + i_1] = max(M[i + i_1], A[i + i_1, j])
      for i_1 in 0..1
        for j in 0..30
          E[i + i_1, j] = A[i + i_1, j] - M[i + i_1]
      for i_1 in 0..1
        for j in 0..30
          S[i + i_1] = S[i + i_1] + E[i + i_1, j]
      for j in 0..30
        C[i, j] = E[i, j] / S[i]
)");
}
TEST(ReverseComputeAt, keeps_a_chain_of_consumers_in_one_row) {
  Schedule s(testing::softmax_chain(4, 30));
  const auto i = s.loops("M")[0];
  s.reverse_compute_at({"E"}, i);
  s.reverse_compute_at({"S"}, i);
  s.reverse_compute_at({"C"}, i);
  s.parallel(i);
  EXPECT_EQ(text(s), R"(
    parallel for i in 0..4
      for j in 0..30
        M[i] = max(M[i], A[i, j])
      for i_1 in 0..1
        for j in 0..30
          E[i + i_1, j] = A[i + i_1, j] - M[i + i_1]
      for i_1 in 0..1
        for j in 0..30
          S[i + i_1] = S[i + i_1] + E[i + i_1, j]
      for i_1 in 0..1
        for j in 0..30
          C[i + i_1, j] = E[i + i_1, j] / S[i + i_1]
)");
}
TEST(Rfactor, moves_the_condition_of_a_masked_term_into_the_body) {
  Schedule s(testing::column_sum(30, 5));
  const auto i = s.loops("C")[1];
  const auto io = s.split(i, {std::nullopt, 8});
  s.rfactor(io[0]);
  EXPECT_EQ(text(s), R"(
    for j in 0..5
      for io in 0..4
        for ii in 0..8
          C_rf[io, j] = select(io * 8 + ii < 30, C_rf[io, j] + A[io * 8 + ii, j], C_rf[io, j])
    for j in 0..5
      for io in 0..4
        C[j] = C[j] + C_rf[io, j]
)");
}
TEST(SplitTerms, takes_the_step_from_the_loops_inside) {
  Schedule s(testing::column_sum(30, 5));
  const auto i = s.split(s.loops("C")[1], {std::nullopt, 5});
  s.split_terms(i[0], 12);
  EXPECT_EQ(text(s), R"(
    for j in 0..5
      for ioo in 0..3
        for ioi in 0..2
          for ii in 0..5
            C[j] = C[j] + A[(ioo * 2 + ioi) * 5 + ii, j]
)");
  Schedule symbolic(testing::symbolic_sums(5));
  const auto blocks = symbolic.split_terms(symbolic.loops("C")[1], 12);
  symbolic.rfactor(blocks[0]);
  EXPECT_EQ(text(symbolic), R"(
    for j in 0..5
      for io in 0..(m + max(1, 12 // max(1, p)) - 1) // max(1, 12 // max(1, p))
        for ii in 0..max(1, 12 // max(1, p))
          for l in 0..p
            C_rf[io, j] = select(io * max(1, 12 // max(1, p)) + ii < m, C_rf[io, j] + A[io * max(1, 12 // max(1, p)) + ii, l, j], C_rf[io, j])
    for j in 0..5
      for io in 0..(m + max(1, 12 // max(1, p)) - 1) // max(1, 12 // max(1, p))
        C[j] = C[j] + C_rf[io, j]
)");
}

TEST(Reindex, unrolls_a_window_with_zeros_outside) {
  Schedule s(testing::padded_select(8));
  s.reindex({"P"}, "A", "local");
  EXPECT_EQ(text(s), R"(
    for x in 0..10
      A_local[x] = select(x - 1 >= 0 and x - 1 < 8, A[x - 1], 0.0)
    for x in 0..10
      P[x] = select(x >= 1 and x < 9, A_local[x], 0.0)
    for i in 0..9
      C[i] = P[i] + P[i + 1]
)");
  Schedule sums(testing::window_sum(6));
  const BlockRef t = sums.reindex({"C"}, "T", "local");
  sums.compute_at(t, sums.loops("C")[0]);
  EXPECT_EQ(text(sums), R"(
    for x in 0..8
      T[x] = A[x] * A[x]
    for i in 0..6
      for w in 0..3
        for i_1 in 0..1
          T_local[w, i + i_1] = T[i + i_1 + w]
      for w in 0..3
        C[i] = C[i] + T_local[w, i]
)");
}

TEST(TransformLayout, follows_a_cache_that_was_moved) {
  Schedule s(testing::matmul(16, 16, 30));
  const auto b = s.cache_read({"C"}, "B", "local");
  const auto l = s.loops("C");
  const auto k = s.split(l[2], {std::nullopt, 8}, "partition");
  s.compute_at(b, k[0]);
  const Expr i = var("i"), j = var("j");
  s.transform_layout({"C"}, "B_local", {{i, j}, {i, floordiv(j, imm(4)), floormod(j, imm(4))}});
  EXPECT_EQ(text(s), R"(
    for i in 0..16
      for j in 0..16
        for ko in 0..4
          for k in 0..min(8, 30 - ko * 8)
            for j_1 in 0..1
              B_local[ko * 8 + k, (j + j_1) // 4, (j + j_1) % 4] = B[ko * 8 + k, j + j_1]
          for ki in 0..min(8, 30 - ko * 8)
            C[i, j] = fma(A[i, ko * 8 + ki], B_local[ko * 8 + ki, j // 4, j % 4], C[i, j])
)");
}

}  // namespace
}  // namespace tenon
