/// Reading cubins without trusting them.

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "codegen/needs_nvrtc.h"
#include "tenon/codegen/cuda.h"
#include "tenon/support/error.h"

namespace tenon {
namespace {

const char* const kTwoKernels = R"(
extern "C" __global__ void __launch_bounds__(64) first(float* a) {
  __shared__ float s[64];
  s[threadIdx.x] = a[threadIdx.x];
  __syncthreads();
  a[threadIdx.x] = s[63 - threadIdx.x];
}
extern "C" __global__ void second(float* a, float b) { a[threadIdx.x] = b; }
)";

/// Read, or refused as damaged; anything else ends the test.
bool is_read(const std::vector<std::uint8_t>& bytes) {
  try {
    read_cubin(bytes);
    return true;
  } catch (const ModelError& error) {
    EXPECT_EQ(error.code(), "E1103");
    EXPECT_EQ(std::string(error.what()).find("a cubin is damaged: "), 0u) << error.what();
    return false;
  }
}

TEST(ReadCubin, gives_what_compile_cuda_gave) {
  TENON_NEEDS_NVRTC();
  for (const char* arch : {"sm_80", "sm_90a"}) {
    const Cubin cubin = compile_cuda(kTwoKernels, arch);
    EXPECT_EQ(read_cubin(cubin.bytes, cubin.log), cubin.kernels);
    const std::vector<CudaKernelResources> without_log = read_cubin(cubin.bytes);
    ASSERT_EQ(without_log.size(), 2u);
    EXPECT_FALSE(without_log[0].spill_store_bytes.has_value());
    EXPECT_EQ(without_log[0].shared_bytes, 256);
    EXPECT_EQ(without_log[0].max_threads, 64);
    EXPECT_EQ(without_log[1].param_bytes, 12);
  }
}

TEST(ReadCubin, refuses_every_truncation) {
  TENON_NEEDS_NVRTC();
  for (const char* arch : {"sm_80", "sm_90a"}) {
    const std::vector<std::uint8_t> whole = compile_cuda(kTwoKernels, arch).bytes;
    // NVRTC puts program headers after the sections: a cubin without them reads the same.
    std::size_t shortest = whole.size();
    for (std::size_t size = 0; size < whole.size(); ++size) {
      // A copy of its own, so that a sanitizer sees reads beyond the end.
      const std::vector<std::uint8_t> part(whole.begin(),
                                           whole.begin() + static_cast<std::ptrdiff_t>(size));
      if (is_read(part)) shortest = std::min(shortest, size);
    }
    EXPECT_GT(shortest, whole.size() * 3 / 4) << arch;
  }
}

TEST(ReadCubin, survives_random_damage) {
  TENON_NEEDS_NVRTC();
  std::mt19937 random(7);
  for (const char* arch : {"sm_80", "sm_90a"}) {
    const std::vector<std::uint8_t> whole = compile_cuda(kTwoKernels, arch).bytes;
    int refused = 0;
    for (int round = 0; round < 20000; ++round) {
      std::vector<std::uint8_t> damaged = whole;
      const std::size_t count = 1 + random() % 8;
      for (std::size_t i = 0; i < count; ++i) {
        damaged[random() % damaged.size()] = static_cast<std::uint8_t>(random());
      }
      refused += is_read(damaged) ? 0 : 1;
    }
    EXPECT_GT(refused, 100) << arch;
  }
}

TEST(ReadCubin, every_word_may_hold_any_extreme) {
  TENON_NEEDS_NVRTC();
  const std::vector<std::uint8_t> whole = compile_cuda(kTwoKernels, "sm_90a").bytes;
  for (std::size_t at = 0; at + 8 <= whole.size(); at += 4) {
    for (const std::size_t width : {2, 4, 8}) {
      for (const std::uint8_t byte : {0x00, 0x7f, 0xff}) {
        std::vector<std::uint8_t> damaged = whole;
        std::fill_n(damaged.begin() + static_cast<std::ptrdiff_t>(at), width, byte);
        is_read(damaged);
      }
    }
  }
}

TEST(ReadCubin, refuses_what_is_no_cubin) {
  EXPECT_FALSE(is_read({}));
  EXPECT_FALSE(is_read(std::vector<std::uint8_t>(4096, 0)));
  std::vector<std::uint8_t> header(64, 0);  // an ELF file of an x86 machine
  const std::uint8_t start[] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
  std::copy(std::begin(start), std::end(start), header.begin());
  header[18] = 62;
  EXPECT_FALSE(is_read(header));
}

}  // namespace
}  // namespace tenon
