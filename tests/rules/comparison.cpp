#include "rules/comparison.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <random>

#include "rules/block_info.h"
#include "rules/gpu/gpu_comparison.h"
#include "tenon/driver/build.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/print.h"
#include "tenon/ir/simplify.h"
#include "tenon/ir/visit.h"
#include "tenon/rules/default_schedule.h"
#include "tenon/runtime/float_convert.h"

namespace tenon {
namespace {

template <typename T, typename Next>
void fill(Array* a, Next&& next) {
  for (std::int64_t i = 0; i < a->size(); ++i) a->mutable_data<T>()[i] = static_cast<T>(next());
}

/// The bits of a small float as bfloat16, rounded to zero.
std::uint16_t to_bfloat16(float x) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &x, sizeof bits);
  return static_cast<std::uint16_t>(bits >> 16U);
}

template <typename T>
void expect_close(const Array& got, const Array& expected, double tolerance) {
  for (std::int64_t i = 0; i < got.size(); ++i) {
    const double x = got.data<T>()[i], y = expected.data<T>()[i];
    ASSERT_NEAR(x, y, tolerance * (1 + std::fabs(y))) << "element " << i;
  }
}

void expect_bits(const Array& got, const Array& expected, const char* what) {
  ASSERT_EQ(got.nbytes(), expected.nbytes());
  if (got.nbytes() == 0) return;
  const auto* a = static_cast<const unsigned char*>(got.raw());
  const auto* b = static_cast<const unsigned char*>(expected.raw());
  for (std::int64_t i = 0; i < got.nbytes(); ++i)
    ASSERT_EQ(a[i], b[i]) << what << ": byte " << i << " of " << got.nbytes();
}

/// What the interpreter runs in a few tenths of a second.
constexpr std::int64_t kInterpretedStores = 2'000'000;

/// How many stores the loops as written do.
std::int64_t stores_of(const Function& f, const std::vector<Array>& inputs) {
  VarMap sizes;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    for (std::size_t d = 0; d < f->inputs[i]->shape.size(); ++d) {
      const Expr& dim = f->inputs[i]->shape[d];
      if (dim.as<VarNode>() != nullptr) sizes[dim.get()] = imm(inputs[i].shape()[d]);
    }
  }
  std::int64_t stores = 0;
  for (const rules::BlockInfo& b : rules::blocks_of(f)) {
    std::int64_t count = 1;
    for (const IterVar& i : b.block->iters)
      count *= as_int(simplify(substitute(i.domain.extent, sizes))).value_or(1000);
    stores += count;
  }
  return stores;
}

}  // namespace

Array random_array(const std::vector<std::int64_t>& shape, unsigned seed, DType dtype) {
  Array a = Array::empty(shape, dtype);
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  const auto real = [&] { return uniform(random); };
  const auto integer = [&] {
    return static_cast<int>(random() % 200) - (dtype.is_signed_int() ? 100 : 0);
  };
  if (dtype.code == DTypeCode::kBFloat) {
    fill<std::uint16_t>(&a, [&] { return to_bfloat16(real()); });
  } else if (dtype == DType::float_(16)) {
    fill<std::uint16_t>(&a, [&] { return float_to_float16(real()); });
  } else if (dtype == kFloat32) {
    fill<float>(&a, real);
  } else if (dtype == kFloat64) {
    fill<double>(&a, real);
  } else if (dtype == kInt64) {
    fill<std::int64_t>(&a, integer);
  } else if (dtype == kInt32) {
    fill<std::int32_t>(&a, integer);
  } else if (dtype.is_bool()) {
    fill<std::uint8_t>(&a, [&] { return random() % 2; });
  } else {
    TENON_CHECK(dtype.bits == 8, "no random ", to_string(dtype));
    fill<std::uint8_t>(&a, integer);
  }
  return a;
}

std::vector<Array> call_default(const Function& f, const Target& target,
                                const std::vector<Array>& inputs) {
  const Schedule s = default_schedule(f, target);
  if (std::getenv("TENON_SHOW_SCHEDULES") != nullptr) std::cerr << print(s.function());
  return build(s.function(), target, {.use_cache = false}).call(inputs);
}

void expect_agreement(const Array& got, const Array& expected, Agreement agreement) {
  if (agreement == Agreement::kBits) {
    expect_bits(got, expected, "default schedule against loops");
  } else if (got.dtype() == kFloat64) {
    expect_close<double>(got, expected, 1e-12);
  } else {
    ASSERT_EQ(got.dtype(), kFloat32);
    expect_close<float>(got, expected, 1e-5);
  }
}

void expect_same_results(const Function& f, const std::vector<Array>& inputs, Agreement agreement) {
  const std::vector<Array> got = call_default(f, Target::host(), inputs);
  const std::vector<Array> lower = call_default(f, Target::parse("cpu -mcpu=x86-64-v3"), inputs);
  const std::vector<Array> expected = build(f, Target::host(), {.use_cache = false}).call(inputs);
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t k = 0; k < got.size(); ++k) {
    SCOPED_TRACE(f->name + ", output " + std::to_string(k));
    expect_bits(lower[k], got[k], "x86-64-v3 against this machine");
    expect_agreement(got[k], expected[k], agreement);
  }
  if (stores_of(f, inputs) <= kInterpretedStores)
    expect_same_on_gpu(f, inputs, expected, agreement);
}

}  // namespace tenon
