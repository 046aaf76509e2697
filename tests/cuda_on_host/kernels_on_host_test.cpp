// Kernels in launch form as CUDA text, run on the CPU: threads that wait for each other, shared
// memory, shuffles, asynchronous copies, loops on the host, checks, lazy and wide accesses.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <memory>

#include "codegen/needs_nvrtc.h"
#include "cuda_on_host/host_module.h"
#include "tenon/codegen/cuda.h"
#include "tenon/ir/interpret.h"
#include "tenon/ir/parse.h"
#include "tenon/ir/verify.h"
#include "tenon/runtime/float_convert.h"

namespace tenon::testing {
namespace {

const std::map<std::string, const char*>& texts() {
  static const std::map<std::string, const char*> kTexts = {
      {"scale", R"(
loop function scale[n: min=1](X: float32[n], Y: float32[n]) -> (Z: float32[n])
  thread for b in 0..(n + 255) // 256 on "blockIdx.x"
    thread for t in 0..256 on "threadIdx.x"
      let i = b * 256 + t
      if i < n
        Z[i] = fma(X[i], 2.0, Y[i])
)"},
      {"product", R"(
loop function product(A: float32[1122], B: float32[561]) -> (C: float32[2178])
  thread for by in 0..5 on "blockIdx.y"
    thread for bx in 0..3 on "blockIdx.x"
      alloc A_shared: float32[128] shared
      alloc B_shared: float32[128] shared
      thread for ty in 0..8 on "threadIdx.y"
        thread for tx in 0..16 on "threadIdx.x"
          alloc sum: float32[1] register
          sum[0] = 0.0
          for ko in 0..3
            evaluate thread_barrier()
            if tx < 8
              A_shared[ty * 16 + tx] = A[(by * 8 + ty) * 17 + ko * 8 + tx where by * 8 + ty < 33 and ko * 8 + tx < 17]
            B_shared[ty * 16 + tx] = B[(ko * 8 + ty) * 33 + bx * 16 + tx where ko * 8 + ty < 17 and bx * 16 + tx < 33]
            evaluate thread_barrier()
            for ki in 0..8
              sum[0] = fma(A_shared[ty * 16 + ki], B_shared[ki * 16 + tx], sum[0])
          C[(by * 8 + ty) * 66 + bx * 16 + tx] = sum[0] where by * 8 + ty < 33 and bx * 16 + tx < 33
)"},
      {"row_sum", R"(
loop function row_sum(X: float32[1280]) -> (Y: float32[5])
  thread for r in 0..5 on "blockIdx.x"
    alloc partial: float32[4] shared
    thread for t in 0..128 on "threadIdx.x"
      alloc own: float32[1] local
      own[0] = 0.0
      for k in 0..2
        own[0] = own[0] + X[r * 256 + k * 128 + t]
      let a = warp_shuffle_xor(own[0], 16)
      own[0] = own[0] + a
      let b = warp_shuffle_xor(own[0], 8)
      own[0] = own[0] + b
      let c = warp_shuffle_xor(own[0], 4)
      own[0] = own[0] + c
      let d = warp_shuffle_xor(own[0], 2)
      own[0] = own[0] + d
      let e = warp_shuffle_xor(own[0], 1)
      own[0] = own[0] + e
      if t % 32 == 0
        partial[t // 32] = own[0]
      evaluate thread_barrier()
      if t == 0
        Y[r] = partial[0] + partial[1] + (partial[2] + partial[3])
)"},
      {"staged", R"(
loop function staged(X: float32[512]) -> (Y: float32[256])
  thread for b in 0..2 on "blockIdx.x"
    alloc tile: float32[256] shared
    thread for t in 0..32 on "threadIdx.x"
      alloc sum: float32[4] register
      unrolled for j in 0..4
        sum[j] = 0.0
      tile[ramp(t * 4, 1, 4)] = async_copy(X[ramp(b * 256 + t * 4, 1, 4)])
      evaluate async_commit()
      for k in 0..2
        evaluate async_wait(0)
        evaluate thread_barrier()
        if k + 1 < 2
          tile[ramp((k + 1) % 2 * 128 + t * 4, 1, 4)] = async_copy(X[ramp(b * 256 + (k + 1) * 128 + t * 4, 1, 4)])
        evaluate async_commit()
        unrolled for j in 0..4
          sum[j] = sum[j] + tile[k % 2 * 128 + (31 - t) * 4 + j]
      unrolled for j in 0..4
        Y[b * 128 + t * 4 + j] = sum[j]
)"},
      {"recurrence", R"(
loop function recurrence[n: min=1](X: float32[n, 64]) -> (Y: float32[64])
  alloc state: float32[128]
  thread for t in 0..64 on "threadIdx.x"
    state[t] = 0.0
  for step in 0..n
    thread for t in 0..64 on "threadIdx.x"
      state[(step + 1) % 2 * 64 + t] = state[step % 2 * 64 + (t + 1) % 64] + X[step * 64 + t]
    if step % 2 == 1
      thread for t in 0..64 on "threadIdx.x"
        state[(step + 1) % 2 * 64 + t] = state[(step + 1) % 2 * 64 + t] * 0.5
  if n > 3
    thread for t in 0..64 on "threadIdx.x"
      Y[t] = state[n % 2 * 64 + t]
  if n <= 3
    thread for t in 0..64 on "threadIdx.x"
      Y[t] = -(state[n % 2 * 64 + t])
)"},
      {"gather", R"(
loop function gather(T: float32[40], I: int64[64]) -> (Y: float32[64])
  thread for t in 0..64 on "threadIdx.x"
    evaluate checked_index(I[t] + 100, 1000, 7)
    Y[t] = T[checked_index(I[t], 40, 3) where checked_index(I[t], 40, 3) >= 0]
)"},
      {"lazy", R"(
loop function lazy(X: float32[64], I: int32[64]) -> (Y: float32[64])
  thread for t in 0..64 on "threadIdx.x"
    let v = X[t]
    Y[t] = select(I[t] > 0i32 and X[int64(I[t]) - 1] > 0.0, X[int64(I[t]) - 1] * v, select(I[t] < -3i32, v * v + v * v * v, fma(v, v, X[63 - t])))
)"},
      {"wide", R"(
loop function wide(X: bfloat16[256], Q: int8[256], F: float32[128]) -> (Y: bfloat16[256], P: int8[256], G: float32[128])
  thread for t in 0..32 on "threadIdx.x"
    if t < 16
      Y[ramp(t * 16, 1, 8)] = X[ramp(t * 16 + 8, 1, 8)] * X[ramp(t * 16, 1, 8)]
      Y[ramp(t * 16 + 8, 1, 8)] = X[ramp(t * 16, 1, 8) where broadcast(t % 2 == 0, 8)]
      P[ramp(t * 16, 1, 16)] = -(Q[ramp(t * 16, 1, 16)])
    G[ramp(t * 4, 1, 4)] = F[ramp(t * 4 + 3, -1, 4)] + F[ramp(t, 32, 4) where ramp(t, 32, 4) < broadcast(100, 4)] where ramp(t, 1, 4) < broadcast(31, 4)
)"},
      {"large", R"(
loop function large(X: float64[8192]) -> (Y: float64[8192])
  alloc unused: float32[16]
  thread for b in 0..1 on "blockIdx.x"
    alloc first: float64[4096] shared
    alloc second: float64[4096] shared
    thread for t in 0..64 on "threadIdx.x"
      for k in 0..64
        first[k * 64 + t] = X[k * 64 + t]
        second[k * 64 + t] = X[4096 + k * 64 + t]
      evaluate thread_barrier()
      for k in 0..64
        Y[k * 64 + t] = second[4095 - (k * 64 + t)]
        Y[4096 + k * 64 + t] = first[4095 - (k * 64 + t)]
)"},
      {"asserted", R"(
loop function asserted(X: int32[64]) -> (Y: int32[64])
  thread for t in 0..64 on "threadIdx.x"
    assert X[t] < 100i32, "X is small"
    Y[t] = X[t] + 2147483600i32
)"},
      // Two warps, 16 rows each; rows of shared memory are padded to 40 elements.
      {"tensor", R"(
loop function tensor(A: bfloat16[1024], B: bfloat16[1024]) -> (C: float32[1024], D: bfloat16[1024])
  thread for b in 0..1 on "blockIdx.x"
    alloc A_shared: bfloat16[1280] shared
    alloc B_shared: bfloat16[1280] shared
    thread for w in 0..2 on "threadIdx.y"
      thread for t in 0..32 on "threadIdx.x"
        alloc left: bfloat16[256] fragment
        alloc right: bfloat16[512] fragment
        alloc sum: float32[512] fragment
        unrolled for j in 0..2
          evaluate fill_zero_f32(sum[j * 16], 32)
        for i in 0..16
          A_shared[(i * 2 + w) * 40 + t] = A[(i * 2 + w) * 32 + t]
          B_shared[(i * 2 + w) * 40 + t] = B[(i * 2 + w) * 32 + t]
        evaluate thread_barrier()
        for k in 0..2
          evaluate load_a_bf16(left[0], A_shared[w * 640 + k * 16], 16, 40)
          unrolled for j in 0..2
            evaluate load_b_bf16(right[j * 16], B_shared[k * 640 + j * 16], 32, 40)
            evaluate mma_16x16x16_bf16(sum[j * 16], left[0], right[j * 16], 32, 16, 32)
        unrolled for j in 0..2
          evaluate store_f32(C[w * 512 + j * 16], sum[j * 16], 32, 32)
          evaluate store_bf16(D[w * 512 + j * 16], sum[j * 16], 32, 32)
)"},
      {"tensor_transposed", R"(
loop function tensor_transposed(A: float16[256], B: float16[256]) -> (C: float32[256])
  thread for b in 0..1 on "blockIdx.x"
    alloc A_shared: float16[256] shared
    alloc B_shared: float16[256] shared
    thread for t in 0..32 on "threadIdx.x"
      alloc left: float16[256] fragment
      alloc right: float16[256] fragment
      alloc sum: float32[256] fragment
      evaluate fill_zero_f32(sum[0], 16)
      for i in 0..8
        A_shared[i * 32 + t] = A[i * 32 + t]
        B_shared[i * 32 + t] = B[i * 32 + t]
      evaluate thread_barrier()
      evaluate load_a_transposed_f16(left[0], A_shared[0], 16, 16)
      evaluate load_b_transposed_f16(right[0], B_shared[0], 16, 16)
      evaluate mma_16x16x16_f16(sum[0], left[0], right[0], 16, 16, 16)
      evaluate store_f32(C[0], sum[0], 16, 16)
)"},
      {"triangle", R"(
loop function triangle(X: float32[64]) -> (Y: float32[64])
  for s in 1..9
    thread for b in 0..s on "blockIdx.x"
      thread for t in 0..8 on "threadIdx.x"
        Y[(s - 1) * 8 + t] = X[b * 8 + t] where b == s - 1
)"},
  };
  return kTexts;
}

class KernelsOnHost : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::vector<Function> functions;
    for (const auto& [name, text] : texts()) {
      index_[name] = functions.size();
      functions.push_back(parse_function(text, name));
    }
    module_ = new HostModule(functions, Target::parse("cuda -arch=sm_80"));
  }
  static void TearDownTestSuite() { delete module_; }

