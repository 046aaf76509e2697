#include <gtest/gtest.h>

#include <functional>

#include "te/expressions.h"

namespace tenon::te {
namespace {

/// Runs `program`, which must fail with this class, code and first words.
template <typename E>
void expect_error(const std::string& code, const std::string& message,
                  const std::function<void()>& program) {
  try {
    program();
    ADD_FAILURE() << "no error, expected: " << message;
  } catch (const E& e) {
    EXPECT_EQ(e.code(), code);
    EXPECT_NE(std::string(e.what()).find(message), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find("[" + code + "]"), std::string::npos) << e.what();
  }
}

struct TeErrorTest : testing::Test {
  Tensor a = placeholder({imm(4), imm(8)}, kFloat32, "A");
  IterVar k = reduce_axis(imm(8), "k");
  /// A vector of four that is computed by `element`.
  Tensor vector(const std::function<Expr(const Expr&)>& element, const std::string& name = "C") {
    return compute({imm(4)}, [&](const Indices& v) { return element(v[0]); }, name);
  }
};

TEST_F(TeErrorTest, another_number_of_indices_than_dimensions) {
  expect_error<ExpressionError>("E0102",
                                "tensor 'A' of shape [4, 8] was indexed with 1 indices, expected 2",
                                [&] { read(a, {imm(0)}); });
}

TEST_F(TeErrorTest, reduction_axis_outside_its_reduction) {
  expect_error<ExpressionError>("E0103", "axis 'k' is used outside its reduction", [&] {
    vector([&](const Expr& i) { return sum(read(a, {i, k.var}), {k}) + read(a, {i, k.var}); });
  });
}

TEST_F(TeErrorTest, axis_of_another_tensor) {
  Expr stolen;
  vector([&](const Expr& i) {
    stolen = i;
    return read(a, {i, imm(0)});
  });
  expect_error<ExpressionError>("E0103", "axis 'i' is used outside", [&] {
    vector([&](const Expr&) { return read(a, {stolen, imm(0)}); });
  });
}

TEST_F(TeErrorTest, placeholder_that_is_no_input) {
  Tensor b = placeholder({imm(4)}, kFloat32, "B");
  Tensor c = vector([&](const Expr& i) { return read(a, {i, imm(0)}) + read(b, {i}); });
  expect_error<ExpressionError>(
      "E0104", "placeholder 'B' is used but is not among the inputs of tn.function",
      [&] { function({a}, {c}, "f"); });
}

TEST_F(TeErrorTest, computed_input) {
  Tensor c = vector([&](const Expr& i) { return read(a, {i, imm(0)}); });
  expect_error<ExpressionError>("E0105", "input 'C' of tn.function is computed",
                                [&] { function({a, c}, {c}, "f"); });
}

TEST_F(TeErrorTest, input_listed_twice) {
  Tensor c = vector([&](const Expr& i) { return read(a, {i, imm(0)}); });
  expect_error<ExpressionError>("E0105", "input 'A' of tn.function is listed twice",
                                [&] { function({a, a}, {c}, "f"); });
}

TEST_F(TeErrorTest, placeholder_as_output) {
  expect_error<ExpressionError>("E0105", "output 'A' of tn.function is a placeholder",
                                [&] { function({a}, {a}, "f"); });
}

TEST_F(TeErrorTest, output_listed_twice) {
  Tensor c = vector([&](const Expr& i) { return read(a, {i, imm(0)}); });
  expect_error<ExpressionError>("E0105", "output 'C' of tn.function is listed twice",
                                [&] { function({a}, {c, c}, "f"); });
}

TEST_F(TeErrorTest, no_output) {
  expect_error<ExpressionError>("E0105", "tn.function needs at least one output",
                                [&] { function({a}, {}, "f"); });
}

TEST_F(TeErrorTest, symbol_that_no_input_gives) {
  const Expr n = symbol("n");
  Tensor b = placeholder({n * 2}, kFloat32, "B");
  Tensor c = compute({n * 2}, [&](const Indices& v) { return read(b, v); }, "C");
  expect_error<ExpressionError>("E0106", "symbol 'n' is not a whole dimension of any input",
                                [&] { function({b}, {c}, "f"); });
}

TEST_F(TeErrorTest, reduction_without_axes) {
  expect_error<ExpressionError>("E0107", "te.sum needs at least one reduction axis", [&] {
    vector([&](const Expr& i) { return sum(read(a, {i, imm(0)}), {}); });
  });
}

TEST_F(TeErrorTest, reduction_over_a_spatial_axis) {
  const IterVar spatial{var("s"), {imm(0), imm(8)}, IterKind::kSpatial};
  expect_error<ExpressionError>("E0108", "te.max reduces over axes made by te.reduce_axis", [&] {
    vector([&](const Expr& i) { return max(read(a, {i, spatial.var}), {spatial}); });
  });
}

TEST_F(TeErrorTest, symbol_with_an_empty_range) {
  expect_error<ExpressionError>("E0110", "", [&] { symbol("n", 5, 4); });
  expect_error<ExpressionError>("E0110", "", [&] { symbol("n", -1); });
  expect_error<ExpressionError>("E0110",
                                "multiple_of=0; expected 0 <= min <= max and multiple_of >= 1",
                                [&] { symbol("n", 0, std::nullopt, 0); });
}

TEST_F(TeErrorTest, negative_dimension) {
  expect_error<ShapeError>("E0401", "dimension 1 of tensor 'B' is -2, expected at least 0",
                           [&] { placeholder({imm(3), imm(-2)}, kFloat32, "B"); });
}

TEST_F(TeErrorTest, strides_of_another_rank) {
  expect_error<ShapeError>("E0402", "placeholder 'B' has shape [3, 2] but 1 strides",
                           [&] { placeholder({imm(3), imm(2)}, kFloat32, "B", {imm(1)}); });
}

TEST_F(TeErrorTest, dimension_that_is_no_int64) {
  expect_error<ShapeError>("E0403", "dimension 0 of tensor 'B' has dtype int32, expected int64",
                           [&] { placeholder({int_imm(kInt32, 3)}, kFloat32, "B"); });
}

TEST_F(TeErrorTest, operands_without_a_common_dtype) {
  expect_error<DTypeError>("E0502", "", [&] {
    te::binary(BinaryOp::kAdd, int_imm(kInt64, 1), int_imm(DType::uint(64), 1));
  });
}

TEST_F(TeErrorTest, index_that_is_no_integer) {
  expect_error<DTypeError>("E0503", "index 1 of tensor 'A' has dtype float32, expected an integer",
                           [&] { read(a, {imm(0), float_imm(kFloat32, 1)}); });
}

TEST_F(TeErrorTest, operations_that_a_dtype_has_not) {
  const Expr x = float_imm(kFloat32, 1), i = imm(3), b = bool_imm(true);
  expect_error<DTypeError>("E0504", "needs integer operands, got float32",
                           [&] { te::binary(BinaryOp::kFloorDiv, x, x); });
  expect_error<DTypeError>("E0504", "hint: use '//' for integers",
                           [&] { te::binary(BinaryOp::kDiv, i, i); });
  expect_error<DTypeError>("E0504", "needs bool operands, got int64",
                           [&] { te::binary(BinaryOp::kAnd, i, i); });
  expect_error<DTypeError>("E0504", "needs numbers, got bool",
                           [&] { te::binary(BinaryOp::kAdd, b, b); });
  expect_error<DTypeError>("E0504", "does not take float32", [&] { te::unary(UnaryOp::kNot, x); });
  expect_error<DTypeError>("E0504", "the condition of select has dtype int64, expected bool",
                           [&] { te::select(i, x, x); });
  expect_error<DTypeError>("E0504", "te.sum needs numbers, got bool", [&] {
    vector([&](const Expr& v) { return sum(gt(read(a, {v, k.var}), x), {k}); });
  });
}

TEST_F(TeErrorTest, float_function_of_an_integer) {
  expect_error<DTypeError>("E0505", "'exp' needs a float operand, got int64",
                           [&] { math("exp", {imm(1)}); });
}

TEST_F(TeErrorTest, reduction_axis_that_is_no_int64) {
  expect_error<DTypeError>("E0506",
                           "reduction axis 'k' has an extent of dtype int32, expected int64",
                           [&] { reduce_axis(int_imm(kInt32, 3), "k"); });
}

TEST_F(TeErrorTest, constant_index_out_of_range) {
  expect_error<IndexError>(
      "E0601", "index 8 is out of range for dimension 1 of tensor 'A' with shape [4, 8]",
      [&] { read(a, {imm(0), imm(8)}); });
  expect_error<IndexError>("E0601", "index -1 is out of range",
                           [&] { read(a, {imm(-1), imm(0)}); });
}

}  // namespace
}  // namespace tenon::te
