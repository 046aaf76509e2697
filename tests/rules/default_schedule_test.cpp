#include "tenon/rules/default_schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <iostream>
#include <random>

#include "rules/gpu/gpu_comparison.h"
#include "tenon/driver/build.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/print.h"
#include "tenon/te/expr.h"
#include "tenon/te/tensor.h"

namespace tenon {
namespace {

using Indices = std::vector<Expr>;

Array random_array(const std::vector<std::int64_t>& shape, unsigned seed) {
  Array a = Array::empty(shape, kFloat32);
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::int64_t n = 1;
  for (const std::int64_t e : shape) n *= e;
  for (std::int64_t i = 0; i < n; ++i) a.mutable_data<float>()[i] = uniform(random);
  return a;
}

std::int64_t size_of(const Array& a) {
  std::int64_t n = 1;
  for (const std::int64_t e : a.shape()) n *= e;
  return n;
}

/// Builds `f` with the default schedule and as written, calls both, and compares: bits when
/// `exact`, else to 1e-5 relative. Likewise the default GPU schedule, in the interpreter.
void expect_same_results(const Function& f, const std::vector<Array>& inputs, bool exact) {
  const Schedule s = default_schedule(f, Target::host());
  if (std::getenv("TENON_SHOW_SCHEDULES") != nullptr) std::cerr << print(s.function());
  const Executable fast = build(s.function(), Target::host(), {.use_cache = false});
  const Executable plain = build(f, Target::host(), {.use_cache = false});
  const std::vector<Array> got = fast.call(inputs), expected = plain.call(inputs);
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t k = 0; k < got.size(); ++k) {
    for (std::int64_t i = 0; i < size_of(got[k]); ++i) {
      const float x = got[k].data<float>()[i], y = expected[k].data<float>()[i];
      if (exact) {
        ASSERT_EQ(x, y) << "element " << i << " of output " << k;
      } else {
        ASSERT_NEAR(x, y, 1e-5 * (1 + std::fabs(y))) << "element " << i << " of output " << k;
      }
    }
  }
  expect_same_on_gpu(f, inputs, expected, exact ? Agreement::kBits : Agreement::kClose);
}

Function matmul(const Expr& m, std::int64_t n, const Expr& k, bool transposed = false) {
  te::Tensor a = te::placeholder({m, k}, kFloat32, "A");
  te::Tensor b = transposed ? te::placeholder({imm(n), k}, kFloat32, "B")
                            : te::placeholder({k, imm(n)}, kFloat32, "B");
  IterVar kk = te::reduce_axis(k, "k");
  te::Tensor c = te::compute(
      {m, imm(n)},
      [&](const Indices& v) {
        return te::sum(te::read(a, {v[0], kk.var}) *
                           te::read(b, transposed ? Indices{v[1], kk.var} : Indices{kk.var, v[1]}),
                       {kk});
      },
      "C");
  return te::function({a, b}, {c}, "matmul");
}

TEST(DefaultScheduleTest, matmul_has_the_bits_of_the_loops) {
  for (const auto& [m, n, k] : {std::tuple{128, 128, 64}, std::tuple{49, 100, 33},
                                std::tuple{1, 7, 5}, std::tuple{13, 64, 1}}) {
    expect_same_results(matmul(imm(m), n, imm(k)),
                        {random_array({m, k}, 1), random_array({k, n}, 2)}, true);
  }
}

TEST(DefaultScheduleTest, transposed_matmul_has_the_bits_of_the_loops) {
  expect_same_results(matmul(imm(31), 70, imm(45), true),
                      {random_array({31, 45}, 1), random_array({70, 45}, 2)}, true);
}

TEST(DefaultScheduleTest, symbolic_rows_have_the_bits_of_the_loops) {
  const Expr m = te::symbol("m");
  const Function f = matmul(m, 128, imm(40));
  for (const std::int64_t rows : {0, 1, 5, 6, 16, 23}) {
    expect_same_results(f, {random_array({rows, 40}, 1), random_array({40, 128}, 2)}, true);
  }
}

TEST(DefaultScheduleTest, epilogue_runs_at_the_tile) {
  te::Tensor a = te::placeholder({imm(20), imm(32)}, kFloat32, "A");
  te::Tensor b = te::placeholder({imm(32), imm(128)}, kFloat32, "B");
  te::Tensor bias = te::placeholder({imm(128)}, kFloat32, "bias");
  IterVar k = te::reduce_axis(imm(32), "k");
  te::Tensor c = te::compute(
      {imm(20), imm(128)},
      [&](const Indices& v) {
        return te::sum(te::read(a, {v[0], k.var}) * te::read(b, {k.var, v[1]}), {k});
      },
      "C");
  te::Tensor d = te::compute(
      {imm(20), imm(128)},
      [&](const Indices& v) { return te::math("gelu", {te::read(c, v) + te::read(bias, {v[1]})}); },
      "D");
  const Function f = te::function({a, b, bias}, {d}, "linear");
  expect_same_results(
      f, {random_array({20, 32}, 1), random_array({32, 128}, 2), random_array({128}, 3)}, true);
  const std::string text = print(default_schedule(f, Target::host()).function());
  EXPECT_NE(text.find("register"), std::string::npos) << text;
}

TEST(DefaultScheduleTest, elementwise_has_the_bits_of_the_loops) {
  const Expr n = te::symbol("n");
  te::Tensor a = te::placeholder({n, imm(33)}, kFloat32, "A");
  te::Tensor b = te::placeholder({imm(33)}, kFloat32, "b");
  te::Tensor c = te::compute(
      {n, imm(33)},
      [&](const Indices& v) { return te::math("exp", {te::read(a, v)}) + te::read(b, {v[1]}); },
      "C");
  const Function f = te::function({a, b}, {c}, "elementwise");
  for (const std::int64_t rows : {0, 1, 3, 40})
    expect_same_results(f, {random_array({rows, 33}, 1), random_array({33}, 2)}, true);
}

TEST(DefaultScheduleTest, row_sums_are_close_to_the_loops) {
  for (const std::int64_t n : {1, 63, 64, 200, 384}) {
    te::Tensor a = te::placeholder({imm(7), imm(n)}, kFloat32, "A");
    IterVar k = te::reduce_axis(imm(n), "k");
    te::Tensor c = te::compute(
        {imm(7)}, [&](const Indices& v) { return te::sum(te::read(a, {v[0], k.var}), {k}); }, "C");
    expect_same_results(te::function({a}, {c}, "row_sum"), {random_array({7, n}, 1)}, false);
  }
}

TEST(DefaultScheduleTest, column_sums_have_the_bits_of_the_loops) {
  te::Tensor a = te::placeholder({imm(50), imm(130)}, kFloat32, "A");
  IterVar k = te::reduce_axis(imm(50), "k");
  te::Tensor c = te::compute(
      {imm(130)}, [&](const Indices& v) { return te::sum(te::read(a, {k.var, v[0]}), {k}); }, "C");
  expect_same_results(te::function({a}, {c}, "column_sum"), {random_array({50, 130}, 1)}, true);
}

Function softmax(const Expr& rows, const Expr& n) {
  te::Tensor a = te::placeholder({rows, n}, kFloat32, "A");
  IterVar k = te::reduce_axis(n, "k"), l = te::reduce_axis(n, "l");
  te::Tensor top = te::compute(
      {rows}, [&](const Indices& v) { return te::max(te::read(a, {v[0], k.var}), {k}); }, "top");
  te::Tensor e = te::compute(
      {rows, n},
      [&](const Indices& v) { return te::math("exp", {te::read(a, v) - te::read(top, {v[0]})}); },
      "e");
  te::Tensor total = te::compute(
      {rows}, [&](const Indices& v) { return te::sum(te::read(e, {v[0], l.var}), {l}); }, "total");
  te::Tensor p = te::compute(
      {rows, n}, [&](const Indices& v) { return te::read(e, v) / te::read(total, {v[0]}); }, "P");
  return te::function({a}, {p}, "softmax");
}

TEST(DefaultScheduleTest, softmax_is_close_to_the_loops) {
  expect_same_results(softmax(imm(9), imm(100)), {random_array({9, 100}, 1)}, false);
  const Function f = softmax(te::symbol("rows"), te::symbol("n"));
  for (const std::int64_t n : {1, 16, 64, 100})
    expect_same_results(f, {random_array({5, n}, 1)}, false);
}

TEST(DefaultScheduleTest, layer_norm_is_one_loop_over_rows) {
  const Expr rows = te::symbol("rows");
  te::Tensor a = te::placeholder({rows, imm(96)}, kFloat32, "A");
  te::Tensor r = te::placeholder({rows, imm(96)}, kFloat32, "R");
  te::Tensor g = te::placeholder({imm(96)}, kFloat32, "g");
  IterVar k = te::reduce_axis(imm(96), "k"), l = te::reduce_axis(imm(96), "l");
  te::Tensor x = te::compute(
      {rows, imm(96)}, [&](const Indices& v) { return te::read(a, v) + te::read(r, v); }, "x");
  te::Tensor mean = te::compute(
      {rows},
      [&](const Indices& v) {
        return te::sum(te::read(x, {v[0], k.var}), {k}) * float_imm(kFloat32, 1.0 / 96);
      },
      "mean");
  te::Tensor variance = te::compute(
      {rows},
      [&](const Indices& v) {
        const Expr d = te::read(x, {v[0], l.var}) - te::read(mean, {v[0]});
        return te::math("rsqrt", {te::sum(d * d, {l}) * float_imm(kFloat32, 1.0 / 96) +
                                  float_imm(kFloat32, 1e-5)});
      },
      "scale");
  te::Tensor y = te::compute(
      {rows, imm(96)},
      [&](const Indices& v) {
        return (te::read(x, v) - te::read(mean, {v[0]})) * te::read(variance, {v[0]}) *
               te::read(g, {v[1]});
      },
      "Y");
  const Function f = te::function({a, r, g}, {y}, "layer_norm");
  for (const std::int64_t n : {0, 1, 7}) {
    expect_same_results(
        f, {random_array({n, 96}, 1), random_array({n, 96}, 2), random_array({96}, 3)}, false);
  }
  const std::string text = print(default_schedule(f, Target::host()).function());
  EXPECT_EQ(text.find("parallel for"), text.rfind("parallel for")) << text;
}

Function attention(const Expr& b, const Expr& s, std::int64_t heads, std::int64_t width) {
  const Expr h = imm(heads), d = imm(width);
  te::Tensor qkv = te::placeholder({b, s, imm(3 * heads * width)}, kFloat32, "qkv");
  te::Tensor mask = te::placeholder({b, s}, kFloat32, "mask");
  IterVar kd = te::reduce_axis(d, "kd"), kj = te::reduce_axis(s, "kj"),
          lj = te::reduce_axis(s, "lj"), mj = te::reduce_axis(s, "mj");
  const auto part = [&](int p, const Expr& head, const Expr& e) {
    return head * width + e + imm(p * heads * width);
  };
  te::Tensor key = te::compute(
      {b, h, s, d},
      [&](const Indices& v) { return te::read(qkv, {v[0], v[2], part(1, v[1], v[3])}); }, "K");
  te::Tensor score = te::compute(
      {b, h, s, s},
      [&](const Indices& v) {
        return te::sum(te::read(qkv, {v[0], v[2], part(0, v[1], kd.var)}) *
                           te::read(key, {v[0], v[1], v[3], kd.var}),
                       {kd});
      },
      "S");
  te::Tensor masked = te::compute(
      {b, h, s, s},
      [&](const Indices& v) {
        return te::select(gt(te::read(mask, {v[0], v[3]}), float_imm(kFloat32, 0)),
                          te::read(score, v) * float_imm(kFloat32, 0.25),
                          float_imm(kFloat32, -HUGE_VAL));
      },
      "T");
  te::Tensor top = te::compute(
      {b, h, s},
      [&](const Indices& v) { return te::max(te::read(masked, {v[0], v[1], v[2], kj.var}), {kj}); },
      "top");
  te::Tensor e = te::compute(
      {b, h, s, s},
      [&](const Indices& v) {
        return te::math("exp", {te::read(masked, v) - te::read(top, {v[0], v[1], v[2]})});
      },
      "e");
  te::Tensor total = te::compute(
      {b, h, s},
      [&](const Indices& v) { return te::sum(te::read(e, {v[0], v[1], v[2], lj.var}), {lj}); },
      "total");
  te::Tensor p = te::compute(
      {b, h, s, s},
      [&](const Indices& v) { return te::read(e, v) / te::read(total, {v[0], v[1], v[2]}); }, "P");
  te::Tensor o = te::compute(
      {b, h, s, d},
      [&](const Indices& v) {
        return te::sum(te::read(p, {v[0], v[1], v[2], mj.var}) *
                           te::read(qkv, {v[0], mj.var, part(2, v[1], v[3])}),
                       {mj});
      },
      "O");
  return te::function({qkv, mask}, {o}, "attention");
}

TEST(DefaultScheduleTest, attention_is_one_loop_over_heads) {
  const Function f = attention(te::symbol("b"), te::symbol("s"), 3, 16);
  for (const auto& [b, s] : {std::pair{1, 1}, std::pair{2, 5}, std::pair{1, 70}}) {
    Array mask = random_array({b, s}, 2);
    for (std::int64_t i = 0; i < b * s; ++i)
      mask.mutable_data<float>()[i] = i % 4 == 3 ? 0.0F : 1.0F;
    expect_same_results(f, {random_array({b, s, 3 * 3 * 16}, 1), mask}, false);
  }
  const std::string text = print(default_schedule(f, Target::host()).function());
  EXPECT_EQ(text.find("parallel for"), text.rfind("parallel for")) << text;
}

TEST(DefaultScheduleTest, refusals_are_explained_when_asked_for) {
  te::Tensor a = te::placeholder({imm(5), imm(5)}, kFloat32, "A");
  te::Tensor c = te::compute(
      {imm(5)},
      [&](const Indices& v) {
        const IterVar k = te::reduce_axis(Range{imm(0), v[0] + imm(1)}, "k");
        return te::sum(te::read(a, {v[0], k.var}), {k});
      },
      "C");
  const Function f = te::function({a}, {c}, "triangle");
  ASSERT_EQ(setenv("TENON_EXPLAIN_RULES", "1", 1), 0);
  testing::internal::CaptureStderr();
  default_schedule(f, Target::host());
  const std::string text = testing::internal::GetCapturedStderr();
  ASSERT_EQ(unsetenv("TENON_EXPLAIN_RULES"), 0);
  EXPECT_EQ(text.find("function 'triangle': rule 'row_reduction' for block 'C' refused: "), 0U)
      << text;
  EXPECT_NE(text.find("E0268"), std::string::npos) << text;
  testing::internal::CaptureStderr();
  default_schedule(f, Target::host());
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace tenon