  static std::string run(const std::string& name, const std::vector<void*>& buffers,
                         const std::vector<std::int64_t>& sizes = {},
                         DeviceErrorRecord* error = nullptr) {
    return module_->run(index_.at(name), buffers, sizes, error);
  }
  static const CudaModule& module_of(const std::string& name) {
    return module_->module(index_.at(name));
  }

  static HostModule* module_;
  static std::map<std::string, std::size_t> index_;
};
HostModule* KernelsOnHost::module_ = nullptr;
std::map<std::string, std::size_t> KernelsOnHost::index_;

std::vector<float> numbers(std::size_t count, int seed = 0) {
  std::vector<float> out(count);
  for (std::size_t i = 0; i < count; ++i) {
    out[i] = static_cast<float>((i * 7 + static_cast<std::size_t>(seed)) % 23) * 0.37F - 4.0F;
  }
  return out;
}

TEST_F(KernelsOnHost, tails_are_guarded_for_every_size) {
  for (const std::int64_t n : {1, 255, 256, 257, 1000}) {
    const auto size = static_cast<std::size_t>(n);
    std::vector<float> x = numbers(size), y = numbers(size, 5), z(size + 1, 99.0F);
    ASSERT_EQ(run("scale", {x.data(), y.data(), z.data()}, {n}), "");
    for (std::size_t i = 0; i < size; ++i) ASSERT_EQ(z[i], std::fmaf(x[i], 2.0F, y[i]));
    ASSERT_EQ(z[size], 99.0F);
  }
}

TEST_F(KernelsOnHost, a_product_through_shared_memory_with_tails) {
  std::vector<float> a = numbers(33 * 34), b = numbers(17 * 33, 3), c(33 * 66, 7.0F);
  ASSERT_EQ(run("product", {a.data(), b.data(), c.data()}), "");
  for (std::size_t i = 0; i < 33; ++i) {
    for (std::size_t j = 0; j < 33; ++j) {
      float sum = 0;
      for (std::size_t k = 0; k < 17; ++k) sum = std::fmaf(a[i * 17 + k], b[k * 33 + j], sum);
      ASSERT_EQ(c[i * 66 + j], sum) << i << ", " << j;
    }
    ASSERT_EQ(c[i * 66 + 33], 7.0F);
  }
}

TEST_F(KernelsOnHost, shuffles_join_the_lanes_by_halving) {
  std::vector<float> x = numbers(1280), y(5);
  ASSERT_EQ(run("row_sum", {x.data(), y.data()}), "");
  for (std::size_t r = 0; r < 5; ++r) {
    float partial[4];
    for (std::size_t w = 0; w < 4; ++w) {
      float lane[32];
      for (std::size_t l = 0; l < 32; ++l) {
        const std::size_t at = r * 256 + w * 32 + l;
        lane[l] = 0.0F + x[at] + x[at + 128];
      }
      for (std::size_t step = 16; step > 0; step /= 2) {
        for (std::size_t l = 0; l < step; ++l) lane[l] += lane[l + step];
      }
      partial[w] = lane[0];
    }
    ASSERT_EQ(y[r], partial[0] + partial[1] + (partial[2] + partial[3]));
  }
}

TEST_F(KernelsOnHost, asynchronous_copies_land_when_they_are_waited_for) {
  std::vector<float> x = numbers(512), y(256);
  ASSERT_EQ(run("staged", {x.data(), y.data()}), "");
  for (std::size_t b = 0; b < 2; ++b) {
    for (std::size_t i = 0; i < 128; ++i) {
      const std::size_t from = b * 256 + (31 - i / 4) * 4 + i % 4;
      ASSERT_EQ(y[b * 128 + i], 0.0F + x[from] + x[from + 128]);
    }
  }
  const std::string& source = module_of("staged").source;
  EXPECT_NE(source.find("tenon_copy_async<16>(&tile["), std::string::npos) << source;
}

TEST_F(KernelsOnHost, loops_and_conditions_of_the_host_launch_kernels) {
  for (const std::int64_t n : {1, 2, 3, 4, 7}) {
    std::vector<float> x = numbers(static_cast<std::size_t>(n) * 64), y(64);
    ASSERT_EQ(run("recurrence", {x.data(), y.data()}, {n}), "");
    std::vector<float> state(64, 0.0F), next(64);
    for (std::int64_t s = 0; s < n; ++s) {
      for (std::size_t t = 0; t < 64; ++t) {
        next[t] = state[(t + 1) % 64] + x[static_cast<std::size_t>(s) * 64 + t];
        if (s % 2 == 1) next[t] *= 0.5F;
      }
      state = next;
    }
    for (std::size_t t = 0; t < 64; ++t) ASSERT_EQ(y[t], n > 3 ? state[t] : -state[t]) << n;
  }
  const CudaModule& m = module_of("recurrence");
  ASSERT_EQ(m.kernels.size(), 5U);
  EXPECT_TRUE(m.kernels[0].repeats.empty());
  ASSERT_EQ(m.kernels[1].repeats.size(), 1U);
  EXPECT_EQ(m.kernels[1].repeats[0].id, m.kernels[2].repeats[0].id);
}

TEST_F(KernelsOnHost, grids_that_depend_on_a_loop_of_the_host_are_launched_at_their_largest) {
  std::vector<float> x = numbers(64), y(64, 99.0F);
  ASSERT_EQ(run("triangle", {x.data(), y.data()}), "");
  EXPECT_EQ(x, y);
}

TEST_F(KernelsOnHost, indices_out_of_range_are_reported_and_not_read) {
  std::vector<float> table = numbers(40), y(64, 99.0F);
  std::vector<std::int64_t> index(64);
  for (std::size_t i = 0; i < 64; ++i) index[i] = static_cast<std::int64_t>(i * 3 % 40);
  DeviceErrorRecord error = {};
  ASSERT_EQ(run("gather", {table.data(), index.data(), y.data()}, {}, &error), "");
  EXPECT_EQ(error.claimed, 0);
  for (std::size_t i = 0; i < 64; ++i) ASSERT_EQ(y[i], table[i * 3 % 40]);
  index[17] = -5;
  ASSERT_EQ(run("gather", {table.data(), index.data(), y.data()}, {}, &error), "");
  EXPECT_EQ(error.claimed, 1);
  EXPECT_EQ(error.site, 3);
  EXPECT_EQ(error.value, -5);
  EXPECT_EQ(error.extent, 40);
  EXPECT_EQ(y[17], 0.0F);
}

TEST_F(KernelsOnHost, asserts_are_reported_and_integers_wrap) {
  std::vector<std::int32_t> x(64), y(64, 1);
  for (std::size_t i = 0; i < 64; ++i) x[i] = static_cast<std::int32_t>(i);
  DeviceErrorRecord error = {};
  ASSERT_EQ(run("asserted", {x.data(), y.data()}, {}, &error), "");
  EXPECT_EQ(error.claimed, 0);
  EXPECT_EQ(y[63], static_cast<std::int32_t>(2147483600u + 63u));
  x[9] = 100;
  y[9] = 1;
  ASSERT_EQ(run("asserted", {x.data(), y.data()}, {}, &error), "");
  EXPECT_EQ(error.claimed, 1);
  EXPECT_EQ(error.site, 0);
  EXPECT_EQ(y[9], 1);
}

TEST_F(KernelsOnHost, what_is_not_taken_is_not_read) {
  std::vector<float> x = numbers(64), y(64);
  std::vector<std::int32_t> index(64);
  for (std::size_t i = 0; i < 64; ++i) index[i] = static_cast<std::int32_t>(i * 13 % 70) - 6;
  for (std::int32_t& i : index) i = std::min(i, 64);
  ASSERT_EQ(run("lazy", {x.data(), index.data(), y.data()}), "");
  for (std::size_t t = 0; t < 64; ++t) {
    const float v = x[t];
    const auto at = static_cast<std::size_t>(index[t] - 1);
    const float want = index[t] > 0 && x[at] > 0 ? x[at] * v
                       : index[t] < -3           ? v * v + v * v * v
                                                 : std::fmaf(v, v, x[63 - t]);
    ASSERT_EQ(y[t], want) << t;
  }
}

TEST_F(KernelsOnHost, wide_accesses_keep_their_lanes) {
  std::vector<std::uint16_t> x(256), y(256);
  alignas(16) std::int8_t q[256], p[256];
  std::vector<float> f = numbers(128), g(128, 99.0F);
  for (std::size_t i = 0; i < 256; ++i) {
    x[i] = float_to_bfloat16(static_cast<float>(i) * 0.31F - 30.0F);
    q[i] = static_cast<std::int8_t>(i * 5);
  }
  ASSERT_EQ(run("wide", {x.data(), q, f.data(), y.data(), p, g.data()}), "");
  for (std::size_t t = 0; t < 16; ++t) {
    for (std::size_t l = 0; l < 8; ++l) {
      const float a = bfloat16_to_float(x[t * 16 + l]), b = bfloat16_to_float(x[t * 16 + 8 + l]);
      ASSERT_EQ(y[t * 16 + l], float_to_bfloat16(a * b));
      ASSERT_EQ(y[t * 16 + 8 + l], t % 2 == 0 ? x[t * 16 + l] : 0);
    }
  }
  for (std::size_t i = 0; i < 256; ++i) ASSERT_EQ(p[i], static_cast<std::int8_t>(-q[i]));
  for (std::size_t t = 0; t < 32; ++t) {
    for (std::size_t l = 0; l < 4; ++l) {
      const float other = t + l * 32 < 100 ? f[t + l * 32] : 0.0F;
      const float want = t + l < 31 ? f[t * 4 + 3 - l] + other : 99.0F;
      ASSERT_EQ(g[t * 4 + l], want) << t << ", " << l;
    }
  }
  const std::string& source = module_of("wide").source;
  EXPECT_NE(source.find("const uint4 X_v = *(const uint4*)&X["), std::string::npos) << source;
  EXPECT_NE(source.find("*(uint4*)&P["), std::string::npos) << source;
}

TEST_F(KernelsOnHost, lanes_of_tensor_instructions_hold_what_they_should) {
  std::vector<std::uint16_t> a(1024), b(1024), d(1024);
  std::vector<float> c(1024);
  for (std::size_t i = 0; i < a.size(); ++i) {
    a[i] = float_to_bfloat16(static_cast<float>(i * 7 % 61) * 0.13F - 4.0F);
    b[i] = float_to_bfloat16(static_cast<float>(i * 11 % 53) * 0.17F - 4.0F);
  }
  ASSERT_EQ(run("tensor", {a.data(), b.data(), c.data(), d.data()}), "");
  for (std::size_t i = 0; i < 32; ++i) {
    for (std::size_t j = 0; j < 32; ++j) {
      float sum = 0;
      for (std::size_t k = 0; k < 32; ++k) {
        sum = std::fmaf(bfloat16_to_float(a[i * 32 + k]), bfloat16_to_float(b[k * 32 + j]), sum);
      }
      ASSERT_EQ(c[i * 32 + j], sum) << i << ", " << j;
      ASSERT_EQ(d[i * 32 + j], float_to_bfloat16(sum));
    }
  }
  for (std::size_t i = 0; i < 256; ++i) {
    a[i] = float_to_float16(static_cast<float>(i * 7 % 61) * 0.13F - 4.0F);
    b[i] = float_to_float16(static_cast<float>(i * 11 % 53) * 0.17F - 4.0F);
  }
  ASSERT_EQ(run("tensor_transposed", {a.data(), b.data(), c.data()}), "");
  for (std::size_t i = 0; i < 16; ++i) {
    for (std::size_t j = 0; j < 16; ++j) {
      float sum = 0;
      for (std::size_t k = 0; k < 16; ++k) {
        sum = std::fmaf(float16_to_float(a[k * 16 + i]), float16_to_float(b[j * 16 + k]), sum);
      }
      ASSERT_EQ(c[i * 16 + j], sum) << i << ", " << j;
    }
  }
}

TEST_F(KernelsOnHost, every_text_compiles_for_each_architecture_without_spills) {
  TENON_NEEDS_NVRTC();
  for (const char* arch : {"sm_80", "sm_90a"}) {
    for (const auto& [name, text] : texts()) {
      const CudaModule m =
          cuda_module(parse_function(text), Target::parse("cuda -arch=" + std::string(arch)));
      const Cubin cubin = compile_cuda(m.source, arch);
      for (const CudaKernel& k : m.kernels) {
        const CudaKernelResources* r = cubin.kernel(k.name);
        ASSERT_NE(r, nullptr) << k.name;
        EXPECT_EQ(r->local_bytes, 0) << k.name << "\n" << m.source;
        EXPECT_EQ(r->shared_bytes, k.static_shared_bytes) << k.name;
        EXPECT_EQ(r->param_bytes, static_cast<std::int64_t>(8 * k.params.size())) << k.name;
        EXPECT_EQ(r->max_threads, k.block[0] * k.block[1] * k.block[2]) << k.name;
      }
    }
  }
}

TEST_F(KernelsOnHost, much_shared_memory_is_dynamic) {
  std::vector<double> x(8192), y(8192);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<double>(i) * 0.1;
  ASSERT_EQ(run("large", {x.data(), y.data()}), "");
  for (std::size_t i = 0; i < 4096; ++i) {
    ASSERT_EQ(y[i], x[8191 - i]);
    ASSERT_EQ(y[4096 + i], x[4095 - i]);
  }
  const CudaKernel& k = module_of("large").kernels.at(0);
  EXPECT_EQ(k.static_shared_bytes, 0);
  EXPECT_EQ(k.dynamic_shared_bytes, 65536);
}

TEST_F(KernelsOnHost, index_arithmetic_is_in_ints_where_it_fits) {
  EXPECT_EQ(module_of("product").source.find("long long"), std::string::npos)
      << module_of("product").source;
  EXPECT_NE(module_of("scale").source.find("long long"), std::string::npos);
}

// --- errors

std::string error_of(const std::string& text, const char* target = "cuda -arch=sm_80") {
  try {
    cuda_module(parse_function(text), Target::parse(target));
  } catch (const ScheduleError& e) {
    return e.what();
  }
  return "accepted";
}

TEST(CudaModuleErrors, say_what_does_not_fit_a_gpu) {
  EXPECT_NE(error_of(R"(
loop function f(X: float32[64]) -> (Y: float32[64])
  for i in 0..64
    Y[i] = X[i]
)")
                .find("the computation of 'Y' in loops i of 'f' has no loop bound to a thread axis "
                      "[E1284]"),
            std::string::npos);
  const std::string table = error_of(R"(
loop function f(X: float32[64]) -> (Y: float32[64])
  thread for t in 0..64 on "threadIdx.x"
    alloc acc: float32[8] register
    for k in 0..8
      acc[k] = X[t]
    Y[t] = acc[0]
)");
  EXPECT_NE(table.find("buffer 'acc' in scope register is accessed at k, which is no constant"),
            std::string::npos)
      << table;
  const std::string shared = error_of(R"(
loop function f(X: float32[64]) -> (Y: float32[64])
  thread for b in 0..1 on "blockIdx.x"
    alloc tile: float64[24576] shared
    thread for t in 0..64 on "threadIdx.x"
      tile[t] = float64(X[t])
      Y[t] = float32(tile[t])
)");
  EXPECT_NE(shared.find("a block of 'f' has 196608 bytes of shared memory, 'cuda -arch=sm_80' "
                        "allows 166912"),
            std::string::npos)
      << shared;
  EXPECT_NE(shared.find("tile: 196608 bytes"), std::string::npos);
  EXPECT_NE(error_of(R"(
loop function f(X: float32[64]) -> (Y: float32[64])
  thread for b in 0..70000 on "blockIdx.y"
    Y[0] = X[0]
)")
                .find("loop 'b' of 'f' has 70000 iterations on blockIdx.y, which has at most 65535 "
                      "[E1288]"),
            std::string::npos);
  EXPECT_NE(error_of(R"(
loop function f(X: float32[64]) -> (Y: float32[64])
  alloc tile: float32[64] shared
  thread for t in 0..64 on "threadIdx.x"
    tile[t] = X[t]
  thread for t in 0..64 on "threadIdx.x"
    Y[t] = tile[t]
)")
                .find("buffer 'tile' in scope shared is used by more than one kernel of 'f'"),
            std::string::npos);
}

}  // namespace
}  // namespace tenon::testing
