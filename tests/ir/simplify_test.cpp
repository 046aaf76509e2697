#include "tenon/ir/simplify.h"

#include <gtest/gtest.h>

#include "tenon/ir/builder.h"
#include "tenon/ir/print.h"

namespace tenon {
namespace {

struct Simplify : testing::Test {
  Expr i = var("i"), j = var("j"), k = var("k"), n = var("n"), m = var("m");
  Analyzer an;
  std::string text(const Expr& e) { return print(an.simplify(e)); }
};

TEST_F(Simplify, sums_are_canonical) {
  EXPECT_EQ(text((i + j) * 4 - i * 3 + 5 - j), "i + j * 3 + 5");
  EXPECT_EQ(text(i - i), "0");
  EXPECT_EQ(text(n * i - i * n), "0");
  EXPECT_EQ(text((i + 1) * n), "i * n + n");
}

TEST_F(Simplify, equal_expressions_stay_the_same_node) {
  const Expr e = i * 4 + j;
  EXPECT_TRUE(an.simplify(e).same_as(e));
}

TEST_F(Simplify, split_indices_divide_back) {
  an.bind(i, {imm(0), imm(16)});
  an.bind(j, {imm(0), imm(8)});
  EXPECT_EQ(text(floordiv(i * 8 + j, imm(8))), "i");
  EXPECT_EQ(text(floormod(i * 8 + j, imm(8))), "j");
  EXPECT_EQ(text(floordiv(i * 8 + j, imm(4))), "i * 2 + j // 4");
  EXPECT_EQ(text(floordiv(i * 8 + j, imm(16))), "i // 2");
  EXPECT_EQ(text(floormod(i * 8 + j, imm(16))), "i % 2 * 8 + j");
  EXPECT_EQ(text(floordiv(i * 8 + j, imm(128))), "0");
}

TEST_F(Simplify, fused_indices_join) {
  an.bind(k, {imm(0), imm(96)});
  EXPECT_EQ(text(floordiv(k, imm(8)) * 8 + floormod(k, imm(8))), "k");
  EXPECT_EQ(text(floordiv(k + i, imm(8)) * 24 + floormod(k + i, imm(8)) * 3 + 1),
            "k * 3 + i * 3 + 1");
  EXPECT_EQ(text(k - floordiv(k, imm(4)) * 4), "k % 4");
  EXPECT_EQ(text(floormod(floordiv(k, imm(4)), imm(3)) * 4 + floormod(k, imm(4))), "k % 12");
}

TEST_F(Simplify, symbolic_extents) {
  an.bind(Symbol{n, 1, std::nullopt, 8});
  an.bind(i, {imm(0), n});
  EXPECT_EQ(text(floormod(n, imm(8))), "0");
  EXPECT_EQ(text(floordiv(n, imm(8)) * 8), "n");
  EXPECT_EQ(text(floordiv(i, n)), "0");
  EXPECT_EQ(text(floordiv(j * n + i, n)), "j");
  EXPECT_EQ(text(floormod(j * n + i, n)), "i");
  EXPECT_TRUE(an.can_prove(lt(i, n)));
  EXPECT_TRUE(an.can_prove(le(i + 1, n)));
  EXPECT_FALSE(an.can_prove(lt(i + 1, n)));
  EXPECT_TRUE(an.can_prove(ge(n, imm(8))));
}

TEST_F(Simplify, a_split_of_a_symbolic_loop_needs_its_guard) {
  an.bind(Symbol{n, 0, std::nullopt, 1});
  an.bind(i, {imm(0), ceildiv(n, imm(4))});
  an.bind(j, {imm(0), imm(4)});
  EXPECT_FALSE(an.can_prove(lt(i * 4 + j, n)));
  an.bind(i, {imm(0), floordiv(n, imm(4))});
  an.bind(j, {imm(0), imm(4)});
  EXPECT_TRUE(an.can_prove(lt(i * 4 + j, n)));
}

TEST_F(Simplify, facts_prove_what_follows) {
  an.bind(Symbol{n, 0, std::nullopt, 1});
  an.bind(i, {imm(0), n});
  Analyzer::Scope scope(&an);
  an.assume(lt(i * 4 + 3, n));
  EXPECT_TRUE(an.can_prove(lt(i * 4, n)));
  EXPECT_EQ(text(select(lt(i * 4 + 2, n), j, k)), "j");
  EXPECT_EQ(text(min(i * 4 + 4, n)), "i * 4 + 4");
}

TEST_F(Simplify, scopes_forget) {
  {
    Analyzer::Scope scope(&an);
    an.bind(i, {imm(3), imm(1)});
    EXPECT_EQ(text(i), "3");
  }
  EXPECT_EQ(text(i), "i");
}

TEST_F(Simplify, balanced_tiles_cover_their_extent) {
  // 49 rows in 9 tiles: five of 5 rows, then four of 6.
  an.bind(i, {imm(0), imm(9)});
  an.bind(j, {imm(0), imm(5) + min(imm(1), max(imm(0), i - 4))});
  const Expr row = i * 5 + max(imm(0), i - 5) + j;
  EXPECT_TRUE(an.can_prove(lt(row, imm(49))));
  EXPECT_FALSE(an.can_prove(lt(row, imm(48))));
  EXPECT_TRUE(an.can_prove(ge(row, imm(0))));
}

TEST_F(Simplify, minima_and_maxima) {
  an.bind(Symbol{n, 0, std::nullopt, 1});
  an.bind(i, {imm(0), imm(10)});
  EXPECT_EQ(text(min(i, imm(20))), "i");
  EXPECT_EQ(text(max(i * 4 + 3, i * 4)), "i * 4 + 3");
  EXPECT_EQ(text(min(i * 4 + 4, n) - i * 4), "min(4, n - i * 4)");
  EXPECT_EQ(text(max(min(n, imm(7)), imm(9))), "9");
}

TEST_F(Simplify, comparisons_are_canonical) {
  EXPECT_EQ(text(lt(i * 4 + 3, imm(16))), "i < 4");
  EXPECT_EQ(text(gt(n, i + n)), "i < 0");
  EXPECT_EQ(text(eq(i * 2, j * 2 + 1)), "false");
  EXPECT_EQ(text(logical_not(lt(i, j))), "j <= i");
}

TEST_F(Simplify, data_is_not_assumed_to_be_in_range) {
  const Buffer b = make_buffer("B", kInt64, {imm(8)});
  const Expr x = load(b, {i});
  EXPECT_EQ(text(lt(x, x + 1)), "B[i] < B[i] + 1");
  EXPECT_EQ(text(floordiv(x * 4, imm(4))), "B[i] * 4 // 4");
  EXPECT_EQ(text(x * 4 - x * 3), "B[i]");
  const Expr index = call(kInt64, "checked_index", {x, imm(100), imm(0)});
  EXPECT_EQ(text(floordiv(index + 1, imm(101))), "0");
  EXPECT_FALSE(an.can_prove(ge(index, imm(0))));  // -1 where out of range
}

TEST_F(Simplify, floats_are_left_alone) {
  const Expr x = var("x", kFloat32);
  const Expr zero = float_imm(kFloat32, 0), one = float_imm(kFloat32, 1);
  for (const Expr& e : {x + zero, x * one, x - x, x * zero, x / x})
    EXPECT_TRUE(an.simplify(e).same_as(e));
  EXPECT_TRUE(an.simplify(-(-x)).same_as(x));
}

TEST_F(Simplify, bounds) {
  an.bind(i, {imm(0), imm(10)});
  an.bind(j, {i, imm(4)});
  const ConstRange r = an.const_bounds(j - i);
  EXPECT_EQ(r.lower, 0);
  EXPECT_EQ(r.upper, 3);
  EXPECT_EQ(an.const_bounds(i * 3 + 1).upper, 28);
  EXPECT_FALSE(an.const_bounds(n).lower.has_value());
  EXPECT_EQ(an.modular(i * 6 + 3 + j * 12).modulus, 6);
  EXPECT_EQ(an.modular(i * 6 + 3 + j * 12).remainder, 3);
  // i * 9 - i % 8 is 72 * (i // 8) + 8 * (i % 8).
  EXPECT_EQ(an.modular(i * 9 - floormod(i, imm(8)) + j * 16).modulus, 8);
  EXPECT_EQ(an.modular(i * 9 - floormod(i, imm(8)) + 3).remainder, 3);
}

TEST_F(Simplify, symbolic_bounds_eliminate_variables) {
  an.bind(Symbol{n, 1, std::nullopt, 1});
  an.bind(i, {imm(0), n});
  an.bind(j, {imm(0), imm(4)});
  an.bind(k, {imm(0), imm(3)});
  const Range r = an.symbolic_range(i * 4 + j - k, {j, k});
  EXPECT_EQ(print(r.min), "i * 4 - 2");
  EXPECT_EQ(print(r.extent), "6");
  const Interval all = an.symbolic_bounds(i * 4 + j, {i, j});
  EXPECT_EQ(print(all.max), "n * 4 - 1");
  const Range q = an.symbolic_range(floordiv(i * 8 + j, imm(2)), {j});
  EXPECT_EQ(print(q.min), "i * 4");
  EXPECT_EQ(print(q.extent), "2");
}

TEST_F(Simplify, affine_forms) {
  const AffineForm f = an.affine(i * 4 + j - 3 + floordiv(k, imm(2)));
  EXPECT_EQ(f.coefficient_of(i), 4);
  EXPECT_EQ(f.coefficient_of(j), 1);
  EXPECT_EQ(f.coefficient_of(k), 0);
  EXPECT_EQ(f.constant, -3);
}

}  // namespace
}  // namespace tenon
