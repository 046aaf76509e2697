#include <gtest/gtest.h>

#include "te/expressions.h"
#include "te/index_range.h"
#include "tenon/ir/print.h"

namespace tenon::te {
namespace {

struct IndexRangeTest : testing::Test {
  IterVar i{var("i"), {imm(0), imm(7)}}, j{var("j"), {imm(-2), imm(3)}};
  std::vector<IterVar> iters{i, j};

  void expect(const Expr& index, std::int64_t first, std::int64_t last,
              const std::vector<Expr>& conditions = {}) {
    const auto range = index_range(index, conditions, iters);
    ASSERT_TRUE(range) << print(index);
    EXPECT_EQ(range->first, first) << print(index);
    EXPECT_EQ(range->last, last) << print(index);
  }
};

TEST_F(IndexRangeTest, is_exact_where_variables_occur_more_than_once) {
  expect(i.var - floormod(i.var, imm(3)) * 2, -2, 6);
  expect(min(i.var, imm(4) - i.var), -2, 2);
  expect(tenon::select(lt(i.var, imm(3)), -i.var, i.var), -2, 6);
  expect(floordiv(i.var + j.var, imm(2)), -1, 3);
}

TEST_F(IndexRangeTest, conditions_restrict_it_and_unknown_ones_do_not) {
  expect(i.var, 3, 6, {gt(i.var, imm(2))});
  expect(i.var, 0, 4, {le(i.var + 2, -j.var + 4)});
  expect(i.var, 0, 6, {gt(var("unknown"), i.var)});
}

TEST_F(IndexRangeTest, is_empty_where_no_value_satisfies_the_conditions) {
  const auto range = index_range(i.var, {gt(i.var, imm(9))}, iters);
  ASSERT_TRUE(range);
  EXPECT_GT(range->first, range->last);
}

TEST_F(IndexRangeTest, is_absent_for_unknown_variables_and_too_many_values) {
  EXPECT_FALSE(index_range(i.var + var("n"), {}, iters));
  iters[0].domain.extent = imm(2000);
  EXPECT_FALSE(index_range(i.var * j.var, {}, iters));
  expect(i.var * 2, 0, 3998);
  iters[0].domain.extent = var("n");
  EXPECT_FALSE(index_range(i.var, {}, iters));
}

TEST(CheckReadsTest, a_branch_keeps_what_its_own_condition_proves) {
  const Expr n = symbol("n");
  const Tensor a = placeholder({n}, kFloat32, "A");
  const Tensor b = compute(
      {n},
      [&](const Indices& v) {
        const Expr next = read(a, {v[0] + 1});
        return tenon::select(lt(v[0] + 1, n), next,
                             tenon::select(gt(n, imm(3)), read(a, {imm(3)}), next));
      },
      "B");
  const std::string text = print(function({a}, {b}, "f"));
  EXPECT_NE(text.find("select(vi + 1 < n, A[vi + 1], select(n > 3, A[3], A[checked_index(vi + 1, "
                      "n, 0) where checked_index(vi + 1, n, 0) >= 0]))"),
            std::string::npos)
      << text;
}

TEST(CheckReadsTest, a_domain_that_another_axis_empties_runs_nothing) {
  const Tensor a = placeholder({imm(4)}, kFloat32, "A");
  const Tensor b = compute(
      {imm(9)},
      [&](const Indices& v) {
        const IterVar k = reduce_axis(Range{imm(0), imm(4) - v[0]}, "k");
        return sum(read(a, {v[0] + k.var}), {k});
      },
      "B");
  EXPECT_EQ(print(function({a}, {b}, "f")).find("checked_index"), std::string::npos);
}

}  // namespace
}  // namespace tenon::te
