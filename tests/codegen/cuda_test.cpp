#include "tenon/codegen/cuda.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "codegen/needs_nvrtc.h"
#include "tenon/support/error.h"

namespace tenon {
namespace {

const char* const kAxpy = R"(
extern "C" __global__ void __launch_bounds__(256) axpy(float* y, const float* x, float a, long long n) {
  const long long i = blockIdx.x * 256LL + threadIdx.x;
  if (i < n) y[i] = a * x[i] + y[i];
}
)";

/// Sixty-four values that live through a loop: 32 registers do not hold them.
const char* const kManyValues = R"(
extern "C" __global__ void many_values(float* a, int n) {
  float v[64];
#pragma unroll
  for (int i = 0; i < 64; ++i) v[i] = a[i * n + threadIdx.x];
  for (int k = 0; k < n; ++k) {
#pragma unroll
    for (int i = 0; i < 64; ++i) v[i] = v[i] * v[(i + 7) % 64] + 1.0f;
  }
#pragma unroll
  for (int i = 0; i < 64; ++i) a[i * n + threadIdx.x] = v[i];
}
)";

const char* const kSharedMemory = R"(
extern "C" __global__ void of_both_kinds(float* a) {
  __shared__ float fixed[300];
  extern __shared__ float chosen[];
  fixed[threadIdx.x] = a[threadIdx.x];
  chosen[threadIdx.x] = a[threadIdx.x + 300];
  __syncthreads();
  a[threadIdx.x] = fixed[299 - threadIdx.x] + chosen[299 - threadIdx.x];
}
extern "C" __global__ void of_launch(float* a) {
  extern __shared__ float chosen[];
  chosen[threadIdx.x] = a[threadIdx.x];
  __syncthreads();
  a[threadIdx.x] = chosen[299 - threadIdx.x];
}
extern "C" __global__ void none(float* a) { a[threadIdx.x] += 1.0f; }
)";

