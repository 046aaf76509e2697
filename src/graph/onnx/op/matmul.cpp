// Products of matrices.

#include <algorithm>

#include "graph/onnx/products.h"
#include "graph/onnx/tools.h"
#include "tenon/ir/builder.h"
#include "tenon/te/tensor.h"

namespace tenon::onnx {
namespace {

constexpr Support kNative = Support::kNative;
constexpr Support kDecomposed = Support::kDecomposed;

void check_sizes(const NodeView& n, const Expr& a, const Expr& b) {
  if (!graph::same_extent(a, b)) n.invalid("the sizes that are multiplied and summed differ");
}

/// Of integers: the graph's products are of floats.
Value integer_product(const Value& a, const Value& b) {
  std::vector<std::vector<Expr>> leads;
  for (const Value& x : {a, b}) leads.emplace_back(x->shape.begin(), x->shape.end() - 2);
  std::vector<Expr> shape = broadcast_shape(leads);
  const std::size_t lead = shape.size();
  shape.push_back(a->shape[a->shape.size() - 2]);
  shape.push_back(b->shape.back());
  return computed(
      "matmul", {a, b}, shape, [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
        const IterVar k = te::reduce_axis(a->shape.back(), "k");
        const auto place = [&](const Value& x, const Expr& row, const Expr& column) {
          graph::Indices indices;
          const std::size_t own = x->shape.size() - 2;
          for (std::size_t d = 0; d < own; ++d) {
            const std::size_t to = lead - own + d;
            const bool is_repeated = is_int(x->shape[d], 1) && !is_int(shape[to], 1);
            indices.push_back(is_repeated ? imm(0) : at[to]);
          }
          indices.push_back(row);
          indices.push_back(column);
          return indices;
        };
        return te::sum(read(0, place(a, at[lead], k.var)) * read(1, place(b, k.var, at[lead + 1])),
                       {k});
      });
}

}  // namespace

Value matrix_product(const NodeView& n, Value a, Value b) {
  if (a->shape.empty() || b->shape.empty()) n.invalid("a scalar is no operand of a product");
  if (a->dtype != b->dtype) n.invalid("the operands have different dtypes");
  if (a->dtype.is_bool()) n.invalid("expected numbers, got bool");
  const bool is_row = a->shape.size() == 1, is_column = b->shape.size() == 1;
  if (is_row) a = reshape(a, {imm(1), a->shape[0]});
  if (is_column) b = reshape(b, {b->shape[0], imm(1)});
  check_sizes(n, a->shape.back(), b->shape[b->shape.size() - 2]);
  Value y;
  if (a->dtype.is_float()) {
    const auto with_rank = [](const Value& x, std::size_t rank) {
      std::vector<Expr> shape = x->shape;
      if (rank > shape.size()) shape.insert(shape.begin(), rank - shape.size(), imm(1));
      return reshape(x, shape);
    };
    if (b->shape.size() > 2) {
      const std::size_t rank = std::max(a->shape.size(), b->shape.size());
      a = with_rank(a, rank);
      b = with_rank(b, rank);
    }
    y = op("matmul", {a, b});
  } else {
    y = integer_product(a, b);
  }
  std::vector<Expr> shape = y->shape;
  if (is_column) shape.pop_back();
  if (is_row) shape.erase(shape.end() - (is_column ? 1 : 2));
  return reshape(y, shape);
}

Value transposed_matrix(const Value& x) { return transpose(x, {1, 0}); }

namespace {

std::vector<Value> convert_matmul(const NodeView& n) {
  return {matrix_product(n, n.in(0), n.in(1))};
}

/// x * factor, in float64 for integers.
Value scaled(const Value& x, double factor) {
  if (factor == 1) return x;
  if (x->dtype.is_float()) return op("mul", {x, scalar(x->dtype, factor)});
  return cast_to(op("mul", {cast_to(x, kFloat64), scalar(kFloat64, factor)}), x->dtype);
}

std::vector<Value> convert_gemm(const NodeView& n) {
  Value a = n.in(0);
  const Value& b = n.in(1);
  if (a->shape.size() != 2 || b->shape.size() != 2) n.invalid("expected two matrices");
  if (n.int_attr("transA", 0) != 0) a = transposed_matrix(a);
  const bool is_transposed = n.int_attr("transB", 0) != 0;
  Value y;
  if (is_transposed && a->dtype.is_float() && a->dtype == b->dtype) {
    check_sizes(n, a->shape[1], b->shape[1]);
    y = op("linear", {a, b});
  } else {
    y = matrix_product(n, a, is_transposed ? transposed_matrix(b) : b);
  }
  y = scaled(y, n.float_attr("alpha", 1));
  const double beta = n.float_attr("beta", 1);
  if (!n.has(2) || beta == 0) return {y};
  const Value& c = n.in(2);
  if (c->shape.size() > 2) n.invalid("the third operand has more than two axes");
  if (c->dtype != y->dtype) n.invalid("the third operand has another dtype");
  const Value sum = op("add", {y, scaled(c, beta)});
  if (!graph::same_shape(sum->shape, y->shape))
    n.invalid("the third operand does not fit the product");
  return {sum};
}

/// An operand as int32, less its zero point, which holds for all, or one for each row or column.
Value centred(const NodeView& n, std::size_t i, std::size_t zero_point, bool is_row) {
  check_bytes(n, i);
  Value x = cast_to(n.in(i), kInt32);
  if (!n.has(zero_point)) return x;
  Value zero = cast_to(n.in(zero_point), kInt32);
  if (zero->shape.size() == 1) {
    const bool is_one = is_int(zero->shape[0], 1);
    if (is_one) {
      zero = reshape(zero, {});
    } else if (is_row) {
      zero = reshape(zero, {zero->shape[0], imm(1)});
    }
  }
  const Value y = op("sub", {x, zero});
  if (!graph::same_shape(y->shape, x->shape)) n.invalid("a zero point does not fit its operand");
  return y;
}

std::vector<Value> convert_matmul_integer(const NodeView& n) {
  return {matrix_product(n, centred(n, 0, 2, true), centred(n, 1, 3, false))};
}

/// A scale as a column for rows.
Value row_scale(const Value& scale) {
  if (scale->shape.size() != 1 || is_int(scale->shape[0], 1)) return scale;
  return reshape(scale, {scale->shape[0], imm(1)});
}

std::vector<Value> convert_qlinear_matmul(const NodeView& n) {
  check_bytes(n, 7);
  const Value product = matrix_product(n, centred(n, 0, 2, true), centred(n, 3, 5, false));
  const Value scale =
      op("div", {op("mul", {cast_to(row_scale(n.in(1)), kFloat32), cast_to(n.in(4), kFloat32)}),
                 cast_to(row_scale(n.in(6)), kFloat32)});
  return {requantized(product, scale, row_scale(n.in(7)))};
}

}  // namespace

std::vector<Conversion> matmul_conversions() {
  return {
      {"Gemm", 1, kNative, convert_gemm},
      {"MatMul", 1, kNative, convert_matmul},
      {"MatMulInteger", 10, kDecomposed, convert_matmul_integer, "", "Sub and MatMul"},
      {"QLinearMatMul", 10, kDecomposed, convert_qlinear_matmul, "",
       "Sub, MatMul and QuantizeLinear"},
  };
}

}  // namespace tenon::onnx
