// What default GPU schedules look like, and that their sums have one order.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <tuple>

#include "codegen/needs_nvrtc.h"
#include "rules/comparison.h"
#include "rules/gpu/gpu_comparison.h"
#include "tenon/codegen/cuda.h"
#include "tenon/codegen/cuda_module.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/interpret.h"
#include "tenon/ir/print.h"
#include "tenon/te/expr.h"
#include "tenon/te/scan.h"
#include "tenon/te/scatter.h"
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

/// relu(A @ B) with batches in front.
Function product(const Expr& batch, const Expr& m, const Expr& n, const Expr& k) {
  te::Tensor a = te::placeholder({batch, m, k}, kFloat32, "A");
  te::Tensor b = te::placeholder({k, n}, kFloat32, "B");
  IterVar kk = te::reduce_axis(k, "k");
  te::Tensor c = te::compute(
      {batch, m, n},
      [&](const Indices& v) {
        return te::sum(te::read(a, {v[0], v[1], kk.var}) * te::read(b, {kk.var, v[2]}), {kk});
      },
      "C");
  te::Tensor y = te::compute(
      {batch, m, n}, [&](const Indices& v) { return te::math("tanh", {te::read(c, v)}); }, "Y");
  return te::function({a, b}, {y}, "product");
}

/// A @ B of 16-bit floats with float32 sums.
Function narrow_product(const Expr& batch, const std::vector<std::int64_t>& sizes, DType dtype) {
  const Expr m = imm(sizes[0]), n = imm(sizes[1]), k = imm(sizes[2]);
  te::Tensor a = te::placeholder({batch, m, k}, dtype, "A");
  te::Tensor b = te::placeholder({k, n}, dtype, "B");
  IterVar kk = te::reduce_axis(k, "k");
  te::Tensor c = te::compute(
      {batch, m, n},
      [&](const Indices& v) {
        const Expr x = cast(kFloat32, te::read(a, {v[0], v[1], kk.var}));
        return te::sum(x * cast(kFloat32, te::read(b, {kk.var, v[2]})), {kk});
      },
      "C");
  return te::function({a, b}, {c}, "narrow_product");
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

TEST(GpuSchedule, products_have_the_same_bits_alone_and_in_a_batch_and_with_symbolic_sizes) {
  const Expr n = te::symbol("n"), m = te::symbol("m"), k = te::symbol("k"), b = te::symbol("b");
  for (const auto& [rows, columns, terms] :
       {std::tuple{5, 70, 33}, std::tuple{67, 17, 16}, std::tuple{1, 9, 40}}) {
    const Array x = random_array({3, rows, terms}, 1), w = random_array({terms, columns}, 2);
    const std::vector<float> batch =
        run(product(imm(3), imm(rows), imm(columns), imm(terms)), {x, w}, {3, rows, columns});
    const std::vector<float> alone = run(product(imm(1), imm(rows), imm(columns), imm(terms)),
                                         {rows_of(x, 1), w}, {1, rows, columns});
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(), batch.begin())) << rows;
    EXPECT_EQ(run(product(b, m, n, k), {x, w}, {3, rows, columns}), batch) << rows;
    EXPECT_EQ(run(product(b, m, imm(columns), imm(terms)), {x, w}, {3, rows, columns}), batch);
  }
}

