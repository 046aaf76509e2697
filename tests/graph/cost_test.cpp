#include "tenon/graph/cost.h"

#include <gtest/gtest.h>

#include "te/expressions.h"
#include "tenon/ir/parse.h"

namespace tenon::graph {
namespace {

TEST(CostTest, a_product_of_matrices_moves_each_matrix_once) {
  const Function f = te::matmul(imm(6), imm(10), imm(4));
  const KernelCost cost = cost_of(f, {});
  EXPECT_EQ(cost.operations, 2 * 6 * 10 * 4);
  EXPECT_EQ(cost.bytes_read, 4 * (6 * 4 + 4 * 10));
  EXPECT_EQ(cost.bytes_written, 4 * 6 * 10);
}

TEST(CostTest, symbols_take_their_values) {
  const Expr m = te::symbol("m");
  const Function f = te::matmul(m, imm(8), imm(8));
  EXPECT_EQ(cost_of(f, {3}).operations, 2 * 3 * 8 * 8);
  EXPECT_EQ(cost_of(f, {5}).bytes_written, 4 * 5 * 8);
  EXPECT_EQ(cost_of(f, {0}).operations, 0);
  EXPECT_EQ(cost_of(f, {0}).bytes_written, 0);
}

TEST(CostTest, a_gather_reads_rows_and_not_the_table) {
  te::Tensor table = te::placeholder({imm(1000), imm(16)}, kFloat32, "table");
  te::Tensor ids = te::placeholder({imm(5)}, kInt64, "ids");
  te::Tensor rows = te::compute(
      {imm(5), imm(16)},
      [&](const te::Indices& i) {
        return te::read(table, {te::read(ids, {i[0]}), i[1]}) + float_imm(kFloat32, 1.0);
      },
      "rows");
  const KernelCost cost = cost_of(te::function({table, ids}, {rows}, "gather"), {});
  EXPECT_EQ(cost.operations, 5 * 16);
  EXPECT_EQ(cost.bytes_read, 5 * 16 * 4 + 5 * 8);
  EXPECT_EQ(cost.bytes_written, 5 * 16 * 4);
}

TEST(CostTest, a_slice_counts_what_is_read_of_it) {
  te::Tensor x = te::placeholder({imm(7), imm(96)}, kFloat32, "x");
  te::Tensor part = te::compute(
      {imm(7), imm(32)}, [&](const te::Indices& i) { return te::read(x, {i[0], i[1] + imm(32)}); },
      "part");
  const KernelCost cost = cost_of(te::function({x}, {part}, "slice"), {});
  EXPECT_EQ(cost.operations, 0);
  EXPECT_EQ(cost.bytes_read, 7 * 32 * 4);
}

TEST(CostTest, blocks_that_read_one_parameter_read_it_once) {
  te::Tensor x = te::placeholder({imm(4), imm(32)}, kFloat32, "x");
  te::Tensor twice = te::compute(
      {imm(4), imm(32)}, [&](const te::Indices& i) { return te::read(x, i) * te::read(x, i); },
      "twice");
  te::Tensor sum = te::compute(
      {imm(4), imm(32)}, [&](const te::Indices& i) { return te::read(twice, i) + te::read(x, i); },
      "sum");
  const KernelCost cost = cost_of(te::function({x}, {sum}, "f"), {});
  EXPECT_EQ(cost.operations, 2 * 4 * 32);
  EXPECT_EQ(cost.bytes_read, 4 * 4 * 32);
  EXPECT_EQ(cost.bytes_written, 4 * 4 * 32);
}

TEST(CostTest, inner_loops_may_depend_on_outer_ones) {
  const Function f = parse_function(R"(function triangle(A: float32[9]) -> (B: float32[9])
  for i in 0..9
    for j in 0..i + 1
      block B
        spatial vi in 0..9 = i
        ordered vj in 0..9 = j
        reads A[vj], B[vi]
        writes B[vi]
        B[vi] = B[vi] + A[vj]
)");
  EXPECT_EQ(cost_of(f, {}).operations, 45);
}

}  // namespace
}  // namespace tenon::graph