template <typename E>
std::string error_of(const std::string& source, const std::string& arch, const std::string& code,
                     const CudaCompileOptions& options = {}) {
  try {
    compile_cuda(source, arch, options);
  } catch (const E& error) {
    EXPECT_EQ(error.code(), code);
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

class CudaTest : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(, CudaTest, testing::Values("sm_80", "sm_90a", "sm_100a"));

TEST_P(CudaTest, a_kernel_becomes_a_cubin_with_its_resources) {
  TENON_NEEDS_NVRTC();
  const Cubin cubin = compile_cuda(kAxpy, GetParam());
  EXPECT_EQ(cubin.arch, GetParam());
  EXPECT_GT(cubin.seconds, 0);
  EXPECT_FALSE(cubin.is_from_cache);
  ASSERT_EQ(cubin.kernels.size(), 1u);
  const CudaKernelResources& axpy = cubin.kernels[0];
  EXPECT_EQ(cubin.kernel("axpy"), &axpy);
  EXPECT_EQ(cubin.kernel("axp"), nullptr);
  EXPECT_GE(axpy.registers, 8);
  EXPECT_LE(axpy.registers, 32);
  EXPECT_EQ(axpy.shared_bytes, 0);
  EXPECT_EQ(axpy.local_bytes, 0);
  EXPECT_EQ(axpy.param_bytes, 32);
  EXPECT_GT(axpy.constant_bytes, axpy.param_bytes);
  EXPECT_EQ(axpy.max_threads, 256);
  EXPECT_EQ(axpy.spill_store_bytes, 0);
  EXPECT_EQ(axpy.spill_load_bytes, 0);
}

TEST_P(CudaTest, spills_are_counted_and_lie_on_the_stack) {
  TENON_NEEDS_NVRTC();
  CudaCompileOptions few;
  few.max_registers = 32;
  const CudaKernelResources spilled = compile_cuda(kManyValues, GetParam(), few).kernels.at(0);
  EXPECT_LE(spilled.registers, 32);
  EXPECT_GT(spilled.spill_store_bytes, 100);
  EXPECT_GT(spilled.spill_load_bytes, 100);
  EXPECT_GT(spilled.local_bytes, 100);
  const CudaKernelResources free = compile_cuda(kManyValues, GetParam()).kernels.at(0);
  EXPECT_GT(free.registers, 64);
  EXPECT_EQ(free.spill_store_bytes, 0);
  EXPECT_EQ(free.spill_load_bytes, 0);
  EXPECT_EQ(free.local_bytes, 0);
}

TEST_P(CudaTest, local_arrays_are_no_spills) {
  TENON_NEEDS_NVRTC();
  const CudaKernelResources kernel = compile_cuda(R"(
extern "C" __global__ void lookup(float* a, const int* at, int n) {
  float v[32];
  for (int i = 0; i < 32; ++i) v[i] = a[i];
  for (int i = 0; i < n; ++i) v[at[i]] += 1.0f;
  for (int i = 0; i < 32; ++i) a[i] = v[i];
})",
                                                  GetParam())
                                         .kernels.at(0);
  EXPECT_EQ(kernel.local_bytes, 128);
  EXPECT_EQ(kernel.spill_store_bytes, 0);
}

TEST_P(CudaTest, static_shared_memory_is_counted_without_what_launches_and_the_system_add) {
  TENON_NEEDS_NVRTC();
  const Cubin cubin = compile_cuda(kSharedMemory, GetParam());
  ASSERT_EQ(cubin.kernels.size(), 3u);
  EXPECT_EQ(cubin.kernels[0].name, "none");
  EXPECT_EQ(cubin.kernel("of_both_kinds")->shared_bytes, 1200);
  EXPECT_EQ(cubin.kernel("of_launch")->shared_bytes, 0);
  EXPECT_EQ(cubin.kernel("none")->shared_bytes, 0);
}

TEST_P(CudaTest, what_the_cubin_says_agrees_with_ptxas) {
  TENON_NEEDS_NVRTC();
  CudaCompileOptions few;
  few.max_registers = 32;
  const std::string source = std::string(kManyValues) + kSharedMemory + kAxpy;
  const Cubin cubin = compile_cuda(source, GetParam(), few);
  ASSERT_EQ(cubin.kernels.size(), 5u);
  for (const CudaKernelResources& kernel : cubin.kernels) {
    const std::size_t start = cubin.log.find("Function properties for " + kernel.name + "\n");
    ASSERT_NE(start, std::string::npos) << cubin.log;
    const std::string said = cubin.log.substr(start, cubin.log.find("Compile time", start) - start);
    const auto says = [&](const std::string& words) {
      return said.find(words) != std::string::npos;
    };
    EXPECT_TRUE(says("Used " + std::to_string(kernel.registers) + " registers")) << said;
    EXPECT_TRUE(says(" " + std::to_string(kernel.local_bytes) + " bytes stack frame")) << said;
    EXPECT_EQ(says(" bytes smem"), kernel.shared_bytes != 0) << said;
    EXPECT_TRUE(kernel.shared_bytes == 0 ||
                says(" " + std::to_string(kernel.shared_bytes) + " bytes smem"))
        << said;
  }
}

TEST(Cuda, numbers_are_not_contracted_flushed_or_estimated) {
  TENON_NEEDS_NVRTC();
  // Equal results need equal code: what is written as a product and a sum, and what is written with
  // the intrinsics that say the rounding.
  const Cubin plain = compile_cuda(
      R"(extern "C" __global__ void f(float* a) {
        a[0] = a[1] * a[2] + a[3]; a[4] = a[5] / a[6]; })",
      "sm_80");
  const Cubin said = compile_cuda(
      R"(extern "C" __global__ void f(float* a) {
        a[0] = __fadd_rn(__fmul_rn(a[1], a[2]), a[3]); a[4] = __fdiv_rn(a[5], a[6]); })",
      "sm_80");
  const Cubin contracted = compile_cuda(
      R"(extern "C" __global__ void f(float* a) {
        a[0] = __fmaf_rn(a[1], a[2], a[3]); a[4] = __fdiv_rn(a[5], a[6]); })",
      "sm_80");
  EXPECT_EQ(plain.bytes, said.bytes);
  EXPECT_NE(plain.bytes, contracted.bytes);
}

TEST(Cuda, equal_text_becomes_equal_bytes) {
  TENON_NEEDS_NVRTC();
  EXPECT_EQ(compile_cuda(kAxpy, "sm_90a").bytes, compile_cuda(kAxpy, "sm_90a").bytes);
}