TEST(GpuSchedule, long_products_have_the_blocks_of_the_cpu_alone_and_in_a_batch) {
  const Expr n = te::symbol("n"), m = te::symbol("m"), k = te::symbol("k"), b = te::symbol("b");
  const Array x = random_array({1, 9, 5000}, 1), w = random_array({5000, 9}, 2);
  const Function f = product(imm(1), imm(9), imm(9), imm(5000));
  const std::vector<float> got = run(f, {x, w}, {1, 9, 9});
  const Array cpu = call_default(f, Target::host(), {x, w})[0];
  EXPECT_EQ(got, std::vector<float>(cpu.data<float>(), cpu.data<float>() + cpu.size()));
  EXPECT_EQ(run(product(b, m, n, k), {x, w}, {1, 9, 9}), got);
  EXPECT_EQ(run(product(imm(1), imm(9), imm(9), k), {x, w}, {1, 9, 9}), got);
  for (const Function& tiled : {f, product(b, m, n, k), product(imm(1), imm(64), imm(64), k),
                                product(b, m, imm(64), imm(5000))}) {
    const std::string text = print(launch_form(tiled));
    EXPECT_NE(text.find("alloc A_shared"), std::string::npos) << text;
    EXPECT_EQ(count(text, "on \"blockIdx.x\""), 2) << text;  // the reader adds the blocks up
  }
  Array row = Array::empty({1, 1, 5000}, kFloat32);
  std::memcpy(row.mutable_data<float>(), x.raw(), row.nbytes());
  const std::vector<float> alone =
      run(product(imm(1), imm(1), imm(9), imm(5000)), {row, w}, {1, 1, 9});
  EXPECT_TRUE(std::equal(alone.begin(), alone.end(), got.begin()));
}

TEST(GpuSchedule, updates_and_running_sums_are_one_kernel_whose_threads_have_columns) {
  const Expr n = te::symbol("n"), m = te::symbol("m");
  te::Tensor init = te::placeholder({imm(100), m}, kFloat32, "init");
  te::Tensor ids = te::placeholder({n}, kInt64, "ids");
  te::Tensor values = te::placeholder({n, m}, kFloat32, "values");
  const Function updates = te::function(
      {init, ids, values}, {te::scatter(init, {ids}, values, te::ScatterMode::kAdd, "R")}, "rows");
  te::Tensor x = te::placeholder({n, m}, kFloat32, "x");
  const Function sums = te::function({x}, {te::cumsum(x, 0, "y")}, "sums");
  for (const Function& f : {updates, sums}) {
    const std::string text = print(launch_form(f));
    EXPECT_EQ(text.find("\n  for "), std::string::npos) << text;  // no loop around a kernel
    EXPECT_NE(text.find("0..64 on \"threadIdx.x\""), std::string::npos) << text;
  }
}

TEST(GpuSchedule, products_are_one_kernel_through_shared_memory) {
  const std::string text = print(launch_form(product(te::symbol("b"), imm(64), imm(128), imm(64))));
  EXPECT_EQ(count(text, "on \"threadIdx.x\""), 1) << text;
  EXPECT_EQ(count(text, "evaluate thread_barrier()"), 2) << text;
  EXPECT_NE(text.find("alloc A_shared: float32[1024] shared"), std::string::npos) << text;
  EXPECT_NE(text.find("alloc C: float32[16] local"), std::string::npos) << text;
}

TEST(GpuSchedule, narrow_products_run_on_tensor_cores) {
  const std::vector<std::vector<std::int64_t>> all_sizes = {
      {16, 16, 64}, {32, 64, 192}, {48, 80, 64}, {64, 32, 256}};
  for (const std::vector<std::int64_t>& sizes : all_sizes) {
    for (const DType dtype : {DType::bfloat16(), DType::float_(16)}) {
      const Function f = narrow_product(te::symbol("b"), sizes, dtype);
      const std::string text = print(launch_form(f));
      EXPECT_NE(text.find("mma_16x16x16_"), std::string::npos) << text;
      EXPECT_NE(text.find("async_copy("), std::string::npos) << text;
      expect_same_results(f,
                          {random_array({2, sizes[0], sizes[2]}, 1, dtype),
                           random_array({sizes[2], sizes[1]}, 2, dtype)},
                          Agreement::kClose);
    }
  }
}

