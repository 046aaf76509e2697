// Compiled float functions, scalar and vector, on every target: the bits of the measured templates.

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "codegen/kernel_runner.h"
#include "ir/math/logarithm.h"
#include "ir/math/native_value.h"
#include "ir/math/normal_tail.h"
#include "ir/math/power.h"
#include "ir/math/trigonometry.h"
#include "ir/transform/expand_math.h"

namespace tenon::testing {
namespace {

template <int width>
struct MathCase {
  using F = math::NativeFloat<width>;
  const char* name;
  F (*function)(const F&, const F&);
};

template <int width>
std::vector<MathCase<width>> math_cases() {
  using F = math::NativeFloat<width>;
#define TENON_CASE(name)                                      \
  {                                                           \
    #name, [](const F& x, const F&) { return math::name(x); } \
  }
  return {TENON_CASE(exp),      TENON_CASE(log),  TENON_CASE(tanh),      TENON_CASE(erf),
          TENON_CASE(sin),      TENON_CASE(cos),  TENON_CASE(rsqrt),     TENON_CASE(sigmoid),
          TENON_CASE(softplus), TENON_CASE(gelu), TENON_CASE(gelu_tanh), {"pow", math::pow<F>}};
#undef TENON_CASE
}

constexpr std::int64_t kCount = 4096;

/// Bit patterns over the whole range, and a quarter of values in [-32, 32).
template <int width>
typename math::NativeTypes<width>::Float sample(std::int64_t i, std::uint64_t salt) {
  const std::uint64_t pattern = (static_cast<std::uint64_t>(i) + salt) * 0x9e3779b97f4a7c15u;
  using T = typename math::NativeTypes<width>::Float;
  if (i % 4 == 0) return static_cast<T>(static_cast<double>(pattern >> 11) * 0x1p-47 - 32);
  if constexpr (width == 32) return std::bit_cast<float>(static_cast<std::uint32_t>(pattern >> 32));
  if constexpr (width == 64) return std::bit_cast<double>(pattern);
}

/// out[i] = name(x[i]) (or name(x[i], y[i])), `lanes` at a time.
Function math_kernel(const std::string& name, DType t, int lanes) {
  const Buffer x = make_buffer("x", t, {imm(kCount)}), y = make_buffer("y", t, {imm(kCount)});
  const Buffer out = make_buffer("out", t, {imm(kCount)});
  const Expr i = var("i");
  const Expr at = ramp(i * lanes, imm(1), lanes);
  std::vector<Expr> operands = {load(x, {at})};
  if (name == "pow") operands.push_back(load(y, {at}));
  const Stmt body = store(out, {at}, call(t.with_lanes(lanes), name, operands));
  return loop_function(name, {x, y}, {out},
                       expand_math(make_for(i, imm(0), imm(kCount / lanes), body)));
}

template <int width>
void expect_measured_bits(int lanes) {
  const DType t = DType::float_(width);
  Cells x(t, kCount), y(t, kCount), out(t, kCount);
  for (std::int64_t i = 0; i < kCount; ++i) {
    x.set_float(i, sample<width>(i, 1));
    y.set_float(i, sample<width>(i, 12345));
  }
  for (const Target& target : runnable_targets()) {
    for (const auto& c : math_cases<width>()) {
      RunOptions options;
      options.target = target;
      run_kernel(math_kernel(c.name, t, lanes), {x.data(), y.data(), out.data()}, options);
      for (std::int64_t i = 0; i < kCount; ++i) {
        const auto operand = sample<width>(i, 1), second = sample<width>(i, 12345);
        using F = math::NativeFloat<width>;
        const double expected = c.function(F(operand), F(second)).v, got = out.float_at(i);
        const bool same = (std::isnan(expected) && std::isnan(got)) ||
                          (expected == got && std::signbit(expected) == std::signbit(got));
        ASSERT_TRUE(same) << c.name << "(" << operand << ", " << second << ") = " << got
                          << ", expected " << expected;
      }
    }
  }
}

TEST(math_code, float32_vectors_give_the_measured_bits) { expect_measured_bits<32>(16); }
TEST(math_code, float32_scalars_give_the_measured_bits) { expect_measured_bits<32>(1); }
TEST(math_code, float64_vectors_give_the_measured_bits) { expect_measured_bits<64>(8); }
TEST(math_code, float64_scalars_give_the_measured_bits) { expect_measured_bits<64>(1); }

}  // namespace
}  // namespace tenon::testing
