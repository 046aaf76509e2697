// Windows on a GPU: implicit products through shared memory.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "codegen/needs_nvrtc.h"
#include "rules/comparison.h"
#include "rules/gpu/gpu_comparison.h"
#include "rules/window_functions.h"
#include "tenon/codegen/cuda.h"
#include "tenon/codegen/cuda_module.h"
#include "tenon/ir/print.h"
#include "tenon/te/tensor.h"

namespace tenon {
namespace {

using testing::Shape;

/// Whether the operand is laid out in shared memory.
bool is_tiled(const Function& f) { return print(f).find("_shared: float32[") != std::string::npos; }

std::vector<Array> forward_inputs(const Shape& s) {
  return {random_array({s.n, s.h, s.w, s.c}, 1), random_array({s.k, s.k, s.c / s.groups, s.oc}, 2)};
}

std::vector<Array> gradient_inputs(const Shape& s) {
  return {random_array({s.n, s.h, s.w, s.c}, 1),
          random_array({s.n, s.out(s.h), s.out(s.w), s.oc}, 2)};
}

TEST(GpuWindow, tiles_of_every_form_give_the_bits_of_the_loops) {
  for (const Shape& s : {
           Shape{2, 8, 8, 16, 64, 3, 1, 1},         // two axes of pixels
           Shape{3, 7, 7, 8, 24, 3, 1, 1},          // short axes
           Shape{2, 9, 5, 5, 17, 3, 2, 1},          // tails everywhere, stride
           Shape{2, 6, 8, 32, 32, 3, 1, 1, 1, 4},   // groups of 8
           Shape{1, 6, 16, 16, 48, 3, 1, 1, 1, 2},  // groups of 24
       }) {
    EXPECT_TRUE(is_tiled(launch_form(testing::forward(s)))) << s.c;
    expect_same_results(testing::forward(s), forward_inputs(s), Agreement::kBits);
    EXPECT_TRUE(is_tiled(launch_form(testing::weight_gradient(s)))) << s.c;
    expect_same_results(testing::weight_gradient(s), gradient_inputs(s), Agreement::kBits);
  }
}

TEST(GpuWindow, pooling_and_depthwise_threads_make_four_neighbours) {
  const Shape s{2, 7, 9, 70, 0, 3, 1, 1};
  for (const bool weighted : {false, true}) {
    const Function f = testing::pooling(s, !weighted, weighted);
    const std::string text = print(launch_form(f));
    EXPECT_NE(text.find("float32[4] local"), std::string::npos) << text;
    EXPECT_NE(text.find("0..70 on \"threadIdx.x\""), std::string::npos) << text;
    std::vector<Array> inputs{random_array({s.n, s.h, s.w, s.c}, 1)};
    if (weighted) inputs.push_back(random_array({s.k, s.k, s.c}, 2));
    expect_same_results(f, inputs, Agreement::kBits);
  }
}

TEST(GpuWindow, images_have_the_same_bits_alone_and_in_a_batch) {
  const Shape batch{8, 6, 7, 8, 24, 3, 1, 1};
  Shape alone = batch;
  alone.n = 1;
  const std::vector<Array> inputs = forward_inputs(batch);
  const Array all = call_on_gpu(testing::forward(batch), inputs, {{{8, 6, 7, 24}, kFloat32}})[0];
  Array image = Array::empty({1, 6, 7, 8}, kFloat32);
  std::memcpy(image.mutable_data<float>(), inputs[0].raw(), image.nbytes());
  const Array one =
      call_on_gpu(testing::forward(alone), {image, inputs[1]}, {{{1, 6, 7, 24}, kFloat32}})[0];
  EXPECT_TRUE(std::equal(one.data<float>(), one.data<float>() + one.size(), all.data<float>()));
  const Expr n = te::symbol("n");
  EXPECT_TRUE(is_tiled(launch_form(testing::forward(batch, n))));
  expect_same_results(testing::forward(batch, n), inputs, Agreement::kBits);
  expect_same_results(testing::weight_gradient(batch, n), gradient_inputs(batch), Agreement::kBits);
}

TEST(GpuWindow, gradients_by_weights_over_many_pixels_have_the_blocks_of_the_cpu) {
  const Shape s{6, 28, 28, 2, 8, 3, 1, 1};
  for (const Expr& n : {Expr(nullptr), te::symbol("n")}) {
    const Function f = testing::weight_gradient(s, n);
    EXPECT_TRUE(is_tiled(launch_form(f)));
    const Array got = call_on_gpu(f, gradient_inputs(s), {{{3, 3, 2, 8}, kFloat32}})[0];
    expect_agreement(got, call_default(f, Target::host(), gradient_inputs(s))[0], Agreement::kBits);
  }
}

TEST(GpuWindow, kernels_do_not_spill) {
  TENON_NEEDS_NVRTC();
  const Shape large{32, 56, 56, 64, 64, 3, 1, 1}, small{8, 14, 14, 256, 512, 3, 2, 1};
  const Shape first{16, 30, 30, 3, 64, 7, 2, 3}, grouped{4, 14, 14, 64, 128, 3, 1, 1, 1, 4};
  std::vector<Function> functions;
  for (const Shape& s : {large, small, first, grouped}) {
    functions.push_back(testing::forward(s));
    functions.push_back(testing::weight_gradient(s));
    if (s.groups == 1) functions.push_back(testing::strided_input_gradient(s));
  }
  for (const char* arch : {"sm_80", "sm_90a"}) {
    for (const Function& f : functions) {
      const CudaModule module =
          cuda_module(launch_form(f), Target::parse(std::string("cuda -arch=") + arch));
      const Cubin cubin = compile_cuda(module.source, arch);
      for (const CudaKernelResources& kernel : cubin.kernels) {
        EXPECT_LE(kernel.registers, 255) << f->name;
        EXPECT_LE(kernel.shared_bytes, 48 << 10) << f->name;
        EXPECT_EQ(kernel.spill_store_bytes.value_or(0), 0) << f->name << module.source;
        EXPECT_EQ(kernel.local_bytes, 0) << f->name << module.source;
      }
    }
  }
}

}  // namespace
}  // namespace tenon
