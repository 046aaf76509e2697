// Operands that a contraction would read across its lanes, and transposes.

#include <gtest/gtest.h>

#include "rules/comparison.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/lower.h"
#include "tenon/ir/print.h"
#include "tenon/rules/default_schedule.h"
#include "tenon/te/expr.h"
#include "tenon/te/tensor.h"

namespace tenon {
namespace {

using Indices = std::vector<Expr>;

/// A product of [b, m, k] and [b, k, n], either stored transposed; b may be left out.
struct Product {
  std::int64_t m, n, k, batch = 0;
  bool a_transposed = false, b_transposed = true;
  DType dtype = kFloat32;

  std::vector<std::int64_t> shape(std::int64_t rows, std::int64_t columns, bool transposed) const {
    std::vector<std::int64_t> s;
    if (batch > 0) s.push_back(batch);
    s.push_back(transposed ? columns : rows);
    s.push_back(transposed ? rows : columns);
    return s;
  }
  std::vector<Array> inputs() const {
    return {random_array(shape(m, k, a_transposed), 1, dtype),
            random_array(shape(k, n, b_transposed), 2, dtype)};
  }
  /// With extents of its own where these are given.
  Function function(Expr rows = nullptr, Expr columns = nullptr, Expr depth = nullptr) const {
    if (!rows) rows = imm(m);
    if (!columns) columns = imm(n);
    if (!depth) depth = imm(k);
    const auto dims = [&](const Expr& x, const Expr& y, bool transposed) {
      Indices s;
      if (batch > 0) s.push_back(imm(batch));
      s.push_back(transposed ? y : x);
      s.push_back(transposed ? x : y);
      return s;
    };
    te::Tensor a = te::placeholder(dims(rows, depth, a_transposed), dtype, "A");
    te::Tensor b = te::placeholder(dims(depth, columns, b_transposed), dtype, "B");
    IterVar kk = te::reduce_axis(depth, "k");
    const auto at = [&](const Indices& v, const Expr& x, const Expr& y, bool transposed) {
      Indices index(v.begin(), v.end() - 2);
      index.push_back(transposed ? y : x);
      index.push_back(transposed ? x : y);
      return index;
    };
    te::Tensor c = te::compute(
        dims(rows, columns, false),
        [&](const Indices& v) {
          const Expr &i = v[v.size() - 2], &j = v.back();
          return te::sum(te::read(a, at(v, i, kk.var, a_transposed)) *
                             te::read(b, at(v, kk.var, j, b_transposed)),
                         {kk});
        },
        "C");
    return te::function({a, b}, {c}, "product");
  }
};

void expect_bits(const Product& p) {
  SCOPED_TRACE(std::to_string(p.m) + " x " + std::to_string(p.n) + " x " + std::to_string(p.k));
  expect_same_results(p.function(), p.inputs(), Agreement::kBits);
}

bool is_packed(const Function& f) {
  return print(default_schedule(f, Target::host()).function()).find("_global") != std::string::npos;
}

TEST(PackingTest, every_side_transposed) {
  for (const bool a_transposed : {false, true}) {
    for (const bool b_transposed : {false, true}) {
      const Product p{70, 150, 49, 0, a_transposed, b_transposed};
      EXPECT_EQ(is_packed(p.function()), b_transposed);
      expect_bits(p);
    }
  }
}

TEST(PackingTest, sizes_around_the_squares_and_panels) {
  expect_bits({.m = 40, .n = 64, .k = 16});
  expect_bits({.m = 9, .n = 10, .k = 300});   // one narrow panel
  expect_bits({.m = 130, .n = 200, .k = 7});  // no full square
  expect_bits({.m = 33, .n = 129, .k = 17});
  expect_bits({.m = 4, .n = 1, .k = 5});
  expect_bits({.m = 20, .n = 70, .k = 33, .dtype = kFloat64});
  expect_bits({.m = 20, .n = 33, .k = 40, .batch = 3});
  expect_bits({.m = 20, .n = 300, .k = 20, .batch = 2, .a_transposed = true});
}

TEST(PackingTest, few_rows_do_not_pay_for_a_copy) {
  EXPECT_FALSE(is_packed(Product{.m = 2, .n = 70, .k = 33}.function()));
  expect_bits({.m = 2, .n = 70, .k = 33});
}

TEST(PackingTest, vectors_fill_registers_by_powers_of_two) {
  const auto text = [](std::int64_t n, const char* target) {
    const Product p{.m = 20, .n = n, .k = 9, .b_transposed = false};
    return print(default_schedule(p.function(), Target::parse(target)).function());
  };
  EXPECT_NE(text(100, "cpu -mcpu=znver4").find("min(32, 100 - "), std::string::npos);
  EXPECT_NE(text(112, "cpu -mcpu=znver4").find("min(32, 112 - "), std::string::npos);
  EXPECT_NE(text(70, "cpu -mcpu=znver4").find("min(64, 70 - "), std::string::npos);
  EXPECT_NE(text(20, "cpu -mcpu=znver4").find("min(16, 20 - "), std::string::npos);
  EXPECT_NE(text(12, "cpu -mcpu=x86-64-v3").find("min(8, 12 - "), std::string::npos);
  for (const std::int64_t n : {1, 7, 20, 36, 48, 100, 112})
    expect_bits({.m = 13, .n = n, .k = 5, .b_transposed = false});
}

TEST(PackingTest, symbolic_sizes) {
  const Product p{.m = 23, .n = 70, .k = 37};
  const Expr m = te::symbol("m"), n = te::symbol("n"), k = te::symbol("k");
  expect_same_results(p.function(m), p.inputs(), Agreement::kBits);
  expect_same_results(p.function(nullptr, nullptr, k), p.inputs(), Agreement::kBits);
  const Function all = p.function(m, n, k);
  expect_same_results(all, p.inputs(), Agreement::kBits);
  expect_same_results(all, Product{.m = 0, .n = 3, .k = 4}.inputs(), Agreement::kBits);
  expect_same_results(all, Product{.m = 5, .n = 3, .k = 0}.inputs(), Agreement::kBits);
}

TEST(PackingTest, one_matrix_on_both_sides) {
  te::Tensor a = te::placeholder({imm(50), imm(40)}, kFloat32, "A");
  IterVar k = te::reduce_axis(imm(40), "k");
  te::Tensor c = te::compute(
      {imm(50), imm(50)},
      [&](const Indices& v) {
        return te::sum(te::read(a, {v[0], k.var}) * te::read(a, {v[1], k.var}), {k});
      },
      "C");
  const Function f = te::function({a}, {c}, "gram");
  EXPECT_TRUE(is_packed(f));
  expect_same_results(f, {random_array({50, 40}, 1)}, Agreement::kBits);
}

TEST(PackingTest, an_operand_that_is_computed_and_an_epilogue) {
  te::Tensor a = te::placeholder({imm(30), imm(40)}, kFloat32, "A");
  te::Tensor b = te::placeholder({imm(90), imm(40)}, kFloat32, "B");
  IterVar k = te::reduce_axis(imm(40), "k");
  te::Tensor e = te::compute(
      {imm(90), imm(40)}, [&](const Indices& v) { return te::math("exp", {te::read(b, v)}); }, "E");
  te::Tensor c = te::compute(
      {imm(30), imm(90)},
      [&](const Indices& v) {
        return te::sum(te::read(a, {v[0], k.var}) * te::read(e, {v[1], k.var}), {k});
      },
      "C");
  te::Tensor d = te::compute(
      {imm(30), imm(90)}, [&](const Indices& v) { return te::math("tanh", {te::read(c, v)}); },
      "D");
  expect_same_results(te::function({a, b}, {d}, "layer"),
                      {random_array({30, 40}, 1), random_array({90, 40}, 2)}, Agreement::kBits);
}

/// The permutation of a 3-d tensor whose dimension d is `order[d]` of the input.
Function permutation(const Indices& shape, const std::vector<std::size_t>& order, DType dtype) {
  te::Tensor a = te::placeholder(shape, dtype, "A");
  Indices permuted;
  for (const std::size_t d : order) permuted.push_back(shape[d]);
  te::Tensor c = te::compute(
      permuted,
      [&](const Indices& v) {
        Indices at(order.size());
        for (std::size_t d = 0; d < order.size(); ++d) at[order[d]] = v[d];
        return te::read(a, at);
      },
      "C");
  return te::function({a}, {c}, "permute");
}

TEST(TransposeTest, every_permutation) {
  const std::vector<std::vector<std::size_t>> orders = {
      {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
  const std::vector<std::int64_t> shape = {18, 35, 33};
  const Indices constant = {imm(18), imm(35), imm(33)};
  for (const auto& order : orders) {
    expect_same_results(permutation(constant, order, kFloat32), {random_array(shape, 1)},
                        Agreement::kBits);
  }
  const Indices symbols = {te::symbol("a"), te::symbol("b"), te::symbol("c")};
  expect_same_results(permutation(symbols, {2, 1, 0}, kFloat32), {random_array(shape, 1)},
                      Agreement::kBits);
}

TEST(TransposeTest, blocks_of_rows_that_collide_in_the_caches) {
  for (const auto& [rows, columns] : {std::pair{1024, 270}, {259, 2048}, {1024, 1024}}) {
    const Function f = permutation({imm(rows), imm(columns)}, {1, 0}, kFloat32);
    expect_same_results(f, {random_array({rows, columns}, 1)}, Agreement::kBits);
    const std::string text = print(default_schedule(f, Target::host()).function());
    EXPECT_NE(text.find("for joi in"), std::string::npos) << text;
  }
}

TEST(TransposeTest, squares_are_shuffled) {
  const Function f = permutation({imm(64), imm(64)}, {1, 0}, kFloat32);
  const std::string text = print(lower(default_schedule(f, Target::host()).function()));
  EXPECT_NE(text.find("shuffle"), std::string::npos) << text;
}

TEST(TransposeTest, arithmetic_across_lanes) {
  te::Tensor a = te::placeholder({imm(50), imm(40)}, kFloat32, "A");
  te::Tensor b = te::placeholder({imm(40), imm(50)}, kFloat32, "B");
  te::Tensor c = te::compute(
      {imm(40), imm(50)},
      [&](const Indices& v) {
        const Expr x = te::read(a, {v[1], v[0]});
        return te::select(gt(x, float_imm(kFloat32, 0)), x, te::read(b, v)) * x;
      },
      "C");
  expect_same_results(te::function({a, b}, {c}, "f"),
                      {random_array({50, 40}, 1), random_array({40, 50}, 2)}, Agreement::kBits);
}

}  // namespace
}  // namespace tenon
