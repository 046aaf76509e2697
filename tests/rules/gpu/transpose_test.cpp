// Transposes on a GPU: tiles through shared memory.

#include <gtest/gtest.h>

#include <vector>

#include "rules/comparison.h"
#include "rules/gpu/gpu_comparison.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/print.h"
#include "tenon/te/tensor.h"

namespace tenon {
namespace {

using Indices = std::vector<Expr>;

/// Y[b, i, j] = A[b, j, i] + B[b, i, j].
Function transposed_sum(const Expr& batch, const Expr& m, const Expr& n, DType dtype = kFloat32) {
  te::Tensor a = te::placeholder({batch, n, m}, dtype, "A");
  te::Tensor b = te::placeholder({batch, m, n}, dtype, "B");
  te::Tensor y = te::compute(
      {batch, m, n},
      [&](const Indices& v) { return te::read(a, {v[0], v[2], v[1]}) + te::read(b, v); }, "Y");
  return te::function({a, b}, {y}, "transposed_sum");
}

/// Y[i, j, k] = A[k, i, j], j - 1 where it is inside: rows that are read across have padding.
Function padded_turn(std::int64_t i, std::int64_t j, std::int64_t k) {
  te::Tensor a = te::placeholder({imm(k), imm(i), imm(j)}, kFloat32, "A");
  te::Tensor y = te::compute(
      {imm(i), imm(j + 2), imm(k)},
      [&](const Indices& v) {
        const Expr at = v[1] - 1;
        const Expr inside = logical_and(ge(at, imm(0)), lt(at, imm(j)));
        return select(inside, te::read(a, {v[2], v[0], at}), float_imm(kFloat32, 0));
      },
      "Y");
  return te::function({a}, {y}, "padded_turn");
}

TEST(GpuTranspose, tiles_go_through_padded_shared_memory) {
  const std::string text = print(launch_form(transposed_sum(imm(2), imm(64), imm(96))));
  EXPECT_NE(text.find("alloc A_shared: float32[1055] shared"), std::string::npos) << text;
  EXPECT_NE(text.find("0..8 on \"threadIdx.y\""), std::string::npos) << text;
  const std::string narrow = print(launch_form(transposed_sum(imm(2), imm(4), imm(96))));
  EXPECT_EQ(narrow.find("shared"), std::string::npos) << narrow;
}

TEST(GpuTranspose, results_are_those_of_the_loops) {
  const Expr b = te::symbol("b"), m = te::symbol("m"), n = te::symbol("n");
  for (const auto& [rows, columns] : {std::pair{64, 32}, std::pair{33, 70}, std::pair{9, 45}}) {
    const std::vector<Array> inputs = {random_array({2, columns, rows}, 1),
                                       random_array({2, rows, columns}, 2)};
    expect_same_results(transposed_sum(imm(2), imm(rows), imm(columns)), inputs, Agreement::kBits);
    expect_same_results(transposed_sum(b, m, n), inputs, Agreement::kBits);
  }
  expect_same_results(
      transposed_sum(b, imm(40), n, DType::int_(8)),
      {random_array({2, 33, 40}, 1, DType::int_(8)), random_array({2, 40, 33}, 2, DType::int_(8))},
      Agreement::kBits);
  EXPECT_NE(print(launch_form(padded_turn(3, 40, 36))).find("shared"), std::string::npos);
  expect_same_results(padded_turn(3, 40, 36), {random_array({36, 3, 40}, 1)}, Agreement::kBits);
}

}  // namespace
}  // namespace tenon
