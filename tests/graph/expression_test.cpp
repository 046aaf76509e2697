#include "tenon/graph/expression.h"

#include <gtest/gtest.h>

#include <cmath>

#include "graph/expression_operator.h"
#include "graph/pass/pass.h"
#include "tenon/graph/compile.h"
#include "tenon/ir/builder.h"
#include "tenon/te/expr.h"

namespace tenon::graph {
namespace {

using Indices = std::vector<Expr>;

CompiledNetwork compile_on_host(const std::vector<Value>& inputs,
                                const std::vector<Value>& outputs) {
  return compile(inputs, outputs, "network", Target::host(), {.use_cache = false, .verify = true});
}

Array ramp(const Shape& shape, float scale) {
  Array a = Array::empty(shape, kFloat32);
  for (std::int64_t i = 0; i < a.size(); ++i)
    a.mutable_data<float>()[i] = scale * static_cast<float>(i % 7 - 3);
  return a;
}

te::Tensor like(const Value& v, const char* name) {
  return te::placeholder(v->shape, v->dtype, name);
}

/// x -> f(x) for each element.
Value map(const char* name, const Value& x, const std::function<Expr(const Expr&)>& f) {
  const te::Tensor p = like(x, "x");
  const te::Tensor y =
      te::compute(p->shape, [&](const Indices& i) { return f(te::read(p, i)); }, name);
  return make_expression(name, {x}, {p}, {y})[0];
}

/// a[k, i] * b[k, j] summed over k.
Value transposed_product(const Value& a, const Value& b) {
  const te::Tensor p = like(a, "a"), q = like(b, "b");
  const IterVar k = te::reduce_axis(p->shape[0], "k");
  const te::Tensor c = te::compute(
      {p->shape[1], q->shape[1]},
      [&](const Indices& i) {
        return te::sum(te::read(p, {k.var, i[0]}) * te::read(q, {k.var, i[1]}), {k});
      },
      "product");
  return make_expression("product", {a, b}, {p, q}, {c})[0];
}

OperatorKind kind_of(const Value& v) { return operator_of(*v)->kind; }

TEST(ExpressionTest, the_structural_class_follows_from_the_expression) {
  const Value x = make_input({te::symbol("n"), imm(8)}, kFloat32, "x");
  const te::Tensor p = like(x, "x");
  const IterVar k = te::reduce_axis(p->shape[0], "k");
  const auto make = [&](std::vector<Expr> shape, const std::function<Expr(const Indices&)>& f) {
    return make_expression("op", {x}, {p}, {te::compute(std::move(shape), f, "y")})[0];
  };
  const auto at = [&](const Expr& i, const Expr& j) { return te::read(p, {i, j}); };
  EXPECT_EQ(
      kind_of(make(p->shape, [&](const Indices& i) { return at(i[0], i[1]) * at(i[0], i[1]); })),
      OperatorKind::kElementwise);
  EXPECT_EQ(kind_of(make({imm(8), p->shape[0]}, [&](const Indices& i) { return at(i[1], i[0]); })),
            OperatorKind::kMovement);
  EXPECT_EQ(kind_of(make(p->shape, [&](const Indices& i) { return -at(i[0], imm(7) - i[1]); })),
            OperatorKind::kGather);
  const Value columns =
      make({imm(8)}, [&](const Indices& i) { return te::sum(at(k.var, i[0]), {k}); });
  EXPECT_EQ(kind_of(columns), OperatorKind::kRow);
  EXPECT_FALSE(columns->expression->rereads[0]);
  const Value product = transposed_product(x, x);
  EXPECT_EQ(product->inputs.size(), 1U);  // one operand, read twice
  EXPECT_EQ(kind_of(product), OperatorKind::kContraction);
}

TEST(ExpressionTest, a_contraction_takes_its_epilogue_and_operands_of_sums_are_fused) {
  const Expr n = te::symbol("n");
  const Value a = make_input({n, imm(5)}, kFloat32, "a"),
              b = make_input({n, imm(70)}, kFloat32, "b");
  const auto clip = [](const Expr& x) {
    return te::select(gt(x, zero(x->dtype)), x, zero(x->dtype));
  };
  const Value y = map("clip", transposed_product(a, b), clip);
  const te::Tensor p = like(b, "b");
  const IterVar k = te::reduce_axis(n, "k");
  const te::Tensor sums = te::compute(
      {imm(70)}, [&](const Indices& i) { return te::sum(te::read(p, {k.var, i[0]}), {k}); },
      "sums");
  const Value z = make_expression("sums", {map("clip", b, clip)}, {p}, {sums})[0];
  const CompiledNetwork network = compile_on_host({a, b}, {y, z});
  ASSERT_EQ(network.calls.size(), 2U) << network.report();
  for (const std::int64_t rows : {0, 1, 9}) {
    const Array x = ramp({rows, 5}, 0.5F), w = ramp({rows, 70}, 0.25F);
    const std::vector<Array> out = network.executable.call(std::vector<Array>{x, w});
    for (std::int64_t i = 0; i < 5 * 70; ++i) {
      float sum = 0;
      for (std::int64_t r = 0; r < rows; ++r)
        sum = std::fma(x.data<float>()[r * 5 + i / 70], w.data<float>()[r * 70 + i % 70], sum);
      ASSERT_EQ(out[0].data<float>()[i], std::fmax(sum, 0.0F)) << i;
    }
    for (std::int64_t j = 0; j < 70; ++j) {
      float sum = 0;
      for (std::int64_t r = 0; r < rows; ++r) sum += std::fmax(w.data<float>()[r * 70 + j], 0.0F);
      ASSERT_EQ(out[1].data<float>()[j], sum) << j;
    }
  }
}

TEST(ExpressionTest, equal_expressions_are_one_value_and_one_kernel) {
  const Value x = make_input({imm(4), imm(8)}, kFloat32, "x");
  const auto twice = [](const Expr& e) { return e + e; };
  const std::vector<Value> shared =
      share_equal_values({map("first", x, twice), map("second", x, twice),
                          map("other", x, [](const Expr& e) { return e * e; })});
  EXPECT_EQ(shared[0], shared[1]);
  EXPECT_NE(shared[0], shared[2]);
  const Value y = make_input({imm(4), imm(8)}, kFloat32, "y");
  const CompiledNetwork network =
      compile_on_host({x, y}, {map("twice", x, twice), map("twice", y, twice)});
  EXPECT_EQ(network.calls.size(), 2U);
  EXPECT_EQ(network.num_compiled, 1);
}

TEST(ExpressionTest, what_several_outputs_need_is_computed_once) {
  const Value x = make_input({imm(4), imm(8)}, kFloat32, "x");
  const te::Tensor p = like(x, "x");
  const IterVar k = te::reduce_axis(imm(8), "k");
  const te::Tensor total = te::compute(
      {imm(4)}, [&](const Indices& i) { return te::sum(te::read(p, {i[0], k.var}), {k}); },
      "total");
  const auto with_total = [&](const char* name, BinaryOp op) {
    return te::compute(
        p->shape,
        [&](const Indices& i) { return te::binary(op, te::read(p, i), te::read(total, {i[0]})); },
        name);
  };
  const std::vector<Value> both = make_expression(
      "both", {x}, {p},
      {with_total("quotient", BinaryOp::kDiv), with_total("difference", BinaryOp::kSub)});
  ASSERT_EQ(both[0]->inputs.size(), 2U);
  EXPECT_EQ(both[0]->inputs[1], both[1]->inputs[1]);
}

TEST(ExpressionTest, symbols_of_placeholders_take_the_sizes_of_operands) {
  const Expr n = te::symbol("n");
  const te::Tensor p = te::placeholder({n, n}, kFloat32, "p");
  const te::Tensor y = te::compute(
      {n}, [&](const Indices& i) { return te::read(p, {i[0], n - 1 - i[0]}); }, "anti_diagonal");
  const Value x = make_input({imm(3), imm(3)}, kFloat32, "x");
  const Value v = make_expression("anti_diagonal", {x}, {p}, {y})[0];
  EXPECT_TRUE(is_int(v->shape[0], 3));
  EXPECT_TRUE(v->expression->symbols.empty());
  const Value wide = make_input({imm(3), imm(4)}, kFloat32, "wide");
  EXPECT_THROW(make_expression("anti_diagonal", {wide}, {p}, {y}), ShapeError);
  const Value whole = make_input({imm(3), imm(3)}, kInt32, "whole");
  EXPECT_THROW(make_expression("anti_diagonal", {whole}, {p}, {y}), DTypeError);
  EXPECT_THROW(make_expression("anti_diagonal", {}, {}, {y}), ExpressionError);
  EXPECT_THROW(make_expression("anti_diagonal", {x}, {p, p}, {y}), ExpressionError);
}

}  // namespace
}  // namespace tenon::graph
