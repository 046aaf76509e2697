/// Kernels in launch form, interpreted.

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "ir/kernel_texts.h"
#include "tenon/ir/interpret.h"
#include "tenon/ir/parse.h"
#include "tenon/ir/verify.h"
#include "tenon/runtime/float_convert.h"

namespace tenon {
namespace {

std::vector<float> random_floats(std::size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> d(-1, 1);
  std::vector<float> out(n);
  for (float& v : out) v = d(random);
  return out;
}

ArrayView view(std::vector<float>* data) {
  return {data->data(), kFloat32, {static_cast<std::int64_t>(data->size())}};
}

TEST(Kernel, shared_memory_product_has_the_bits_of_plain_loops) {
  auto a = random_floats(32 * 24, 1), b = random_floats(24 * 32, 2);
  std::vector<float> c(32 * 32), expected(32 * 32);
  for (std::size_t i = 0; i < 32; ++i) {
    for (std::size_t j = 0; j < 32; ++j) {
      float& sum = expected[i * 32 + j];
      for (std::size_t k = 0; k < 24; ++k) sum = std::fmaf(a[i * 24 + k], b[k * 32 + j], sum);
    }
  }
  const Function f = parse_function(kSharedMatmul);
  EXPECT_NO_THROW(verify(f));
  EXPECT_EQ(interpret(f, {view(&a), view(&b), view(&c)}).text(), "");
  EXPECT_EQ(c, expected);
}

TEST(Kernel, tree_reduction_halves) {
  auto a = random_floats(4 * 256, 3);
  std::vector<float> s(4), expected(4);
  for (std::size_t r = 0; r < 4; ++r) {
    std::vector<float> x(a.begin() + static_cast<std::ptrdiff_t>(r * 256),
                         a.begin() + static_cast<std::ptrdiff_t>(r * 256 + 256));
    for (std::size_t half = 128; half > 0; half /= 2) {
      for (std::size_t i = 0; i < half; ++i) x[i] += x[i + half];
    }
    expected[r] = x[0];
  }
  const Function f = parse_function(kTreeReduction);
  EXPECT_NO_THROW(verify(f));
  EXPECT_EQ(interpret(f, {view(&a), view(&s)}).text(), "");
  EXPECT_EQ(s, expected);
}

TEST(Kernel, pipelined_copy_uses_each_slot_after_its_copy) {
  auto a = random_floats(512, 4);
  std::vector<float> b(512), expected(512);
  for (std::size_t i = 0; i < 512; ++i) {
    const std::size_t tile = i / 64 * 64, x = i % 64;
    expected[i] = a[tile + (x + 63) % 64] + a[tile + (x + 1) % 64];
  }
  const Function f = parse_function(kPipelinedCopy);
  EXPECT_NO_THROW(verify(f));
  EXPECT_EQ(interpret(f, {view(&a), view(&b)}).text(), "");
  EXPECT_EQ(b, expected);
}

TEST(Kernel, softmax_of_a_row_by_shuffles) {
  constexpr std::size_t kRows = 3;
  auto a = random_floats(kRows * 100, 5);
  std::vector<float> p(kRows * 100);
  const Function f = parse_function(kSoftmax);
  EXPECT_NO_THROW(verify(f));
  EXPECT_EQ(interpret(f, {view(&a), view(&p)}, {.symbols = {kRows}}).text(), "");
  for (std::size_t r = 0; r < kRows; ++r) {
    double total = 0;
    for (std::size_t i = 0; i < 100; ++i) total += std::exp(static_cast<double>(a[r * 100 + i]));
    for (std::size_t i = 0; i < 100; ++i)
      EXPECT_NEAR(p[r * 100 + i], std::exp(static_cast<double>(a[r * 100 + i])) / total, 1e-8);
  }
}

TEST(Kernel, tensor_instructions_multiply) {
  std::vector<float> a = random_floats(1024, 8), b = random_floats(1024, 9), c(1024),
                     expected(1024);
  std::vector<std::uint16_t> a16, b16;
  for (float& v : a) v = bfloat16_to_float(a16.emplace_back(float_to_bfloat16(v)));
  for (float& v : b) v = bfloat16_to_float(b16.emplace_back(float_to_bfloat16(v)));
  for (std::size_t i = 0; i < 32; ++i) {
    for (std::size_t j = 0; j < 32; ++j) {
      float& sum = expected[i * 32 + j];
      for (std::size_t k = 0; k < 32; ++k) sum = std::fmaf(a[i * 32 + k], b[k * 32 + j], sum);
    }
  }
  const Function f = parse_function(kTensorMatmul);
  EXPECT_NO_THROW(verify(f));
  EXPECT_EQ(interpret(f, {{a16.data(), DType::bfloat16(), {1024}},
                          {b16.data(), DType::bfloat16(), {1024}},
                          view(&c)})
                .text(),
            "");
  EXPECT_EQ(c, expected);
}

TEST(Kernel, ragged_tails_are_guarded) {
  for (const std::size_t n : {1U, 63U, 64U, 65U, 200U}) {
    auto a = random_floats(n, 6);
    std::vector<float> c(n), expected(n);
    for (std::size_t i = 0; i < n; ++i) expected[i] = a[i] * 2;
    const Function f = parse_function(kScale);
    EXPECT_NO_THROW(verify(f));
    EXPECT_EQ(interpret(f, {view(&a), view(&c)}).text(), "");
    EXPECT_EQ(c, expected);
  }
}

TEST(Kernel, thread_loops_of_block_functions_are_serial) {
  const Function f = parse_function(R"(function sums(A: float32[8]) -> (S: float32[8])
  thread for tx in 0..8 on "threadIdx.x"
    block S {sequential=1}
      ordered i in 0..8 = tx
      reads A[i], S[i - 1]
      writes S[i]
      S[i] = select(i > 0, S[i - 1], 0.0) + A[i]
)");
  std::vector<float> a = {1, 2, 3, 4, 5, 6, 7, 8}, s(8);
  EXPECT_EQ(interpret(f, {view(&a), view(&s)}).text(), "");
  EXPECT_EQ(s, (std::vector<float>{1, 3, 6, 10, 15, 21, 28, 36}));
}

}  // namespace
}  // namespace tenon
