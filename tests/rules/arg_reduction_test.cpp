#include "tenon/te/arg_reduction.h"

#include <gtest/gtest.h>

#include "rules/comparison.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/print.h"
#include "tenon/rules/default_schedule.h"

namespace tenon {
namespace {

using Indices = std::vector<Expr>;

Function argmax_of_matrix(const Expr& rows, const Expr& columns, bool along_rows) {
  te::Tensor a = te::placeholder({rows, columns}, kFloat32, "A");
  const IterVar k = te::reduce_axis(along_rows ? columns : rows);
  te::Tensor c = te::compute(
      {along_rows ? rows : columns},
      [&](const Indices& v) {
        return te::argmax(te::read(a, along_rows ? Indices{v[0], k.var} : Indices{k.var, v[0]}), k);
      },
      "C");
  return te::function({a}, {c}, "argmax");
}

TEST(ArgReductionRuleTest, rows_and_columns_have_the_bits_of_the_loops) {
  for (const bool along_rows : {true, false}) {
    const Function f = argmax_of_matrix(te::symbol("m"), te::symbol("n"), along_rows);
    for (const auto& [m, n] : {std::pair{9, 200}, std::pair{200, 9}, std::pair{3, 0}})
      expect_same_results(f, {random_array({m, n}, 1)}, Agreement::kBits);
  }
}

TEST(ArgReductionRuleTest, both_passes_over_a_row_run_in_lanes) {
  const std::string text = print(
      default_schedule(argmax_of_matrix(imm(64), imm(4096), true), Target::host()).function());
  EXPECT_NE(text.find("vectorized for ki in 0..64\n          block C_min_rf\n"), std::string::npos)
      << text;
}

TEST(ArgReductionRuleTest, reductions_three_deep) {
  te::Tensor a = te::placeholder({imm(3), imm(5), imm(7)}, kFloat32, "A");
  const IterVar k = te::reduce_axis(imm(5)), r = te::reduce_axis(imm(7), "r");
  te::Tensor c = te::compute(
      {imm(3)},
      [&](const Indices& v) {
        return te::argmin(te::sum(te::read(a, {v[0], k.var, r.var}), {r}), k) + 1;
      },
      "C");
  expect_same_results(te::function({a}, {c}, "f"), {random_array({3, 5, 7}, 1)}, Agreement::kBits);
}

}  // namespace
}  // namespace tenon
