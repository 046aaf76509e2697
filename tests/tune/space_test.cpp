// Random points of the rules' spaces compute what the default schedule does, bit for bit.
// TENON_SPACE_POINTS sets how many points of each function are built.

#include "tenon/tune/space.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <optional>
#include <random>
#include <set>

#include "rules/comparison.h"
#include "rules/window_functions.h"
#include "schedule/workloads.h"
#include "tenon/driver/build.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/print.h"
#include "tenon/ir/structural.h"
#include "tenon/ir/verify.h"
#include "tenon/rules/default_schedule.h"
#include "tenon/te/expr.h"
#include "tenon/te/tensor.h"

namespace tenon::tune {
namespace {

using Indices = std::vector<Expr>;

/// relu(sum over k of A[b, i, k] B[b, k, j] + bias[j]); B may be stored transposed.
Function product(std::int64_t batch, std::int64_t m, std::int64_t n, std::int64_t k,
                 bool transposed, bool has_reader) {
  const Expr be = imm(batch), ne = imm(n), ke = imm(k);
  te::Tensor a = te::placeholder({be, imm(m), ke}, kFloat32, "A");
  te::Tensor b =
      te::placeholder(transposed ? Indices{be, ne, ke} : Indices{be, ke, ne}, kFloat32, "B");
  te::Tensor bias = te::placeholder({ne}, kFloat32, "bias");
  IterVar r = te::reduce_axis(ke, "k");
  te::Tensor c = te::compute(
      {be, imm(m), ne},
      [&](const Indices& v) {
        return te::sum(
            te::read(a, {v[0], v[1], r.var}) *
                te::read(b, transposed ? Indices{v[0], v[2], r.var} : Indices{v[0], r.var, v[2]}),
            {r});
      },
      "C");
  if (!has_reader) return te::function({a, b}, {c}, "product");
  te::Tensor d = te::compute(
      {be, imm(m), ne},
      [&](const Indices& v) {
        return max(te::read(c, v) + te::read(bias, {v[2]}), float_imm(kFloat32, 0));
      },
      "D");
  return te::function({a, b, bias}, {d}, "product");
}

/// A[i, j, k] as D[k, i, j] where `across`, else scaled by j.
Function moved(std::int64_t a, std::int64_t b, std::int64_t c, bool across) {
  te::Tensor x = te::placeholder({imm(a), imm(b), imm(c)}, kFloat32, "A");
  te::Tensor w = te::placeholder({imm(b)}, kFloat32, "W");
  te::Tensor d =
      across ? te::compute(
                   {imm(c), imm(a), imm(b)},
                   [&](const Indices& v) {
                     return te::read(x, {v[1], v[2], v[0]}) + te::read(w, {v[2]});
                   },
                   "D")
             : te::compute(
                   {imm(a), imm(b), imm(c)},
                   [&](const Indices& v) { return te::read(x, v) * te::read(w, {v[1]}); }, "D");
  return te::function({x, w}, {d}, across ? "transpose" : "scale");
}

std::vector<Function> functions() {
  using testing::Shape;
  return {product(1, 33, 70, 17, false, false),
          product(3, 7, 40, 19, true, true),
          product(1, 21, 37, 9001, false, true),
          product(1, 1, 70, 5000, false, false),
          product(2, 40, 33, 4200, true, false),
          testing::forward({1, 9, 11, 3, 20, 3, 2, 1}),
          testing::forward({2, 7, 7, 24, 40, 1}),
          testing::forward({1, 8, 9, 12, 12, 3, 1, 1, 1, 12}),
          testing::weight_gradient({2, 9, 9, 5, 17, 3, 1, 1}),
          testing::pooling({1, 9, 9, 33, 33, 3, 2}, true, false),
          testing::softmax_chain(37, 70),
          testing::softmax_chain(40, 3),
          testing::column_sum(70, 37),
          testing::column_scan(19, 70),
          testing::elementwise_chain(1000),
          testing::padded_select(300),
          moved(5, 37, 41, true),
          moved(130, 131, 3, true),
          moved(3, 50, 300, false)};
}

std::vector<Array> inputs_of(const Function& f) {
  std::vector<Array> inputs;
  for (const Buffer& b : f->inputs) {
    std::vector<std::int64_t> shape;
    for (const Expr& e : b->shape) shape.push_back(*as_int(e));
    inputs.push_back(random_array(shape, static_cast<unsigned>(inputs.size()) + 1, b->dtype));
  }
  return inputs;
}

void expect_bits(const std::vector<Array>& got, const std::vector<Array>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(got[i].nbytes(), expected[i].nbytes());
    EXPECT_EQ(
        std::memcmp(got[i].raw(), expected[i].raw(), static_cast<std::size_t>(got[i].nbytes())), 0);
  }
}

/// A point with some decisions drawn; those that the space does not refuse.
std::optional<Point> draw(const Space& space, std::mt19937* random) {
  DecisionValues values;
  for (const Decision& d : space.generate({}).decisions) {
    if ((*random)() % 2 == 0) continue;
    values[d.name] = d.options[(*random)() % d.options.size()];
  }
  try {
    return space.generate(values);
  } catch (const ScheduleError& e) {
    EXPECT_TRUE(e.code() == "E1403" || e.code() == "E1404") << e.what();
    return std::nullopt;
  }
}

int num_points() {
  const char* wanted = std::getenv("TENON_SPACE_POINTS");
  return wanted != nullptr ? std::atoi(wanted) : 4;
}

struct RuleSpaceTest : ::testing::TestWithParam<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(Functions, RuleSpaceTest,
                         ::testing::Range(std::size_t{0}, functions().size()));

TEST_P(RuleSpaceTest, without_decisions_it_is_the_default) {
  const Function f = functions()[GetParam()];
  for (const char* target : {"cpu -mcpu=x86-64-v4", "cpu -mcpu=x86-64-v3"}) {
    const auto space = rule_space(f, Target::parse(target));
    const Point first = space->generate({});
    EXPECT_FALSE(first.decisions.empty());
    const Schedule analytic = rule_schedule(f, space->target()).schedule;
    EXPECT_EQ(print(first.schedule.function()), print(analytic.function()));
    EXPECT_TRUE(analytic.decisions().empty());
    EXPECT_EQ(print(space->generate({{"nobody", {1}}}).schedule.function()),
              print(analytic.function()));
    std::set<std::string> names;
    for (const Decision& d : first.decisions) {
      EXPECT_TRUE(names.insert(d.name).second) << d.name;
      EXPECT_GE(d.options.size(), 2U) << d.name;
      EXPECT_EQ(d.preferred, d.chosen) << d.name;
    }
  }
}

TEST_P(RuleSpaceTest, random_points_have_the_bits_of_the_default) {
  const Function f = functions()[GetParam()];
  const std::vector<Array> inputs = inputs_of(f);
  const auto space = rule_space(f, Target::host());
  const std::vector<Array> expected = call_default(f, Target::host(), inputs);
  std::mt19937 random(static_cast<unsigned>(GetParam()) + 1);
  int built = 0;
  for (int i = 0; i < 4 * num_points() && built < num_points(); ++i) {
    const auto point = draw(*space, &random);
    if (!point) continue;
    ++built;
    const Function& scheduled = point->schedule.function();
    SCOPED_TRACE(point->schedule.trace().to_python());
    ASSERT_NO_THROW(verify(scheduled, "schedule")) << print(scheduled);
    EXPECT_FALSE(point->schedule.trace().reassociates() &&
                 !rule_schedule(f, space->target()).schedule.trace().reassociates());
    expect_bits(build(scheduled, Target::host(), {.use_cache = false}).call(inputs), expected);

    // The same values, from the decisions or from the trace as text, are the same point.
    const DecisionValues values = values_of(point->decisions);
    EXPECT_EQ(values_of(Trace::from_json(point->schedule.trace().to_json())), values);
    EXPECT_TRUE(structural_equal(space->generate(values).schedule.function(), scheduled));
    Schedule replayed(f);
    point->schedule.trace().replay(&replayed);
    EXPECT_TRUE(structural_equal(replayed.function(), scheduled));
    if (HasFailure()) return;
  }
  EXPECT_GT(built, 0);
}

TEST(SpaceTest, refuses_values_that_are_no_options) {
  const auto space = rule_space(product(1, 33, 70, 17, false, false), Target::host());
  try {
    space->generate({{"C.rows", {1000}}});
    FAIL() << "nothing was raised";
  } catch (const ScheduleError& e) {
    EXPECT_EQ(e.code(), "E1403") << e.what();
    EXPECT_NE(std::string(e.what()).find("the decision [1000] for 'C.rows'"), std::string::npos);
  }
}

TEST(SpaceTest, a_generator_is_run_with_the_decisions) {
  const auto space = generator_space(testing::matmul(12, 32, 8), Target::host(), [](Schedule& s) {
    const auto loops = s.loops("C");
    s.split(loops[1], s.sample_tile("j", loops[1], 2));
    if (s.sample_categorical("parallel", {0, 1}, 0) == 1) s.parallel(s.loops("C")[0]);
  });
  const Point first = space->generate({});
  ASSERT_EQ(first.decisions.size(), 2U);
  EXPECT_EQ(values_of(first.decisions), (DecisionValues{{"j", {2, 16}}, {"parallel", {0}}}));
  const Point other = space->generate({{"j", {4, 8}}, {"parallel", {1}}});
  EXPECT_EQ(values_of(other.decisions), (DecisionValues{{"j", {4, 8}}, {"parallel", {1}}}));
  EXPECT_FALSE(structural_equal(other.schedule.function(), first.schedule.function()));
  EXPECT_EQ(space->function()->name, "matmul");
}

}  // namespace
}  // namespace tenon::tune
