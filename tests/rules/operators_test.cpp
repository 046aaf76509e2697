#include <gtest/gtest.h>

#include "rules/comparison.h"
#include "tenon/ir/builder.h"
#include "tenon/te/expr.h"
#include "tenon/te/tensor.h"

namespace tenon {
namespace {

using Indices = std::vector<Expr>;

/// C[m, n] = sum over k of A[m, k] B[k, n]; either operand may be stored transposed.
Function matmul(std::int64_t m, std::int64_t n, std::int64_t k, DType dtype, bool transpose_a,
                bool transpose_b) {
  const Expr me = imm(m), ne = imm(n), ke = imm(k);
  te::Tensor a = te::placeholder(transpose_a ? Indices{ke, me} : Indices{me, ke}, dtype, "A");
  te::Tensor b = te::placeholder(transpose_b ? Indices{ne, ke} : Indices{ke, ne}, dtype, "B");
  IterVar r = te::reduce_axis(ke, "k");
  te::Tensor c = te::compute(
      {me, ne},
      [&](const Indices& v) {
        return te::sum(te::read(a, transpose_a ? Indices{r.var, v[0]} : Indices{v[0], r.var}) *
                           te::read(b, transpose_b ? Indices{v[1], r.var} : Indices{r.var, v[1]}),
                       {r});
      },
      "C");
  return te::function({a, b}, {c}, "matmul");
}

TEST(ContractionRuleTest, transposed_operands) {
  constexpr std::int64_t m = 33, n = 70, k = 17;
  for (const bool ta : {false, true}) {
    for (const bool tb : {false, true}) {
      expect_same_results(matmul(m, n, k, kFloat32, ta, tb),
                          {ta ? random_array({k, m}, 1) : random_array({m, k}, 1),
                           tb ? random_array({n, k}, 2) : random_array({k, n}, 2)},
                          Agreement::kBits);
    }
  }
}

TEST(ContractionRuleTest, dtypes) {
  for (const DType dtype : {kFloat64, kInt32, kInt64, DType::bfloat16(), DType::int_(8)}) {
    expect_same_results(matmul(13, 40, 9, dtype, false, false),
                        {random_array({13, 9}, 1, dtype), random_array({9, 40}, 2, dtype)},
                        Agreement::kBits);
  }
}

TEST(ContractionRuleTest, sizes_zero_and_one) {
  for (const auto& [m, n, k] :
       {std::tuple{0, 4, 5}, std::tuple{4, 0, 5}, std::tuple{4, 5, 0}, std::tuple{1, 1, 1}}) {
    expect_same_results(matmul(m, n, k, kFloat32, false, false),
                        {random_array({m, k}, 1), random_array({k, n}, 2)}, Agreement::kBits);
  }
}

TEST(ContractionRuleTest, every_size_symbolic) {
  const Expr m = te::symbol("m"), n = te::symbol("n"), k = te::symbol("k");
  te::Tensor a = te::placeholder({m, k}, kFloat32, "A"), b = te::placeholder({k, n}, kFloat32, "B");
  IterVar r = te::reduce_axis(k, "k");
  te::Tensor c = te::compute(
      {m, n},
      [&](const Indices& v) {
        return te::sum(te::read(a, {v[0], r.var}) * te::read(b, {r.var, v[1]}), {r});
      },
      "C");
  const Function f = te::function({a, b}, {c}, "matmul");
  for (const auto& [sm, sn, sk] : {std::tuple{7, 70, 5}, std::tuple{1, 1, 1}, std::tuple{3, 4, 0},
                                   std::tuple{0, 4, 3}, std::tuple{64, 0, 3}}) {
    expect_same_results(f, {random_array({sm, sk}, 1), random_array({sk, sn}, 2)},
                        Agreement::kBits);
  }
}

TEST(ContractionRuleTest, matrix_times_vector_and_back) {
  te::Tensor a = te::placeholder({imm(30), imm(100)}, kFloat32, "A");
  te::Tensor x = te::placeholder({imm(100)}, kFloat32, "x"),
             y = te::placeholder({imm(30)}, kFloat32, "y");
  IterVar k = te::reduce_axis(imm(100), "k"), l = te::reduce_axis(imm(30), "l");
  te::Tensor c = te::compute(
      {imm(30)},
      [&](const Indices& v) {
        return te::sum(te::read(a, {v[0], k.var}) * te::read(x, {k.var}), {k});
      },
      "C");
  te::Tensor d = te::compute(
      {imm(100)},
      [&](const Indices& v) {
        return te::sum(te::read(y, {l.var}) * te::read(a, {l.var, v[0]}), {l});
      },
      "D");
  expect_same_results(te::function({a, x}, {c}, "matvec"),
                      {random_array({30, 100}, 1), random_array({100}, 2)}, Agreement::kClose);
  expect_same_results(te::function({y, a}, {d}, "vecmat"),
                      {random_array({30}, 3), random_array({30, 100}, 1)}, Agreement::kBits);
}

TEST(ContractionRuleTest, batched_matmul) {
  const Expr b = te::symbol("b");
  te::Tensor x = te::placeholder({b, imm(9), imm(11)}, kFloat32, "X");
  te::Tensor y = te::placeholder({b, imm(11), imm(40)}, kFloat32, "Y");
  IterVar k = te::reduce_axis(imm(11), "k");
  te::Tensor c = te::compute(
      {b, imm(9), imm(40)},
      [&](const Indices& v) {
        return te::sum(te::read(x, {v[0], v[1], k.var}) * te::read(y, {v[0], k.var, v[2]}), {k});
      },
      "C");
  const Function f = te::function({x, y}, {c}, "batched");
  for (const std::int64_t n : {0, 1, 3}) {
    expect_same_results(f, {random_array({n, 9, 11}, 1), random_array({n, 11, 40}, 2)},
                        Agreement::kBits);
  }
}

TEST(ContractionRuleTest, convolution) {
  te::Tensor a = te::placeholder({imm(12), imm(14), imm(3)}, kFloat32, "A");
  te::Tensor w = te::placeholder({imm(3), imm(3), imm(3), imm(20)}, kFloat32, "W");
  IterVar y = te::reduce_axis(imm(3), "y"), x = te::reduce_axis(imm(3), "x"),
          c = te::reduce_axis(imm(3), "c");
  te::Tensor o = te::compute(
      {imm(10), imm(12), imm(20)},
      [&](const Indices& v) {
        return te::sum(te::read(a, {v[0] + y.var, v[1] + x.var, c.var}) *
                           te::read(w, {y.var, x.var, c.var, v[2]}),
                       {y, x, c});
      },
      "O");
  expect_same_results(te::function({a, w}, {o}, "conv"),
                      {random_array({12, 14, 3}, 1), random_array({3, 3, 3, 20}, 2)},
                      Agreement::kBits);
}

TEST(ElementwiseRuleTest, transpose_and_copy_of_every_dtype) {
  for (const DType dtype :
       {kFloat32, kFloat64, kInt32, DType::bfloat16(), DType::int_(8), kBoolType}) {
    te::Tensor a = te::placeholder({imm(33), imm(70)}, dtype, "A");
    te::Tensor t = te::compute(
        {imm(70), imm(33)}, [&](const Indices& v) { return te::read(a, {v[1], v[0]}); }, "T");
    te::Tensor c =
        te::compute({imm(33), imm(70)}, [&](const Indices& v) { return te::read(a, v); }, "C");
    expect_same_results(te::function({a}, {t, c}, "movement"), {random_array({33, 70}, 1, dtype)},
                        Agreement::kBits);
  }
}

TEST(ElementwiseRuleTest, gather_with_symbolic_sizes) {
  const Expr rows = te::symbol("rows"), n = te::symbol("n");
  te::Tensor table = te::placeholder({rows, imm(50)}, kFloat32, "table");
  te::Tensor ids = te::placeholder({n}, kInt64, "ids");
  te::Tensor c = te::compute(
      {n, imm(50)},
      [&](const Indices& v) { return te::read(table, {te::read(ids, {v[0]}), v[1]}); }, "C");
  const Function f = te::function({table, ids}, {c}, "gather");
  Array at = Array::empty({5}, kInt64);
  for (std::int64_t i = 0; i < 5; ++i) at.mutable_data<std::int64_t>()[i] = (i * 7) % 9;
  expect_same_results(f, {random_array({9, 50}, 1), at}, Agreement::kBits);
  expect_same_results(f, {random_array({0, 50}, 1), Array::empty({0}, kInt64)}, Agreement::kBits);
}

TEST(ElementwiseRuleTest, comparisons_give_bools) {
  te::Tensor a = te::placeholder({imm(7), imm(45)}, kFloat32, "A");
  te::Tensor b = te::placeholder({imm(45)}, kFloat32, "B");
  te::Tensor c = te::compute(
      {imm(7), imm(45)}, [&](const Indices& v) { return lt(te::read(a, v), te::read(b, {v[1]})); },
      "C");
  te::Tensor d = te::compute(
      {imm(7), imm(45)},
      [&](const Indices& v) {
        return logical_and(te::read(c, v), gt(te::read(a, v), float_imm(kFloat32, -0.5)));
      },
      "D");
  expect_same_results(te::function({a, b}, {c, d}, "compare"),
                      {random_array({7, 45}, 1), random_array({45}, 2)}, Agreement::kBits);
}

TEST(ElementwiseRuleTest, scalars) {
  te::Tensor a = te::placeholder({}, kFloat32, "A");
  te::Tensor c =
      te::compute({}, [&](const Indices& v) { return te::math("exp", {te::read(a, v)}); }, "C");
  expect_same_results(te::function({a}, {c}, "scalar"), {random_array({}, 1)}, Agreement::kBits);
}

TEST(ElementwiseRuleTest, padding_reads_only_what_is_inside) {
  const Expr n = te::symbol("n");
  te::Tensor a = te::placeholder({n}, kFloat32, "A");
  te::Tensor c = te::compute(
      {n + imm(4)},
      [&](const Indices& v) {
        return te::select(logical_and(ge(v[0], imm(2)), lt(v[0], n + imm(2))),
                          te::read(a, {v[0] - imm(2)}), float_imm(kFloat32, 0));
      },
      "C");
  const Function f = te::function({a}, {c}, "pad");
  for (const std::int64_t size : {0, 1, 31, 64, 100})
    expect_same_results(f, {random_array({size}, 1)}, Agreement::kBits);
}

TEST(ElementwiseRuleTest, bfloat16_arithmetic_rounds_alike) {
  te::Tensor a = te::placeholder({imm(5), imm(77)}, DType::bfloat16(), "A");
  te::Tensor c = te::compute(
      {imm(5), imm(77)},
      [&](const Indices& v) { return te::math("gelu", {te::read(a, v) * te::read(a, v)}); }, "C");
  te::Tensor d = te::compute(
      {imm(5), imm(77)}, [&](const Indices& v) { return te::read(c, v) + te::read(a, v); }, "D");
  expect_same_results(te::function({a}, {d}, "f"), {random_array({5, 77}, 1, DType::bfloat16())},
                      Agreement::kBits);
}

}  // namespace
}  // namespace tenon
