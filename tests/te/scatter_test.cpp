#include "tenon/te/scatter.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "te/expressions.h"
#include "tenon/ir/interpret.h"
#include "tenon/ir/print.h"

namespace tenon::te {
namespace {

constexpr std::array kModes = {ScatterMode::kSet, ScatterMode::kAdd, ScatterMode::kMul,
                               ScatterMode::kMin, ScatterMode::kMax};

float joined(ScatterMode mode, float element, float update) {
  switch (mode) {
    case ScatterMode::kSet:
      return update;
    case ScatterMode::kAdd:
      return element + update;
    case ScatterMode::kMul:
      return element * update;
    case ScatterMode::kMin:
      return std::min(element, update);
    case ScatterMode::kMax:
      break;
  }
  return std::max(element, update);
}

template <typename T>
ArrayView view(std::vector<T>& data, std::vector<std::int64_t> shape, DType dtype) {
  return {data.data(), dtype, std::move(shape)};
}

/// Rows of the updates go to the rows ids[n] of the result.
Function scatter_rows(const Expr& rows, const Expr& columns, const Expr& updates,
                      ScatterMode mode) {
  Tensor init = placeholder({rows, columns}, kFloat32, "base");
  Tensor ids = placeholder({updates}, kInt32, "ids");
  Tensor values = placeholder({updates, columns}, kFloat32, "values");
  return function({init, ids, values}, {scatter(init, {ids}, values, mode, "R")}, "scatter_rows");
}

TEST(TeScatterTest, is_a_copy_and_an_ordered_block) {
  EXPECT_EQ(print(scatter_rows(imm(5), imm(2), imm(3), ScatterMode::kSet)),
            R"(function scatter_rows(
    base: float32[5, 2],
    ids: int32[3],
    values: float32[3, 2]
) -> (R: float32[5, 2]) {index_site_0="R\n0\n\nwrite"}
  for i in 0..5
    for j in 0..2
      block R_init
        spatial vi in 0..5 = i
        spatial vj in 0..2 = j
        reads base[vi, vj]
        writes R[vi, vj]
        R[vi, vj] = base[vi, vj]
  for i in 0..3
    for j in 0..2
      block R
        ordered vi in 0..3 = i
        spatial vj in 0..2 = j
        reads ids[vi], values[vi, vj]
        writes R[0..5, vj]
        R[checked_index(int64(ids[vi]), 5, 0), vj] = values[vi, vj] where checked_index(int64(ids[vi]), 5, 0) >= 0
)");
}

TEST(TeScatterTest, equals_the_updates_in_ascending_order) {
  for (const ScatterMode mode : kModes) {
    const Function f = scatter_rows(symbol("v"), symbol("d"), symbol("n"), mode);
    for (const auto& [v, d, n] :
         {std::tuple{4, 3, 9}, std::tuple{1, 1, 1}, std::tuple{3, 2, 0}, std::tuple{3, 0, 2}}) {
      std::vector<float> init, values;
      std::vector<std::int32_t> ids;
      for (int i = 0; i < v * d; ++i) init.push_back(0.25F * static_cast<float>(i % 5));
      for (int i = 0; i < n * d; ++i) values.push_back(1.0F / static_cast<float>(1 + i * 7 % 11));
      for (int i = 0; i < n; ++i) ids.push_back(i * 5 % v);
      std::vector<float> expected = init, result(init.size(), 77.0F);
      for (int i = 0; i < n; ++i) {
        for (int j = 0; j < d; ++j) {
          float& element =
              expected[static_cast<std::size_t>(ids[static_cast<std::size_t>(i)] * d + j)];
          element = joined(mode, element, values[static_cast<std::size_t>(i * d + j)]);
        }
      }
      init.resize(std::max<std::size_t>(init.size(), 1));
      interpret(f, {view(init, {v, d}, kFloat32), view(ids, {n}, kInt32),
                    view(values, {n, d}, kFloat32), view(result, {v, d}, kFloat32)})
          .check();
      EXPECT_EQ(result, expected) << to_string(mode) << " " << v << " " << d << " " << n;
    }
  }
}

TEST(TeScatterTest, several_index_tensors_index_leading_dimensions) {
  Tensor init = placeholder({imm(2), imm(3), imm(2)}, kInt64, "init");
  Tensor a = placeholder({imm(2), imm(2)}, kInt64, "a"),
         b = placeholder({imm(2), imm(2)}, DType::int_(8), "b");
  Tensor values = placeholder({imm(2), imm(2), imm(2)}, kInt64, "values");
  const Function f =
      function({init, a, b, values}, {scatter(init, {a, b}, values, ScatterMode::kAdd, "R")}, "f");
  std::vector<std::int64_t> start(12, 100), at = {0, 1, 1, 0}, add = {1, 2, 3, 4, 5, 6, 7, 8};
  std::vector<std::int8_t> bt = {2, 0, 0, 2};
  std::vector<std::int64_t> result(12), expected = start;
  for (std::size_t n = 0; n < 4; ++n) {
    for (std::size_t j = 0; j < 2; ++j)
      expected[static_cast<std::size_t>(at[n] * 6 + bt[n] * 2) + j] += add[n * 2 + j];
  }
  interpret(f, {view(start, {2, 3, 2}, kInt64), view(at, {2, 2}, kInt64),
                view(bt, {2, 2}, DType::int_(8)), view(add, {2, 2, 2}, kInt64),
                view(result, {2, 3, 2}, kInt64)})
      .check();
  EXPECT_EQ(result, expected);
}

/// R[b, ids[n], c] += values[b, n, c].
Function scatter_in_the_middle(const Expr& batch, const Expr& rows, const Expr& n) {
  Tensor init = placeholder({batch, rows, imm(2)}, kFloat32, "init");
  Tensor ids = placeholder({n}, kInt64, "ids");
  Tensor values = placeholder({batch, n, imm(2)}, kFloat32, "values");
  const auto places = [&](const Indices& p) { return Indices{p[0], read(ids, {p[1]}), p[2]}; };
  return function({init, ids, values},
                  {scatter(init, PlaceFunction(places), values, ScatterMode::kAdd, "R")}, "middle");
}

TEST(TeScatterTest, plain_dimensions_are_spatial_and_the_others_ordered) {
  const Tensor r = as_tensor(scatter_in_the_middle(imm(2), imm(3), imm(4))->outputs[0]);
  EXPECT_FALSE(r) << "a function has buffers of its own";
  const std::string text = print(scatter_in_the_middle(imm(2), imm(3), imm(4)));
  EXPECT_NE(
      text.find("spatial vi in 0..2 = i\n          ordered vj in 0..4 = j\n          spatial vk"),
      std::string::npos)
      << text;
}

TEST(TeScatterTest, index_that_arithmetic_decides_is_checked_and_ordered) {
  Tensor init = placeholder({imm(4)}, kFloat32, "init"),
         values = placeholder({imm(4)}, kFloat32, "x");
  const auto next = [](const Indices& p) { return Indices{p[0] + 1}; };
  const Function f =
      function({init, values}, {scatter(init, PlaceFunction(next), values)}, "shift");
  std::vector<float> a(4, 9), b = {1, 2, 3, 4}, result(4);
  const InterpretReport report =
      interpret(f, {view(a, {4}, kFloat32), view(b, {4}, kFloat32), view(result, {4}, kFloat32)});
  EXPECT_EQ(result, (std::vector<float>{9, 1, 2, 3}));
  ASSERT_EQ(report.findings.size(), 1U);
  EXPECT_EQ(report.findings[0].kind, Finding::Kind::kIndexError);
}

TEST(TeScatterTest, operands_are_listed_once) {
  Tensor init = placeholder({imm(4)}, kFloat32, "init"), ids = placeholder({imm(4)}, kInt32, "ids");
  Tensor r = scatter(init, {ids}, init, ScatterMode::kAdd);
  ASSERT_EQ(operands_of(r).size(), 2U);
  EXPECT_TRUE(operands_of(r)[0].same_as(init));
  EXPECT_TRUE(operands_of(r)[1].same_as(ids));
}

// --- mistakes

/// Runs `program`, which must fail with this class, code and words.
template <typename E, typename F>
void expect_error(const std::string& code, const std::string& message, F&& program) {
  try {
    program();
    ADD_FAILURE() << "no error, expected: " << message;
  } catch (const E& e) {
    EXPECT_EQ(e.code(), code);
    EXPECT_NE(std::string(e.what()).find(message), std::string::npos) << e.what();
  }
}

struct TeScatterErrorTest : testing::Test {
  Tensor init = placeholder({imm(5), imm(2)}, kFloat32, "table");
  Tensor ids = placeholder({imm(3)}, kInt32, "ids");
  Tensor values = placeholder({imm(3), imm(2)}, kFloat32, "values");
};

TEST_F(TeScatterErrorTest, shapes) {
  Tensor wide = placeholder({imm(3), imm(4)}, kFloat32, "wide");
  expect_error<ShapeError>("E0405", "the updates of scatter 'S' have shape [3, 4], expected [3, 2]",
                           [&] { scatter(init, {ids}, wide, ScatterMode::kSet, "S"); });
  expect_error<ShapeError>(
      "E0406",
      "scatter 'S' has 3 index tensors, expected 1 to 2 for tensor 'table' of shape [5, 2]",
      [&] { scatter(init, {ids, ids, ids}, values, ScatterMode::kSet, "S"); });
  expect_error<ShapeError>("E0406", "has 0 index tensors", [&] {
    scatter(init, std::vector<Tensor>{}, values, ScatterMode::kSet, "S");
  });
  Tensor four = placeholder({imm(4)}, kInt32, "four");
  expect_error<ShapeError>("E0407",
                           "the index tensors of scatter 'S' have shapes [3] and [4], expected one",
                           [&] { scatter(init, {ids, four}, ids, ScatterMode::kSet, "S"); });
}

TEST_F(TeScatterErrorTest, dtypes) {
  Tensor whole = placeholder({imm(3), imm(2)}, kInt32, "whole");
  expect_error<DTypeError>(
      "E0507", "the updates of scatter 'S' have dtype int32, those of 'table' should be float32",
      [&] { scatter(init, {ids}, whole, ScatterMode::kSet, "S"); });
  Tensor real = placeholder({imm(3)}, kFloat32, "real");
  expect_error<DTypeError>("E0503", "index 0 of scatter 'S' has dtype float32, expected an integer",
                           [&] { scatter(init, {real}, values, ScatterMode::kSet, "S"); });
  Tensor flags = placeholder({imm(5)}, kBoolType, "flags"),
         bits = placeholder({imm(3)}, kBoolType, "b");
  EXPECT_NO_THROW(scatter(flags, {ids}, bits));
  expect_error<DTypeError>("E0508", "scatter 'S' with mode 'add' needs numbers, got bool",
                           [&] { scatter(flags, {ids}, bits, ScatterMode::kAdd, "S"); });
}

TEST_F(TeScatterErrorTest, indices) {
  const auto with = [&](const PlaceFunction& f) {
    scatter(init, f, values, ScatterMode::kSet, "S");
  };
  expect_error<ExpressionError>("E0111",
                                "scatter 'S' gives 1 indices, expected 2 for tensor 'table'",
                                [&] { with([](const Indices& p) { return Indices{p[0]}; }); });
  IterVar k = reduce_axis(imm(3), "k");
  expect_error<ExpressionError>("E0112", "index 0 of scatter 'S' contains a reduction", [&] {
    with([&](const Indices& p) { return Indices{max(read(ids, {k.var}), {k}), p[1]}; });
  });
  expect_error<ExpressionError>("E0103", "axis 'k' is used outside its reduction", [&] {
    with([&](const Indices& p) { return Indices{k.var, p[1]}; });
  });
  expect_error<IndexError>(
      "E0602", "index 5 of scatter 'S' is out of range for dimension 0 of tensor 'table'",
      [&] { with([](const Indices& p) { return Indices{imm(5), p[1]}; }); });
}

}  // namespace
}  // namespace tenon::te
