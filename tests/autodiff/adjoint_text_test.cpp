#include <gtest/gtest.h>

#include "tenon/autodiff/autodiff.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/print.h"
#include "tenon/te/expr.h"

namespace tenon::autodiff {
namespace {

using Indices = std::vector<Expr>;

te::Tensor matrix(std::int64_t rows, std::int64_t columns, const char* name) {
  return te::placeholder({imm(rows), imm(columns)}, kFloat32, name);
}

TEST(AdjointTextTest, adjoints_of_matmul_are_contractions) {
  te::Tensor a = matrix(4, 6, "A"), b = matrix(6, 5, "B"), g = matrix(4, 5, "G");
  const IterVar k = te::reduce_axis(imm(6), "k");
  te::Tensor c = te::compute(
      {imm(4), imm(5)},
      [&](const Indices& v) {
        return te::sum(te::read(a, {v[0], k.var}) * te::read(b, {k.var, v[1]}), {k});
      },
      "C");
  const auto d = vjp({c}, {a, b}, {g});
  const Function f = te::function({a, b, g}, d, "backward");
  EXPECT_EQ(print(f->body), R"text(for i in 0..4
  for k in 0..6
    for j in 0..5
      block A_grad {mirrors="C(i, k, j)", reduction_order="chain"}
        spatial vi in 0..4 = i
        spatial vk in 0..6 = k
        reduction vj in 0..5 = j
        reads G[vi, vj], B[vk, vj], A_grad[vi, vk]
        writes A_grad[vi, vk]
        init
          A_grad[vi, vk] = 0.0
        A_grad[vi, vk] = fma(G[vi, vj], B[vk, vj], A_grad[vi, vk])
for k in 0..6
  for j in 0..5
    for i in 0..4
      block B_grad {mirrors="C(k, j, i)", reduction_order="chain"}
        spatial vk in 0..6 = k
        spatial vj in 0..5 = j
        reduction vi in 0..4 = i
        reads G[vi, vj], A[vi, vk], B_grad[vk, vj]
        writes B_grad[vk, vj]
        init
          B_grad[vk, vj] = 0.0
        B_grad[vk, vj] = fma(G[vi, vj], A[vi, vk], B_grad[vk, vj])
)text");
}

TEST(AdjointTextTest, functions_without_a_derivative_are_named) {
  te::Tensor x = te::placeholder({}, kFloat32, "x");
  te::Tensor y = te::compute(
      {}, [&](const Indices&) { return call(kFloat32, "mystery", {te::read(x, {})}); }, "y");
  try {
    vjp({y}, {x}, {nullptr});
    FAIL() << "no error";
  } catch (const GradientError& e) {
    EXPECT_STREQ(e.what(), "the function 'mystery' has no derivative [E0161]");
  }
}

}  // namespace
}  // namespace tenon::autodiff
