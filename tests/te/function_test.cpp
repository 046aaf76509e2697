#include <gtest/gtest.h>

#include <functional>

#include "te/expressions.h"
#include "tenon/ir/print.h"
#include "tenon/ir/verify.h"
#include "tenon/ir/visit.h"

namespace tenon::te {
namespace {

void expect_holds(const Function& f, const std::string& part) {
  const std::string text = print(f);
  EXPECT_NE(text.find(part), std::string::npos) << "expected:\n" << part << "\nin:\n" << text;
}

bool holds(const Function& f, const std::string& part) {
  return print(f).find(part) != std::string::npos;
}

TEST(TeFunctionTest, matmul_is_one_block_of_fused_products) {
  EXPECT_EQ(print(matmul(imm(2), imm(3), imm(4))),
            R"(function matmul(A: float32[2, 4], B: float32[4, 3]) -> (C: float32[2, 3])
  for i in 0..2
    for j in 0..3
      for k in 0..4
        block C {reduction_order="chain"}
          spatial vi in 0..2 = i
          spatial vj in 0..3 = j
          reduction vk in 0..4 = k
          reads A[vi, vk], B[vk, vj], C[vi, vj]
          writes C[vi, vj]
          init
            C[vi, vj] = 0.0
          C[vi, vj] = fma(A[vi, vk], B[vk, vj], C[vi, vj])
)");
}

TEST(TeFunctionTest, placeholders_without_a_computation_stay_parameters) {
  Tensor a = placeholder({imm(4)}, kFloat32, "A"), b = placeholder({imm(4)}, kFloat32, "B");
  Tensor c = compute({imm(4)}, [&](const Indices& v) { return read(a, v); }, "C");
  const Function f = function({a, b}, {c}, "first");
  EXPECT_EQ(f->inputs.size(), 2U);
  EXPECT_EQ(f->outputs.size(), 1U);
  EXPECT_NO_THROW(verify(f));
}

TEST(TeFunctionTest, intermediates_are_allocated_and_names_made_unique) {
  Tensor a = placeholder({imm(4)}, kFloat32, "A");
  const auto twice = [&](const Tensor& t) {
    return compute({imm(4)}, [&](const Indices& v) { return read(t, v) + read(t, v); }, "T");
  };
  const Function f = function({a}, {twice(twice(twice(a)))}, "chain");
  expect_holds(f, "alloc T: float32[4]");
  expect_holds(f, "block T_1\n");
  expect_holds(f, "block T_2\n");
}

TEST(TeFunctionTest, tensors_that_no_output_needs_are_left_out) {
  Tensor a = placeholder({imm(4)}, kFloat32, "A");
  Tensor unused = compute({imm(4)}, [&](const Indices& v) { return read(a, v); }, "unused");
  Tensor c = compute({imm(4)}, [&](const Indices& v) { return read(a, v); }, "C");
  EXPECT_FALSE(holds(function({a}, {c}, "f"), "unused"));
}

TEST(TeFunctionTest, reduction_inside_an_expression_is_a_block_of_its_own) {
  Tensor a = placeholder({imm(4), imm(8)}, kFloat32, "A");
  IterVar k = reduce_axis(imm(8), "k");
  Tensor c = compute(
      {imm(4)},
      [&](const Indices& v) {
        return sum(read(a, {v[0], k.var}), {k}) * float_imm(kFloat32, 0.125);
      },
      "C");
  const Function f = function({a}, {c}, "mean");
  expect_holds(f, "alloc C_sum: float32[4]");
  expect_holds(f, "C_sum[vi] = C_sum[vi] + A[vi, vk]");
  expect_holds(f, "C[vi] = C_sum[vi] * 0.125\n");
}

TEST(TeFunctionTest, reduction_inside_a_reduction_is_a_block_over_both) {
  Tensor a = placeholder({imm(3), imm(4), imm(5)}, kFloat32, "A");
  IterVar k = reduce_axis(imm(4), "k"), l = reduce_axis(imm(5), "l");
  Tensor c = compute(
      {imm(3)}, [&](const Indices& v) { return sum(max(read(a, {v[0], k.var, l.var}), {l}), {k}); },
      "C");
  const Function f = function({a}, {c}, "nested");
  expect_holds(f, "alloc C_max: float32[3, 4]");
  expect_holds(f, "C[vi] = C[vi] + C_max[vi, vk]");
}

TEST(TeFunctionTest, narrow_floats_accumulate_in_float32) {
  const Function f = matmul(imm(2), imm(3), imm(4), DType::bfloat16());
  expect_holds(f, "alloc C_sum: float32[2, 3]");
  expect_holds(f, "C_sum[vi, vj] = fma(float32(A[vi, vk]), float32(B[vk, vj]), C_sum[vi, vj])");
  expect_holds(f, "C[vi, vj] = bfloat16(C_sum[vi, vj])");
}

TEST(TeFunctionTest, narrow_arithmetic_is_rounded_once) {
  Tensor a = placeholder({imm(4)}, DType::float_(16), "A");
  Tensor c = compute(
      {imm(4)}, [&](const Indices& v) { return read(a, v) * read(a, v) + read(a, v); }, "C");
  expect_holds(function({a}, {c}, "f"),
               "C[vi] = float16(float32(A[vi]) * float32(A[vi]) + float32(A[vi]))");
}

TEST(TeFunctionTest, small_integers_accumulate_in_int32) {
  Tensor a = placeholder({imm(9)}, DType::int_(8), "A");
  IterVar k = reduce_axis(imm(9), "k");
  Tensor c = compute({}, [&](const Indices&) { return sum(read(a, {k.var}), {k}); }, "C");
  const Function f = function({a}, {c}, "f");
  expect_holds(f, "alloc C_sum: int32[]");
  expect_holds(f, "C[] = int8(C_sum[])");
}

TEST(TeFunctionTest, dtype_of_a_sum_is_its_accumulator) {
  Tensor a = placeholder({imm(9)}, kInt32, "A");
  IterVar k = reduce_axis(imm(9), "k");
  Tensor c =
      compute({}, [&](const Indices&) { return sum(read(a, {k.var}), {k}, nullptr, kInt64); }, "C");
  expect_holds(function({a}, {c}, "f"), "C[] = C[] + int64(A[vk])");
}

TEST(TeFunctionTest, skipped_terms_leave_the_accumulator) {
  Tensor a = placeholder({imm(9)}, kFloat32, "A");
  IterVar k = reduce_axis(imm(9), "k");
  Tensor c = compute(
      {},
      [&](const Indices&) {
        const Expr x = read(a, {k.var});
        return sum(x * x, {k}, lt(k.var, imm(5)));
      },
      "C");
  expect_holds(function({a}, {c}, "f"), "select(vk < 5, fma(A[vk], A[vk], C[]), C[])");
}

TEST(TeFunctionTest, only_products_are_fused) {
  Tensor a = placeholder({imm(9)}, kFloat32, "A");
  IterVar k = reduce_axis(imm(9), "k");
  Tensor c = compute(
      {},
      [&](const Indices&) {
        const Expr x = read(a, {k.var});
        return sum(x * x + x, {k});
      },
      "C");
  EXPECT_FALSE(holds(function({a}, {c}, "f"), "fma"));
}

// Design 3a (b).
TEST(TeReductionOrderTest, rows_are_sums_along_the_last_index_of_every_operand) {
  const auto is_row = [](const Function& f) { return holds(f, "\"row\""); };
  EXPECT_FALSE(is_row(matmul(imm(4), imm(5), imm(6))));
  EXPECT_FALSE(is_row(matmul(imm(4), imm(5), imm(6), kFloat32, true)))
      << "two operands with a spatial axis each";
  EXPECT_TRUE(is_row(sum_of_matrix(imm(4), imm(5), true)));
  EXPECT_FALSE(is_row(sum_of_matrix(imm(4), imm(5), false)));
}

TEST(TeReductionOrderTest, matrix_times_vector_is_a_row) {
  Tensor a = placeholder({imm(4), imm(8)}, kFloat32, "A"), x = placeholder({imm(8)}, kFloat32, "x");
  IterVar k = reduce_axis(imm(8), "k");
  Tensor c = compute(
      {imm(4)},
      [&](const Indices& v) { return sum(read(a, {v[0], k.var}) * read(x, {k.var}), {k}); }, "C");
  expect_holds(function({a, x}, {c}, "matvec"), "\"row\"");
}

TEST(TeReductionOrderTest, vector_times_matrix_is_a_chain) {
  Tensor a = placeholder({imm(8), imm(4)}, kFloat32, "A"), x = placeholder({imm(8)}, kFloat32, "x");
  IterVar k = reduce_axis(imm(8), "k");
  Tensor c = compute(
      {imm(4)},
      [&](const Indices& v) { return sum(read(x, {k.var}) * read(a, {k.var, v[0]}), {k}); }, "C");
  expect_holds(function({a, x}, {c}, "vecmat"), "\"chain\"");
}

TEST(TeReductionOrderTest, convolution_is_a_chain) {
  Tensor a = placeholder({imm(10), imm(3)}, kFloat32, "A");
  Tensor w = placeholder({imm(3), imm(3), imm(4)}, kFloat32, "W");
  IterVar t = reduce_axis(imm(3), "t"), c = reduce_axis(imm(3), "c");
  Tensor o = compute(
      {imm(8), imm(4)},
      [&](const Indices& v) {
        return sum(read(a, {v[0] + t.var, c.var}) * read(w, {t.var, c.var, v[1]}), {t, c});
      },
      "O");
  expect_holds(function({a, w}, {o}, "conv"), "\"chain\"");
}

/// The sum of `term` over axes k (extent 8) and, if `two_axes`, before it h (extent 3).
Function sum_over(const std::vector<Tensor>& inputs, bool two_axes,
                  const std::function<Expr(const Indices&, const Expr&, const Expr&)>& term,
                  const std::function<Expr(const Indices&, const Expr&)>& where = {}) {
  IterVar h = reduce_axis(imm(3), "h"), k = reduce_axis(imm(8), "k");
  const std::vector<IterVar> axes = two_axes ? std::vector<IterVar>{h, k} : std::vector<IterVar>{k};
  Tensor c = compute(
      {imm(4), imm(5)},
      [&](const Indices& v) {
        return sum(term(v, h.var, k.var), axes, where ? where(v, k.var) : nullptr);
      },
      "C");
  return function(inputs, {c}, "f");
}

TEST(TeReductionOrderTest, the_innermost_axis_alone_is_the_last_index) {
  Tensor a = placeholder({imm(4), imm(9)}, kFloat32, "A"), b = placeholder({imm(9)}, kFloat32, "B");
  const auto order_of = [&](const std::function<Expr(const Indices&, const Expr&)>& term) {
    return sum_over({a, b}, false,
                    [&](const Indices& v, const Expr&, const Expr& k) { return term(v, k); });
  };
  const auto last_plus = [&](const Indices& v, const Expr& k) {
    return read(a, {v[0], k + imm(1)}) * read(b, {imm(0)});
  };
  expect_holds(order_of(last_plus), "\"chain\"");
  const auto uses_no_axis = [&](const Indices& v, const Expr&) {
    return read(a, {v[0], v[1]}) * read(b, {imm(0)});
  };
  expect_holds(order_of(uses_no_axis), "\"chain\"");
  const auto beside_a_row = [&](const Indices& v, const Expr& k) {
    return read(a, {v[0], k}) + read(b, {imm(0)});
  };
  expect_holds(order_of(beside_a_row), "\"row\"");
}

TEST(TeReductionOrderTest, operands_with_a_spatial_axis_each_make_a_chain) {
  Tensor a = placeholder({imm(4), imm(8)}, kFloat32, "A"), b = placeholder({imm(5)}, kFloat32, "B");
  Tensor m = placeholder({imm(4)}, kFloat32, "M");
  const auto with = [&](const Tensor& t, std::size_t axis) {
    return sum_over({a, b, m}, false, [&](const Indices& v, const Expr&, const Expr& k) {
      return read(a, {v[0], k}) * read(t, {v[axis]});
    });
  };
  expect_holds(with(b, 1), "\"chain\"");  // A has v0, B has v1, B without a reduction axis
  expect_holds(with(m, 0), "\"row\"");
}

TEST(TeReductionOrderTest, a_condition_counts_like_a_select) {
  Tensor a = placeholder({imm(4), imm(8)}, kFloat32, "A");
  Tensor m = placeholder({imm(8), imm(4)}, kFloat32, "M");
  const auto term = [&](const Indices& v, const Expr&, const Expr& k) {
    return read(a, {v[0], k});
  };
  const auto condition = [&](const Indices& v, const Expr& k) {
    return gt(read(m, {k, v[0]}), float_imm(kFloat32, 0));
  };
  const auto selected = [&](const Indices& v, const Expr& h, const Expr& k) {
    return te::select(condition(v, k), term(v, h, k), float_imm(kFloat32, 0));
  };
  expect_holds(sum_over({a, m}, false, term, condition), "\"chain\"");
  expect_holds(sum_over({a, m}, false, selected), "\"chain\"");
}

TEST(TeReductionOrderTest, rows_say_how_many_axes_trail) {
  Tensor a = placeholder({imm(4), imm(3), imm(8)}, kFloat32, "A");
  Tensor t = placeholder({imm(3), imm(4), imm(8)}, kFloat32, "T");
  Tensor w = placeholder({imm(8)}, kFloat32, "W");
  const auto read_a = [&](const Indices& v, const Expr& h, const Expr& k) {
    return read(a, {v[0], h, k});
  };
  expect_holds(sum_over({a}, true, read_a), "row_axes=2");
  const auto split = [&](const Indices& v, const Expr& h, const Expr& k) {
    return read(t, {h, v[0], k});
  };
  EXPECT_FALSE(holds(sum_over({t}, true, split), "row_axes"));
  expect_holds(sum_over({t}, true, split), "\"row\"");
  const auto weighted = [&](const Indices& v, const Expr& h, const Expr& k) {
    return read(a, {v[0], h, k}) * read(w, {k});
  };
  EXPECT_FALSE(holds(sum_over({a, w}, true, weighted), "row_axes"));
}

TEST(TeReductionOrderTest, orders_that_change_no_bit_are_not_recorded) {
  Tensor a = placeholder({imm(4), imm(8)}, kFloat32, "A");
  IterVar k = reduce_axis(imm(8), "k");
  Tensor c =
      compute({imm(4)}, [&](const Indices& v) { return max(read(a, {v[0], k.var}), {k}); }, "C");
  EXPECT_FALSE(holds(function({a}, {c}, "f"), "reduction_order"));
}

TEST(TeFunctionTest, gather_is_checked_and_numbered) {
  Tensor table = placeholder({imm(10), imm(4)}, kFloat32, "table");
  Tensor ids = placeholder({imm(3)}, kInt32, "ids");
  Tensor c = compute(
      {imm(3), imm(4)}, [&](const Indices& v) { return read(table, {read(ids, {v[0]}), v[1]}); },
      "C");
  const Function f = function({table, ids}, {c}, "gather");
  expect_holds(f, "checked_index(int64(ids[vi]), 10, 0)");
  ASSERT_EQ(f->attrs.count("index_site_0"), 1U);
  EXPECT_EQ(std::get<std::string>(f->attrs.at("index_site_0")).substr(0, 8), "table\n0\n");
  const auto* l = [&] {
    const LoadNode* found = nullptr;
    post_order_visit(f->body, [&](const Node& n) {
      if (n.kind == NodeKind::kLoad && static_cast<const LoadNode&>(n).buffer->name == "table")
        found = static_cast<const LoadNode*>(&n);
    });
    return found;
  }();
  ASSERT_NE(l, nullptr);
  EXPECT_TRUE(l->predicate) << "nothing is read through an index out of range";
}

TEST(TeFunctionTest, symbols_come_from_the_inputs_in_order_with_their_ranges) {
  const Expr m = symbol("m", 1, 64, 8), n = symbol("n");
  const Function f = matmul(m, imm(4), n);
  ASSERT_EQ(f->symbols.size(), 2U);
  EXPECT_TRUE(f->symbols[0].var.same_as(m));
  EXPECT_EQ(f->symbols[0].min, 1);
  EXPECT_EQ(f->symbols[0].max, 64);
  EXPECT_EQ(f->symbols[0].multiple_of, 8);
  EXPECT_TRUE(f->symbols[1].var.same_as(n));
  EXPECT_EQ(f->symbols[1].max, std::nullopt);
}

TEST(TeFunctionTest, operands_are_promoted) {
  Tensor a = placeholder({imm(4)}, kInt32, "A"), b = placeholder({imm(4)}, kInt64, "B");
  Tensor c = compute(
      {imm(4)},
      [&](const Indices& v) { return te::binary(BinaryOp::kAdd, read(a, v), read(b, v)); }, "C");
  EXPECT_EQ(c->dtype, kInt64);
  expect_holds(function({a, b}, {c}, "f"), "int64(A[vi]) + B[vi]");
}

}  // namespace
}  // namespace tenon::te