/// relu(op(A) @ op(B) + bias) of 16-bit floats with float32 results; operands may lie the other way
/// round.
Function narrow_layer(const std::vector<std::int64_t>& sizes, bool turns_a, bool turns_b,
                      DType dtype) {
  const Expr m = imm(sizes[0]), n = imm(sizes[1]), k = imm(sizes[2]), b = te::symbol("b");
  te::Tensor x = te::placeholder({b, turns_a ? k : m, turns_a ? m : k}, dtype, "A");
  te::Tensor w = te::placeholder({turns_b ? n : k, turns_b ? k : n}, dtype, "B");
  te::Tensor bias = te::placeholder({n}, kFloat32, "bias");
  IterVar kk = te::reduce_axis(k, "k");
  te::Tensor c = te::compute(
      {b, m, n},
      [&](const Indices& v) {
        const Expr& t = kk.var;
        const Expr left = te::read(x, {v[0], turns_a ? t : v[1], turns_a ? v[1] : t});
        const Expr right = te::read(w, {turns_b ? v[2] : t, turns_b ? t : v[2]});
        return te::sum(cast(kFloat32, left) * cast(kFloat32, right), {kk});
      },
      "C");
  te::Tensor y = te::compute(
      {b, m, n},
      [&](const Indices& v) {
        return max(te::read(c, v) + te::read(bias, {v[2]}), float_imm(kFloat32, 0));
      },
      "Y");
  return te::function({x, w, bias}, {y}, "narrow_layer");
}

TEST(GpuSchedule, narrow_layers_run_on_tensor_cores_with_their_reader_and_either_way_round) {
  const std::vector<std::int64_t> sizes = {64, 96, 128};
  for (const bool turns_a : {false, true}) {
    for (const bool turns_b : {false, true}) {
      const DType dtype = turns_a ? DType::float_(16) : DType::bfloat16();
      const Function f = narrow_layer(sizes, turns_a, turns_b, dtype);
      const std::string text = print(launch_form(f));
      EXPECT_NE(text.find("mma_16x16x16_"), std::string::npos) << text;
      EXPECT_EQ(text.find("load_a_transposed") != std::string::npos, turns_a) << text;
      EXPECT_EQ(text.find("load_b_transposed") != std::string::npos, turns_b) << text;
      EXPECT_EQ(count(text, "on \"threadIdx.x\""), 1) << text;  // one kernel
      const auto shape = [&](bool turns, std::int64_t rows, std::int64_t columns) {
        return turns ? std::vector{columns, rows} : std::vector{rows, columns};
      };
      std::vector<std::int64_t> left = shape(turns_a, 64, 128);
      left.insert(left.begin(), 2);
      expect_same_results(f,
                          {random_array(left, 1, dtype),
                           random_array(shape(turns_b, 128, 96), 2, dtype), random_array({96}, 3)},
                          Agreement::kClose);
    }
  }
}

TEST(GpuSchedule, kernels_compile_within_limits_and_products_do_not_spill) {
  TENON_NEEDS_NVRTC();
  const Expr n = te::symbol("n");
  for (const char* arch : {"sm_80", "sm_90a"}) {
    for (const Function& f :
         {product(imm(2), imm(128), imm(128), imm(64)), product(n, imm(67), imm(70), imm(33)),
          narrow_product(n, {128, 64, 256}, DType::bfloat16()),
          narrow_product(n, {1024, 1024, 1024}, DType::float_(16)),
          narrow_layer({1024, 1024, 1024}, true, true, DType::bfloat16()), softmax(n, imm(300)),
          softmax(n, te::symbol("m")), row_sums(imm(3), imm(5000))}) {
      const CudaModule module =
          cuda_module(launch_form(f), Target::parse(std::string("cuda -arch=") + arch));
      const Cubin cubin = compile_cuda(module.source, arch);
      ASSERT_EQ(cubin.kernels.size(), module.kernels.size());
      for (const CudaKernelResources& kernel : cubin.kernels) {
        EXPECT_LE(kernel.registers, 255) << f->name;
        EXPECT_LE(kernel.shared_bytes, 48 << 10) << f->name;  // the static part
        EXPECT_EQ(kernel.spill_store_bytes.value_or(0), 0) << f->name;
        EXPECT_EQ(kernel.local_bytes, 0) << f->name << module.source;
      }
    }
  }
}

}  // namespace
}  // namespace tenon
