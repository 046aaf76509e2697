#include "tenon/te/scatter.h"

#include <gtest/gtest.h>

#include <cstring>

#include "rules/comparison.h"
#include "tenon/driver/build.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/interpret.h"
#include "tenon/ir/print.h"
#include "tenon/rules/default_schedule.h"
#include "tenon/te/expr.h"

namespace tenon {
namespace {

using Indices = std::vector<Expr>;
using te::ScatterMode;

Array indices_below(std::int64_t bound, const std::vector<std::int64_t>& shape) {
  Array a = random_array(shape, 7, kInt64);
  for (std::int64_t i = 0; i < a.size(); ++i) {
    std::int64_t& v = a.mutable_data<std::int64_t>()[i];
    v = ((v % bound) + bound) % bound;
  }
  return a;
}

Function scatter_rows(const Expr& rows, const Expr& columns, const Expr& n, ScatterMode mode,
                      DType dtype) {
  te::Tensor init = te::placeholder({rows, columns}, dtype, "init");
  te::Tensor ids = te::placeholder({n}, kInt64, "ids");
  te::Tensor values = te::placeholder({n, columns}, dtype, "values");
  return te::function({init, ids, values}, {te::scatter(init, {ids}, values, mode, "R")}, "rows");
}

/// The function as the interpreter runs it.
Array interpreted(const Function& f, const std::vector<Array>& inputs,
                  const std::vector<std::int64_t>& shape) {
  Array out = Array::empty(shape, inputs[0].dtype());
  std::vector<ArrayView> views;
  const auto view = [](const Array& a) {
    const auto dims = a.shape();
    return ArrayView{const_cast<void*>(a.raw()), a.dtype(), {dims.begin(), dims.end()}};
  };
  for (const Array& a : inputs) views.push_back(view(a));
  views.push_back(view(out));
  interpret(f, views).check();
  return out;
}

TEST(ScatterRuleTest, every_mode_and_dtype_has_the_bits_of_the_interpreter) {
  for (const auto& [mode, dtype] :
       {std::pair{ScatterMode::kSet, kFloat32}, std::pair{ScatterMode::kAdd, kFloat32},
        std::pair{ScatterMode::kMin, kFloat32}, std::pair{ScatterMode::kMax, kFloat64},
        std::pair{ScatterMode::kAdd, DType::int_(8)},
        std::pair{ScatterMode::kAdd, DType::bfloat16()}}) {
    const Function f = scatter_rows(imm(7), imm(70), imm(40), mode, dtype);
    const std::vector<Array> inputs = {random_array({7, 70}, 1, dtype), indices_below(7, {40}),
                                       random_array({40, 70}, 2, dtype)};
    expect_same_results(f, inputs, Agreement::kBits);
    const Array expected = interpreted(f, inputs, {7, 70});
    const Array got = call_default(f, Target::host(), inputs)[0];
    EXPECT_EQ(std::memcmp(got.raw(), expected.raw(), static_cast<std::size_t>(got.nbytes())), 0)
        << te::to_string(mode) << " " << to_string(dtype);
  }
}

TEST(GatherRuleTest, index_out_of_range_reads_nothing_when_the_table_is_computed_on_the_way) {
  te::Tensor x = te::placeholder({imm(4)}, kFloat32, "x"),
             ids = te::placeholder({imm(3)}, kInt64, "ids");
  te::Tensor twice = te::compute(
      {imm(4)}, [&](const Indices& v) { return te::read(x, v) + te::read(x, v); }, "twice");
  te::Tensor y = te::compute(
      {imm(3)}, [&](const Indices& v) { return te::read(twice, {te::read(ids, v)}); }, "y");
  const Function f = default_schedule(te::function({x, ids}, {y}, "f"), Target::host()).function();
  std::vector<float> table = {1, 2, 3, 4}, out(3);
  std::vector<std::int64_t> places = {3, 4, 0};
  const InterpretReport report = interpret(
      f,
      {{table.data(), kFloat32, {4}}, {places.data(), kInt64, {3}}, {out.data(), kFloat32, {3}}});
  EXPECT_EQ(out, (std::vector<float>{8, 0, 2}));
  ASSERT_EQ(report.findings.size(), 1U) << report.text();
  EXPECT_EQ(report.findings[0].kind, Finding::Kind::kIndexError);
}

TEST(ScatterRuleTest, symbolic_sizes_and_sizes_of_zero_and_one) {
  const Function f =
      scatter_rows(te::symbol("v"), te::symbol("d"), te::symbol("n"), ScatterMode::kAdd, kFloat32);
  for (const auto& [v, d, n] : {std::tuple{9, 33, 50}, std::tuple{4, 64, 0}, std::tuple{4, 0, 5}}) {
    expect_same_results(f,
                        {random_array({v, d}, 1), indices_below(v, {n}), random_array({n, d}, 2)},
                        Agreement::kBits);
  }
}

TEST(ScatterRuleTest, histogram_has_no_axis_to_share) {
  te::Tensor init = te::placeholder({imm(10)}, kInt64, "init");
  te::Tensor ids = te::placeholder({imm(500)}, kInt64, "ids");
  te::Tensor ones = te::compute({imm(500)}, [](const Indices&) { return imm(1); }, "ones");
  const Function f =
      te::function({init, ids}, {te::scatter(init, {ids}, ones, ScatterMode::kAdd, "R")}, "count");
  expect_same_results(f, {random_array({10}, 1, kInt64), indices_below(10, {500})},
                      Agreement::kBits);
}

/// R[b, ids[b, n], c] += relu(values[b, n, c]).
Function batched(std::int64_t batch, std::int64_t n, std::int64_t columns) {
  te::Tensor init = te::placeholder({imm(batch), imm(6), imm(columns)}, kFloat32, "init");
  te::Tensor ids = te::placeholder({imm(batch), imm(n)}, kInt64, "ids");
  te::Tensor x = te::placeholder({imm(batch), imm(n), imm(columns)}, kFloat32, "x");
  te::Tensor relu = te::compute(
      x->shape, [&](const Indices& v) { return max(te::read(x, v), float_imm(kFloat32, 0)); },
      "relu");
  const auto places = [&](const Indices& p) {
    return Indices{p[0], te::read(ids, {p[0], p[1]}), p[2]};
  };
  return te::function({init, ids, x},
                      {te::scatter(init, te::PlaceFunction(places), relu, ScatterMode::kAdd, "R")},
                      "batched");
}

TEST(ScatterRuleTest, batches_and_columns_run_in_parallel) {
  const Function f = batched(3, 100, 128);
  const std::string text = print(default_schedule(f, Target::host()).function());
  EXPECT_NE(text.find("parallel"), std::string::npos) << text;
  EXPECT_NE(text.find("vectorized"), std::string::npos) << text;
  EXPECT_EQ(text.find("block relu"), std::string::npos) << "the updates are computed on the way";
  expect_same_results(
      f, {random_array({3, 6, 128}, 1), indices_below(6, {3, 100}), random_array({3, 100, 128}, 2)},
      Agreement::kBits);
}

TEST(ScatterRuleTest, the_result_feeds_what_follows) {
  te::Tensor init = te::placeholder({imm(5), imm(40)}, kFloat32, "init");
  te::Tensor ids = te::placeholder({imm(9)}, kInt64, "ids");
  te::Tensor x = te::placeholder({imm(9), imm(40)}, kFloat32, "x");
  te::Tensor r = te::scatter(init, {ids}, x, ScatterMode::kAdd, "R");
  te::Tensor doubled = te::compute(
      r->shape, [&](const Indices& v) { return te::read(r, v) + te::read(r, v); }, "doubled");
  expect_same_results(te::function({init, ids, x}, {doubled}, "f"),
                      {random_array({5, 40}, 1), indices_below(5, {9}), random_array({9, 40}, 2)},
                      Agreement::kBits);
}

TEST(ScatterRuleTest, update_out_of_range_is_dropped_and_reported_with_its_place) {
  const Function f = scatter_rows(imm(4), imm(64), imm(3), ScatterMode::kAdd, kFloat32);
  Array ids = indices_below(4, {3});
  for (const std::int64_t bad : {std::int64_t{4}, std::int64_t{-1}, std::int64_t{1} << 40}) {
    ids.mutable_data<std::int64_t>()[1] = bad;
    try {
      call_default(f, Target::host(), {random_array({4, 64}, 1), ids, random_array({3, 64}, 2)});
      FAIL() << bad;
    } catch (const IndexError& e) {
      EXPECT_EQ(e.code(), "E0651");
      const std::string expected =
          "index " + std::to_string(bad) + " is out of range for axis 0 of size 4 when writing 'R'";
      EXPECT_NE(std::string(e.what()).find(expected), std::string::npos) << e.what();
    }
  }
}

}  // namespace
}  // namespace tenon
