#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "te/expressions.h"
#include "tenon/ir/interpret.h"

namespace tenon::te {
namespace {

std::vector<float> random_floats(std::int64_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> out(static_cast<std::size_t>(n));
  for (float& v : out) v = uniform(random);
  return out;
}

template <typename T>
ArrayView view(std::vector<T>& data, std::vector<std::int64_t> shape, DType dtype) {
  return {data.data(), dtype, std::move(shape)};
}
ArrayView view(std::vector<float>& data, std::vector<std::int64_t> shape) {
  return view(data, std::move(shape), kFloat32);
}

constexpr float kUnwritten = 77;

TEST(TeValuesTest, matmul_has_the_bits_of_three_loops) {
  for (const bool transposed : {false, true}) {
    for (const auto& [m, n, k] :
         {std::tuple{3, 4, 5}, std::tuple{1, 1, 1}, std::tuple{0, 4, 5}, std::tuple{3, 4, 0}}) {
      std::vector<float> a = random_floats(m * k, 1), b = random_floats(k * n, 2);
      std::vector<float> c(static_cast<std::size_t>(m * n), kUnwritten), expected(c.size());
      for (int i = 0; i < m; ++i) {
        for (int j = 0; j < n; ++j) {
          float& sum = expected[static_cast<std::size_t>(i * n + j)];
          for (int l = 0; l < k; ++l) {
            sum = std::fma(a[static_cast<std::size_t>(i * k + l)],
                           b[static_cast<std::size_t>(transposed ? j * k + l : l * n + j)], sum);
          }
        }
      }
      const Function f = matmul(symbol("m"), symbol("n"), symbol("k"), kFloat32, transposed);
      interpret(f, {view(a, {m, k}),
                    view(b, transposed ? std::vector<std::int64_t>{n, k}
                                       : std::vector<std::int64_t>{k, n}),
                    view(c, {m, n})})
          .check();
      EXPECT_EQ(c, expected) << m << " " << n << " " << k;
    }
  }
}

TEST(TeValuesTest, terms_are_added_in_ascending_order) {
  std::vector<float> a = random_floats(4 * 100, 3), c(4);
  interpret(sum_of_matrix(imm(4), imm(100), true), {view(a, {4, 100}), view(c, {4})}).check();
  for (std::size_t i = 0; i < 4; ++i) {
    const auto row = a.begin() + static_cast<std::ptrdiff_t>(i * 100);
    EXPECT_EQ(c[i], std::accumulate(row, row + 100, 0.0F));
  }
}

/// The reduction `op` over an axis of symbolic size.
Function reduction(ReduceOp op) {
  const Expr n = symbol("n");
  Tensor a = placeholder({imm(2), n}, kFloat32, "A");
  IterVar k = reduce_axis(n, "k");
  Tensor c = compute(
      {imm(2)},
      [&](const Indices& v) {
        const Expr x = read(a, {v[0], k.var});
        switch (op) {
          case ReduceOp::kSum:
            return sum(x, {k});
          case ReduceOp::kProd:
            return prod(x, {k});
          case ReduceOp::kMin:
            return min(x, {k});
          case ReduceOp::kMax:
            break;
        }
        return max(x, {k});
      },
      "C");
  return function({a}, {c}, "reduction");
}

TEST(TeValuesTest, reductions_of_nothing_give_the_identity) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const auto& [op, expected] :
       {std::pair{ReduceOp::kSum, 0.0F}, std::pair{ReduceOp::kProd, 1.0F},
        std::pair{ReduceOp::kMin, infinity}, std::pair{ReduceOp::kMax, -infinity}}) {
    std::vector<float> a(1), c(2, kUnwritten);
    interpret(reduction(op), {view(a, {2, 0}), view(c, {2})}).check();
    EXPECT_EQ(c, std::vector<float>(2, expected));
  }
}

TEST(TeValuesTest, constant_extent_of_zero_gives_the_identity) {
  std::vector<float> a(1), c(3, kUnwritten);
  interpret(sum_of_matrix(imm(3), imm(0), true), {view(a, {3, 0}), view(c, {3})}).check();
  EXPECT_EQ(c, std::vector<float>(3, 0.0F));
}

TEST(TeValuesTest, sums_whose_extent_depends_on_the_row) {
  Tensor a = placeholder({imm(5)}, kFloat32, "A");
  std::vector<float> in = {1, 2, 4, 8, 16}, c(5, kUnwritten);
  Tensor t = compute(
      {imm(5)},
      [&](const Indices& v) {
        IterVar k = reduce_axis(v[0], "k");
        return sum(read(a, {k.var}), {k});
      },
      "C");
  interpret(function({a}, {t}, "before"), {view(in, {5}), view(c, {5})}).check();
  EXPECT_EQ(c, (std::vector<float>{0, 1, 3, 7, 15}));
}

