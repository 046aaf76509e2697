// Sums over leading axes on a GPU: shared out over blocks and threads, in one order.

#include <gtest/gtest.h>

#include <vector>

#include "codegen/needs_nvrtc.h"
#include "rules/comparison.h"
#include "rules/gpu/gpu_comparison.h"
#include "rules/window_functions.h"
#include "tenon/codegen/cuda.h"
#include "tenon/codegen/cuda_module.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/print.h"
#include "tenon/te/tensor.h"

namespace tenon {
namespace {

using Indices = std::vector<Expr>;

Function column_sums(const Expr& rows, const Expr& columns, bool is_max = false) {
  te::Tensor a = te::placeholder({rows, columns}, kFloat32, "A");
  IterVar k = te::reduce_axis(rows, "k");
  te::Tensor s = te::compute(
      {columns},
      [&](const Indices& v) {
        const Expr term = te::read(a, {k.var, v[0]});
        return is_max ? te::max(term, {k}) : te::sum(term, {k});
      },
      "S");
  return te::function({a}, {s}, "column_sums");
}

std::vector<float> run(const Function& f, const Array& a) {
  const Array result = call_on_gpu(f, {a}, {{{a.shape()[1]}, kFloat32}})[0];
  return {result.data<float>(), result.data<float>() + result.size()};
}

/// The sum of the first column in parts of 64 terms, 8 parts in a block.
float in_parts(const Array& a) {
  const std::int64_t rows = a.shape()[0], columns = a.shape()[1];
  float total = 0;
  for (std::int64_t block = 0; block < rows; block += 512) {
    float sum = 0;
    for (std::int64_t part = block; part < std::min(rows, block + 512); part += 64) {
      float terms = 0;
      for (std::int64_t k = part; k < std::min(rows, part + 64); ++k)
        terms += a.data<float>()[k * columns];
      sum += terms;
    }
    total += sum;
  }
  return total;
}

TEST(GpuColumnSum, order_is_that_of_parts_and_blocks_whatever_is_known) {
  const Expr n = te::symbol("n"), m = te::symbol("m");
  for (const std::int64_t rows : {1, 63, 64, 65, 300, 512, 1300}) {
    const Array a = random_array({rows, 37}, 1);
    const std::vector<float> sums = run(column_sums(imm(rows), imm(37)), a);
    EXPECT_EQ(sums[0], in_parts(a)) << rows;
    EXPECT_EQ(run(column_sums(n, imm(37)), a), sums) << rows;
    EXPECT_EQ(run(column_sums(n, m), a), sums) << rows;
    EXPECT_EQ(run(column_sums(imm(rows), m), a), sums) << rows;
    Array one = Array::empty({rows, 1}, kFloat32);
    for (std::int64_t k = 0; k < rows; ++k) one.mutable_data<float>()[k] = a.data<float>()[k * 37];
    EXPECT_EQ(run(column_sums(imm(rows), imm(1)), one)[0], sums[0]) << rows;
    expect_same_results(column_sums(imm(rows), imm(37)), {a}, Agreement::kClose);
    expect_same_results(column_sums(n, imm(37), true), {a}, Agreement::kBits);
  }
}

TEST(GpuColumnSum, threads_share_the_terms) {
  const std::string text = print(launch_form(column_sums(te::symbol("n"), imm(64))));
  EXPECT_NE(text.find("0..8 on \"threadIdx.y\""), std::string::npos) << text;
  EXPECT_NE(text.find("0..32 on \"threadIdx.x\""), std::string::npos) << text;
  const std::string few = print(launch_form(column_sums(imm(64), imm(64))));
  EXPECT_EQ(few.find("threadIdx.y"), std::string::npos) << few;
}

/// sum over images and pixels of x[n, i + kh, j + kw, c] dy[n, i, j, c].
Function depthwise_gradient(const Expr& n, std::int64_t size, std::int64_t channels) {
  const std::int64_t out = size - 2;
  te::Tensor x = te::placeholder({n, imm(size), imm(size), imm(channels)}, kFloat32, "x");
  te::Tensor dy = te::placeholder({n, imm(out), imm(out), imm(channels)}, kFloat32, "dy");
  IterVar image = te::reduce_axis(n, "n"), i = te::reduce_axis(imm(out), "i"),
          j = te::reduce_axis(imm(out), "j");
  te::Tensor dw = te::compute(
      {imm(3), imm(3), imm(channels)},
      [&](const Indices& v) {
        return te::sum(te::read(x, {image.var, i.var + v[0], j.var + v[1], v[2]}) *
                           te::read(dy, {image.var, i.var, j.var, v[2]}),
                       {image, i, j});
      },
      "dw");
  return te::function({x, dy}, {dw}, "depthwise_gradient");
}

TEST(GpuColumnSum, gradients_of_depthwise_weights) {
  for (const auto& [images, size] : {std::pair{5, 8}, std::pair{2, 26}}) {
    const std::vector<Array> inputs = {random_array({images, size, size, 10}, 1),
                                       random_array({images, size - 2, size - 2, 10}, 2)};
    const Function f = depthwise_gradient(imm(images), size, 10);
    EXPECT_NE(print(launch_form(f)).find("threadIdx.y"), std::string::npos);
    expect_same_results(f, inputs, Agreement::kClose);
    expect_same_results(depthwise_gradient(te::symbol("n"), size, 10), inputs, Agreement::kClose);
  }
}

TEST(GpuColumnSum, kernels_keep_sums_in_registers) {
  TENON_NEEDS_NVRTC();
  for (const char* arch : {"sm_80", "sm_90a"}) {
    for (const Function& f :
         {column_sums(te::symbol("n"), te::symbol("m")), column_sums(imm(8192), imm(384)),
          depthwise_gradient(te::symbol("n"), 30, 64)}) {
      const CudaModule module =
          cuda_module(launch_form(f), Target::parse(std::string("cuda -arch=") + arch));
      for (const CudaKernelResources& kernel : compile_cuda(module.source, arch).kernels) {
        EXPECT_LE(kernel.registers, 64) << f->name;
        EXPECT_EQ(kernel.local_bytes, 0) << f->name << module.source;
      }
    }
  }
}

}  // namespace
}  // namespace tenon