TEST(Cuda, threads_compile_at_once) {
  TENON_NEEDS_NVRTC();
  std::vector<Cubin> cubins(4);
  std::vector<std::thread> threads;
  for (Cubin& cubin : cubins) {
    threads.emplace_back([&] { cubin = compile_cuda(kAxpy, "sm_90a"); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Cubin& cubin : cubins) EXPECT_EQ(cubin.bytes, cubins[0].bytes);
}

TEST(Cuda, text_that_does_not_compile_is_shown_with_the_log) {
  TENON_NEEDS_NVRTC();
  const std::string source =
      "// one\n// two\nextern \"C\" __global__ void f(float* a) {\n"
      "  a[0] = missing;\n}\n// six\n// seven\n// eight\n";
  const std::string text = error_of<InternalError>(source, "sm_90a", "E9999");
  EXPECT_EQ(text.find("the CUDA text made for sm_90a does not compile (this is a bug of Tenon, "
                      "please report it) [E9999]\n  NVRTC says:\n    kernels.cu(4): error: "),
            0u)
      << text;
  EXPECT_NE(text.find("identifier \"missing\" is undefined"), std::string::npos) << text;
  EXPECT_NE(text.find("\n  in:\n    1 | // one\n    2 | // two\n    3 | extern"), std::string::npos)
      << text;
  EXPECT_NE(text.find("\n  > 4 |   a[0] = missing;\n    5 | }"), std::string::npos) << text;
  EXPECT_EQ(text.find("eight"), std::string::npos) << text;
}

TEST(Cuda, text_that_ptxas_refuses_is_shown_with_the_log) {
  TENON_NEEDS_NVRTC();
  const std::string text = error_of<InternalError>(
      "extern \"C\" __global__ void f() { asm volatile(\"wgmma.fence.sync.aligned;\"); }", "sm_80",
      "E9999");
  EXPECT_NE(text.find("ptxas"), std::string::npos) << text;
  EXPECT_NE(text.find("wgmma.fence"), std::string::npos) << text;
}

TEST(Cuda, a_serialised_pipeline_is_a_failure) {
  TENON_NEEDS_NVRTC();
  const std::string source = R"(
extern "C" __global__ void __launch_bounds__(128) serial(float* out, unsigned long long a) {
  float c[4] = {0, 0, 0, 0};
  asm volatile("wgmma.fence.sync.aligned;");
  asm volatile("wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%0,%1,%2,%3}, %4, %4, 1, 1, 1, 0, 0;"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "l"(a));
  READ
  asm volatile("wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%0,%1,%2,%3}, %4, %4, 1, 1, 1, 0, 0;"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "l"(a));
  asm volatile("wgmma.commit_group.sync.aligned;");
  asm volatile("wgmma.wait_group.sync.aligned 0;");
  out[threadIdx.x + 128] = c[1];
})";
  const std::size_t at = source.find("READ");
  const std::string text = error_of<InternalError>(
      std::string(source).replace(at, 4, "out[threadIdx.x] = c[0] + 1;"), "sm_90a", "E9999");
  EXPECT_NE(text.find("would run many times slower than meant"), std::string::npos) << text;
  EXPECT_NE(text.find("wgmma.mma_async instructions are serialized"), std::string::npos) << text;
  EXPECT_EQ(compile_cuda(std::string(source).replace(at, 4, ""), "sm_90a").kernels.size(), 1u);
}

TEST(Cuda, a_setmaxnreg_without_effect_is_a_failure) {
  TENON_NEEDS_NVRTC();
  const std::string text = error_of<InternalError>(
      "extern \"C\" __global__ void f() { asm volatile(\"setmaxnreg.dec.sync.aligned.u32 40;\"); }",
      "sm_90a", "E9999");
  EXPECT_NE(text.find("'setmaxnreg' ignored"), std::string::npos) << text;
}

TEST(Cuda, unknown_architectures_are_refused_with_those_that_are_known) {
  TENON_NEEDS_NVRTC();
  for (const char* arch : {"sm_20", "sm_80a", "sm_90z", "compute_80", "80", "", "sm_", "sm_90a "}) {
    const std::string text = error_of<TargetError>(kAxpy, arch, "E1101");
    EXPECT_NE(text.find(std::string("does not compile for '") + arch + "', it knows sm_"),
              std::string::npos)
        << text;
    EXPECT_NE(text.find("sm_90"), std::string::npos) << text;
  }
}

TEST(Cuda, options_out_of_range_are_refused) {
  CudaCompileOptions options;
  for (const int registers : {-1, 1, 15, 256}) {
    options.max_registers = registers;
    EXPECT_NE(error_of<UserError>(kAxpy, "sm_80", "E1104", options)
                  .find("should be 0 or 16 to 255, got " + std::to_string(registers)),
              std::string::npos);
  }
}

TEST(Cuda, none_is_said_plainly) {
  const char* before = std::getenv("TENON_CUDA_PATH");
  const std::string place = before == nullptr ? "" : before;
  ::setenv("TENON_CUDA_PATH", "none", 1);
  const std::string text = error_of<ResourceError>(kAxpy, "sm_80", "E1100");
  EXPECT_THROW(cuda_compile_key("sm_80"), ResourceError);
  EXPECT_THROW(nvrtc_info(), ResourceError);
  before == nullptr ? ::unsetenv("TENON_CUDA_PATH") : ::setenv("TENON_CUDA_PATH", place.c_str(), 1);
  EXPECT_EQ(text.find("NVRTC, which compiles for GPUs, is not looked for because "
                      "TENON_CUDA_PATH=none [E1100]\n  hint: "),
            0u)
      << text;
}

TEST(Cuda, keys_name_the_build_the_architecture_and_the_options) {
  TENON_NEEDS_NVRTC();
  CudaCompileOptions few;
  few.max_registers = 32;
  const std::string key = cuda_compile_key("sm_80");
  EXPECT_EQ(key, cuda_compile_key("sm_80"));
  EXPECT_NE(key, cuda_compile_key("sm_90a"));
  EXPECT_NE(key, cuda_compile_key("sm_80", few));
  EXPECT_NE(key.find("build-id "), std::string::npos) << key;
  const NvrtcInfo info = nvrtc_info();  // opens it, when no test before has
  EXPECT_EQ(key, cuda_compile_key("sm_80")) << info.path;
  EXPECT_GE(info.major, 12);
  EXPECT_FALSE(info.archs.empty());
}

}  // namespace
}  // namespace tenon