TEST(TeValuesTest, reduction_axes_that_bound_each_other) {
  Tensor a = placeholder({imm(4)}, kFloat32, "A");
  for (const std::int64_t n : {0, 1, 4}) {
    std::vector<float> in = {1, 2, 4, 8}, c(1, kUnwritten);
    IterVar k = reduce_axis(imm(n), "k"), l = reduce_axis(k.var, "l");
    Tensor t = compute({}, [&](const Indices&) { return sum(read(a, {l.var}), {k, l}); }, "C");
    interpret(function({a}, {t}, "triangle"), {view(in, {4}), view(c, {})}).check();
    EXPECT_EQ(c[0], n == 4 ? 1 + 3 + 7 : 0) << n;
  }
}

TEST(TeValuesTest, terms_where_the_condition_fails_are_no_part) {
  Tensor a = placeholder({imm(6)}, kFloat32, "A");
  IterVar k = reduce_axis(imm(6), "k");
  Tensor t = compute(
      {},
      [&](const Indices&) {
        return max(read(a, {k.var}), {k}, eq(floormod(k.var, imm(2)), imm(0)));
      },
      "C");
  std::vector<float> in = {1, 9, 3, 9, 2, 9}, c(1);
  interpret(function({a}, {t}, "even"), {view(in, {6}), view(c, {})}).check();
  EXPECT_EQ(c[0], 3);
}

TEST(TeValuesTest, narrow_sums_round_once) {
  Tensor a = placeholder({imm(300)}, DType::bfloat16(), "A");
  IterVar k = reduce_axis(imm(300), "k");
  Tensor t = compute({}, [&](const Indices&) { return sum(read(a, {k.var}), {k}); }, "C");
  std::vector<std::uint16_t> ones(300, 0x3F80), c(1);
  interpret(function({a}, {t}, "sum"),
            {view(ones, {300}, DType::bfloat16()), view(c, {}, DType::bfloat16())})
      .check();
  EXPECT_EQ(c[0], 0x4396) << "300, where a bfloat16 accumulator stops at 256";
}

TEST(TeValuesTest, select_does_not_read_what_it_does_not_choose) {
  Tensor a = placeholder({imm(4)}, kFloat32, "A");
  Tensor t = compute(
      {imm(6)},
      [&](const Indices& v) {
        const Expr inside = logical_and(ge(v[0], imm(1)), lt(v[0], imm(5)));
        return te::select(inside, read(a, {v[0] - imm(1)}), float_imm(kFloat32, 0));
      },
      "C");
  std::vector<float> in = {1, 2, 3, 4}, c(6);
  interpret(function({a}, {t}, "pad"), {view(in, {4}), view(c, {6})}).check();
  EXPECT_EQ(c, (std::vector<float>{0, 1, 2, 3, 4, 0}));
}

TEST(TeValuesTest, gather_out_of_range_is_an_index_error) {
  Tensor table = placeholder({imm(3), imm(2)}, kFloat32, "table");
  Tensor ids = placeholder({imm(2)}, kInt32, "ids");
  Tensor t = compute(
      {imm(2), imm(2)}, [&](const Indices& v) { return read(table, {read(ids, {v[0]}), v[1]}); },
      "C");
  const Function f = function({table, ids}, {t}, "gather");
  std::vector<float> in = {1, 2, 3, 4, 5, 6}, c(4);
  std::vector<std::int32_t> good = {2, 0}, bad = {1, 3};
  interpret(f, {view(in, {3, 2}), view(good, {2}, kInt32), view(c, {2, 2})}).check();
  EXPECT_EQ(c, (std::vector<float>{5, 6, 1, 2}));
  const InterpretReport report =
      interpret(f, {view(in, {3, 2}), view(bad, {2}, kInt32), view(c, {2, 2})});
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.findings[0].kind, Finding::Kind::kIndexError) << report.text();
}

TEST(TeValuesTest, strides_of_a_placeholder_are_used) {
  Tensor a = placeholder({imm(2), imm(3)}, kFloat32, "A", {imm(1), imm(2)});
  Tensor t = compute({imm(2), imm(3)}, [&](const Indices& v) { return read(a, v); }, "C");
  std::vector<float> in = {0, 1, 2, 3, 4, 5}, c(6);
  interpret(function({a}, {t}, "copy"), {view(in, {2, 3}), view(c, {2, 3})}).check();
  EXPECT_EQ(c, (std::vector<float>{0, 2, 4, 1, 3, 5}));
}

TEST(TeValuesTest, narrow_reduction_inside_a_reduction) {
  Tensor a = placeholder({imm(3)}, DType::bfloat16(), "A");
  IterVar i = reduce_axis(imm(3), "i"), k = reduce_axis(imm(3), "k");
  Tensor c = compute(
      {},
      [&](const Indices&) {
        return sum(read(a, {i.var}) - max(read(a, {k.var}), {k}), {i}, nullptr, kFloat32);
      },
      "C");
  std::vector<std::uint16_t> in = {0x3F80, 0x4000, 0x4040};  // 1, 2, 3
  std::vector<float> out(1);
  interpret(function({a}, {c}, "f"), {view(in, {3}, DType::bfloat16()), view(out, {})}).check();
  EXPECT_EQ(out[0], -3.0F);
}

}  // namespace
}  // namespace tenon::te
