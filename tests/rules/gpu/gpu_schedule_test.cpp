// What default GPU schedules look like, and that their sums have one order.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "rules/comparison.h"
#include "rules/gpu/gpu_comparison.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/interpret.h"
#include "tenon/ir/print.h"
#include "tenon/te/expr.h"
#include "tenon/te/tensor.h"

namespace tenon {
namespace {

using Indices = std::vector<Expr>;

int count(const std::string& text, const std::string& what) {
  int n = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

/// exp(A - max) / sum(exp(A - max)) along the last axis.
Function softmax(const Expr& rows, const Expr& columns) {
  te::Tensor a = te::placeholder({rows, columns}, kFloat32, "A");
  IterVar k = te::reduce_axis(columns, "k"), l = te::reduce_axis(columns, "l");
  te::Tensor m = te::compute(
      {rows}, [&](const Indices& v) { return te::max(te::read(a, {v[0], k.var}), {k}); }, "M");
  te::Tensor e = te::compute(
      {rows, columns},
      [&](const Indices& v) { return te::math("exp", {te::read(a, v) - te::read(m, {v[0]})}); },
      "E");
  te::Tensor s = te::compute(
      {rows}, [&](const Indices& v) { return te::sum(te::read(e, {v[0], l.var}), {l}); }, "S");
  te::Tensor y = te::compute(
      {rows, columns}, [&](const Indices& v) { return te::read(e, v) / te::read(s, {v[0]}); }, "Y");
  return te::function({a}, {y}, "softmax");
}

Function row_sums(const Expr& rows, const Expr& columns) {
  te::Tensor a = te::placeholder({rows, columns}, kFloat32, "A");
  IterVar k = te::reduce_axis(columns, "k");
  te::Tensor s = te::compute(
      {rows}, [&](const Indices& v) { return te::sum(te::read(a, {v[0], k.var}), {k}); }, "S");
  return te::function({a}, {s}, "row_sums");
}

std::vector<float> run(const Function& f, const std::vector<Array>& inputs,
                       const std::vector<std::int64_t>& output) {
  const Array result = call_on_gpu(f, inputs, {{output, kFloat32}})[0];
  return {result.data<float>(), result.data<float>() + result.size()};
}

/// The first rows of an array.
Array rows_of(const Array& a, std::int64_t rows) {
  std::vector<std::int64_t> shape(a.shape().begin(), a.shape().end());
  shape[0] = rows;
  Array out = Array::empty(shape, a.dtype());
  std::memcpy(out.mutable_data<float>(), a.raw(), out.nbytes());
  return out;
}

TEST(GpuSchedule, rows_are_one_kernel_joined_by_shuffles) {
  const std::string text = print(launch_form(softmax(te::symbol("n"), imm(300))));
  EXPECT_EQ(count(text, "on \"blockIdx.x\""), 1) << text;
  EXPECT_EQ(count(text, "for bx"), 0) << text;
  EXPECT_NE(text.find("M_other_4"), std::string::npos) << text;
  EXPECT_NE(text.find("alloc E: float32[300] shared"), std::string::npos) << text;
  EXPECT_EQ(count(print(launch_form(row_sums(imm(5), imm(300)))), "on \"threadIdx.x\""), 1);
}

TEST(GpuSchedule, elements_of_16_bytes_are_one_access) {
  te::Tensor a = te::placeholder({imm(6), imm(64)}, kFloat32, "A");
  te::Tensor y = te::compute(
      {imm(6), imm(64)}, [&](const Indices& v) { return te::read(a, v) * te::read(a, v); }, "Y");
  const std::string text = print(launch_form(te::function({a}, {y}, "square")));
  EXPECT_NE(text.find("1, 4)"), std::string::npos) << text;
}

TEST(GpuSchedule, rows_have_the_same_bits_alone_and_in_a_batch_and_with_symbolic_sizes) {
  const Expr n = te::symbol("n"), m = te::symbol("m");
  for (const std::int64_t columns : {1, 3, 31, 32, 33, 70, 255, 256, 600}) {
    const Array a = random_array({7, columns}, 1);
    for (auto* f : {softmax, row_sums}) {
      const std::vector<std::int64_t> all =
          f == softmax ? std::vector<std::int64_t>{7, columns} : std::vector<std::int64_t>{7};
      std::vector<std::int64_t> one = all;
      one[0] = 1;
      const std::vector<float> batch = run(f(imm(7), imm(columns)), {a}, all);
      const std::vector<float> alone = run(f(imm(1), imm(columns)), {rows_of(a, 1)}, one);
      EXPECT_TRUE(std::equal(alone.begin(), alone.end(), batch.begin())) << columns;
      EXPECT_EQ(run(f(n, m), {a}, all), batch) << columns;
      EXPECT_EQ(run(f(n, imm(columns)), {a}, all), batch) << columns;
    }
  }
}

}  // namespace
}  // namespace tenon
