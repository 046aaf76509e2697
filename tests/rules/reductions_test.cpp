#include <gtest/gtest.h>

#include <array>

#include "rules/comparison.h"
#include "tenon/driver/build.h"
#include "tenon/ir/builder.h"
#include "tenon/rules/default_schedule.h"
#include "tenon/te/expr.h"
#include "tenon/te/tensor.h"

namespace tenon {
namespace {

using Indices = std::vector<Expr>;
using Reduce = Expr (*)(const Expr&, std::vector<IterVar>);

Expr sum(const Expr& x, std::vector<IterVar> axes) { return te::sum(x, std::move(axes)); }
Expr prod(const Expr& x, std::vector<IterVar> axes) { return te::prod(x, std::move(axes)); }
Expr min(const Expr& x, std::vector<IterVar> axes) { return te::min(x, std::move(axes)); }
Expr max(const Expr& x, std::vector<IterVar> axes) { return te::max(x, std::move(axes)); }

/// Reduces the dimensions d of `shape` whose bit is set in `pattern`.
Function reduction(const Indices& shape, unsigned pattern, Reduce reduce, DType dtype) {
  te::Tensor a = te::placeholder(shape, dtype, "A");
  std::vector<IterVar> axes;
  Indices kept;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if ((pattern >> d & 1U) != 0) {
      axes.push_back(te::reduce_axis(shape[d], "k" + std::to_string(d)));
    } else {
      kept.push_back(shape[d]);
    }
  }
  te::Tensor c = te::compute(
      kept,
      [&](const Indices& v) {
        Indices at;
        std::size_t next_kept = 0, next_axis = 0;
        for (std::size_t d = 0; d < shape.size(); ++d)
          at.push_back((pattern >> d & 1U) != 0 ? axes[next_axis++].var : v[next_kept++]);
        return reduce(te::read(a, at), axes);
      },
      "C");
  return te::function({a}, {c}, "reduce_" + std::to_string(pattern));
}

Indices constants(const std::vector<std::int64_t>& shape) {
  Indices out;
  for (const std::int64_t e : shape) out.push_back(imm(e));
  return out;
}

/// Axes 0, 1, 2, (0, 1), (0, 2), (1, 2), all of a 3-d tensor.
struct AxisPatternTest : testing::TestWithParam<unsigned> {};
INSTANTIATE_TEST_SUITE_P(AllPatterns, AxisPatternTest, testing::Range(1U, 8U));

TEST_P(AxisPatternTest, float_sums_are_the_loops_sums) {
  const std::vector<std::int64_t> shape = {5, 7, 70};
  const bool along_rows = (GetParam() & 4U) != 0;
  expect_same_results(reduction(constants(shape), GetParam(), sum, kFloat32),
                      {random_array(shape, 1)}, along_rows ? Agreement::kClose : Agreement::kBits);
}

TEST_P(AxisPatternTest, maxima_have_the_bits_of_the_loops) {
  const std::vector<std::int64_t> shape = {5, 7, 70};
  expect_same_results(reduction(constants(shape), GetParam(), max, kFloat32),
                      {random_array(shape, 2)}, Agreement::kBits);
}

TEST_P(AxisPatternTest, symbolic_integer_sums_have_the_bits_of_the_loops) {
  const Function f =
      reduction({te::symbol("a"), te::symbol("b"), te::symbol("c")}, GetParam(), sum, kInt32);
  for (const std::vector<std::int64_t>& shape :
       {std::vector<std::int64_t>{3, 4, 65}, {1, 1, 1}, {0, 2, 3}, {2, 0, 3}, {2, 3, 0}}) {
    expect_same_results(f, {random_array(shape, 3, kInt32)}, Agreement::kBits);
  }
}

TEST(ReductionRuleTest, dtypes_and_operations) {
  const std::vector<std::int64_t> shape = {6, 130};
  for (const unsigned pattern : {1U, 2U}) {
    for (const DType dtype : {kFloat64, kInt32, kInt64}) {
      const Agreement sums =
          dtype.is_float() && pattern == 2 ? Agreement::kClose : Agreement::kBits;
      expect_same_results(reduction(constants(shape), pattern, sum, dtype),
                          {random_array(shape, 4, dtype)}, sums);
      expect_same_results(reduction(constants(shape), pattern, min, dtype),
                          {random_array(shape, 5, dtype)}, Agreement::kBits);
    }
    expect_same_results(reduction(constants(shape), pattern, prod, kInt32),
                        {random_array(shape, 6, kInt32)}, Agreement::kBits);
    expect_same_results(reduction(constants(shape), pattern, max, DType::bfloat16()),
                        {random_array(shape, 7, DType::bfloat16())}, Agreement::kBits);
  }
  expect_same_results(reduction(constants(shape), 1, sum, DType::bfloat16()),
                      {random_array(shape, 8, DType::bfloat16())}, Agreement::kBits);
}

TEST(ReductionRuleTest, sums_of_nothing_are_written) {
  for (const unsigned pattern : {1U, 2U, 3U}) {
    const Function f = reduction({te::symbol("m"), te::symbol("n")}, pattern, sum, kFloat32);
    for (const std::vector<std::int64_t>& shape :
         {std::vector<std::int64_t>{0, 40}, {40, 0}, {0, 0}, {1, 1}}) {
      expect_same_results(f, {random_array(shape, 9)}, Agreement::kBits);
    }
    expect_same_results(reduction(constants({0, 3}), pattern, max, kFloat32),
                        {random_array({0, 3}, 1)}, Agreement::kBits);
    expect_same_results(reduction(constants({3, 0}), pattern, sum, kFloat32),
                        {random_array({3, 0}, 1)}, Agreement::kBits);
  }
}

TEST(ReductionRuleTest, sums_of_nothing_are_written_under_schedules_that_keep_the_init) {
  const Function f = reduction({te::symbol("n"), imm(64)}, 1, sum, kFloat32);
  Schedule s(f);
  const std::vector<LoopRef> loops = s.loops("C");
  const std::vector<LoopRef> columns = s.split(loops[0], {std::nullopt, 16}, "mask");
  const std::vector<LoopRef> terms = s.split(loops[1], {std::nullopt, 8}, "mask");
  s.reorder({terms[0], columns[0], terms[1], columns[1]});
  s.vectorize(columns[1]);
  const Executable kernel = build(s.function(), Target::host(), {.use_cache = false});
  for (const std::int64_t n : {0, 1, 20}) {
    const Array a = random_array({n, 64}, 12);
    const Array c = kernel.call(std::vector<Array>{a})[0];
    for (std::int64_t j = 0; j < 64; ++j) {
      float expected = 0;
      for (std::int64_t i = 0; i < n; ++i) expected += a.data<float>()[i * 64 + j];
      EXPECT_EQ(c.data<float>()[j], expected) << n;
    }
  }
}

/// A row sum as design 3a defines it for at most 4096 terms: term p in lane p mod 64, lanes joined
/// by halving.
float lane_sum(const float* terms, std::int64_t n) {
  std::array<float, 64> lanes{};
  for (std::int64_t p = 0; p < n; ++p) lanes[static_cast<std::size_t>(p % 64)] += terms[p];
  for (std::size_t half = 32; half > 0; half /= 2) {
    for (std::size_t l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  }
  return lanes[0];
}

TEST(ReductionRuleTest, row_sums_have_the_bits_of_their_definition) {
  const Function rows = reduction({te::symbol("m"), te::symbol("n")}, 2, sum, kFloat32);
  const Function vector = reduction({te::symbol("n")}, 1, sum, kFloat32);
  for (const std::int64_t n : {1, 40, 64, 100, 1000, 4096}) {
    const Array a = random_array({3, n}, 10), x = random_array({n}, 11);
    const Array sums = call_default(rows, Target::host(), {a})[0];
    for (std::int64_t i = 0; i < 3; ++i)
      EXPECT_EQ(sums.data<float>()[i], lane_sum(a.data<float>() + i * n, n)) << n;
    const Array total = call_default(vector, Target::host(), {x})[0];
    EXPECT_EQ(total.data<float>()[0], lane_sum(x.data<float>(), n)) << n;
    const Function fixed = reduction({imm(n)}, 1, sum, kFloat32);
    EXPECT_EQ(call_default(fixed, Target::host(), {x})[0].data<float>()[0],
              lane_sum(x.data<float>(), n))
        << n;
  }
}

TEST(ReductionRuleTest, masked_sums) {
  te::Tensor a = te::placeholder({imm(6), imm(100)}, kFloat32, "A");
  IterVar k = te::reduce_axis(imm(100), "k");
  te::Tensor c = te::compute(
      {imm(6)},
      [&](const Indices& v) {
        const Expr x = te::read(a, {v[0], k.var});
        return te::sum(x, {k}, gt(x, float_imm(kFloat32, 0)));
      },
      "C");
  expect_same_results(te::function({a}, {c}, "positive"), {random_array({6, 100}, 1)},
                      Agreement::kClose);
}

}  // namespace
}  // namespace tenon
