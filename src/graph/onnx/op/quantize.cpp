// Quantized elements: integers that stand for floats.

#include "graph/onnx/products.h"
#include "graph/onnx/tools.h"
#include "tenon/ir/builder.h"
#include "tenon/te/expr.h"

namespace tenon::onnx {
namespace {

constexpr Support kNative = Support::kNative;
constexpr Support kDecomposed = Support::kDecomposed;

double lowest(DType t) {
  return t.is_signed_int() ? -static_cast<double>(std::int64_t{1} << (t.bits - 1)) : 0;
}
double highest(DType t) {
  const int bits = t.is_signed_int() ? t.bits - 1 : t.bits;
  return static_cast<double>((std::int64_t{1} << bits) - 1);
}

/// round(x) + zero point within the dtype of the zero point: it is limited before the addition, so
/// that nothing wraps. `x` is a float of 32 or 64 bits.
Expr saturated(const Expr& x, const Expr& zero_point) {
  const DType t = zero_point->dtype;
  const Expr shift = cast(x->dtype, zero_point);
  const Expr low = const_like(x->dtype, lowest(t)) - shift;
  const Expr high = const_like(x->dtype, highest(t)) - shift;
  const Expr whole = min(max(unary(UnaryOp::kRound, x), low), high);
  return cast(t, cast(kInt32, whole) + cast(kInt32, zero_point));
}

bool is_narrow(DType t) { return t.is_int() && t.bits <= 16; }

/// Where an operand of scales or zero points is read for an element of `x`: one for all, one for
/// each place along an axis, or one for each block along it.
class Granularity {
 public:
  Granularity(const NodeView& n, std::size_t operand) : rank_(n.rank(0)) {
    const Value& scale = n.in(operand);
    own_rank_ = scale->shape.size();
    block_ = n.int_attr("block_size", 0);
    if (block_ < 0) n.invalid("block_size is negative");
    is_single_ = own_rank_ == 0 || (own_rank_ == 1 && is_int(scale->shape[0], 1) && block_ == 0);
    if (is_single_) return;
    axis_ = static_cast<std::size_t>(normal_axis(n, n.int_attr("axis", 1), rank_));
    if (block_ == 0) {
      const bool fits =
          own_rank_ == 1 && graph::same_extent(scale->shape[0], n.in(0)->shape[axis_]);
      if (!fits) n.invalid("expected one scale, or one for each place along 'axis'");
      return;
    }
    if (own_rank_ != rank_) n.invalid("scales of blocks should have as many axes as the input");
    for (std::size_t d = 0; d < rank_; ++d) {
      const Expr blocks = d == axis_ ? ceildiv(n.in(0)->shape[d], imm(block_)) : n.in(0)->shape[d];
      if (!graph::same_extent(scale->shape[d], blocks))
        n.invalid(detail::concat("the scales do not fit the blocks along axis ", d));
    }
  }

  graph::Indices place(const std::vector<Expr>& at) const {
    if (is_single_) return graph::Indices(own_rank_, imm(0));
    if (block_ == 0) return {at[axis_]};
    graph::Indices indices = at;
    indices[axis_] = floordiv(at[axis_], imm(block_));
    return indices;
  }

 private:
  std::size_t rank_, own_rank_ = 0, axis_ = 0;
  std::int64_t block_ = 0;
  bool is_single_ = false;
};

/// Scales and zero points are alike in shape.
void check_zero_point(const NodeView& n) {
  if (n.has(2) && !graph::same_shape(n.in(1)->shape, n.in(2)->shape))
    n.invalid("the zero point should have the shape of the scale");
}

std::vector<Value> convert_quantize(const NodeView& n) {
  const Value &x = n.in(0), &scale = n.in(1);
  check_zero_point(n);
  const bool says_dtype = n.has_attr("output_dtype") && n.int_attr("output_dtype") != 0;
  DType t = says_dtype ? n.dtype_attr("output_dtype") : DType::uint(8);
  if (n.has(2)) {
    if (says_dtype && n.in(2)->dtype != t) n.invalid("output_dtype is not that of the zero point");
    t = n.in(2)->dtype;
  }
  if (!is_narrow(t)) n.invalid("results should be integers of 8 or 16 bits, got " + to_string(t));
  const bool says_precision = n.has_attr("precision") && n.int_attr("precision") != 0;
  const DType precision = says_precision ? n.dtype_attr("precision") : scale->dtype;
  if (!precision.is_float()) n.invalid("the scale should be a float");
  const DType wide = precision == kFloat64 ? kFloat64 : kFloat32;
  const Granularity granularity(n, 1);
  std::vector<Value> operands{x, scale};
  if (n.has(2)) operands.push_back(n.in(2));
  return {computed("quantize", operands, x->shape,
                   [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                     const graph::Indices place = granularity.place(at);
                     const Expr quotient = cast(wide, read(0, at)) / cast(wide, read(1, place));
                     const Expr rounded = cast(wide, cast(precision, quotient));
                     return saturated(rounded, n.has(2) ? read(2, place) : zero(t));
                   })};
}

std::vector<Value> convert_dequantize(const NodeView& n) {
  const Value &x = n.in(0), &scale = n.in(1);
  check_zero_point(n);
  if (!x->dtype.is_int() || x->dtype.bits > 32) n.invalid("expected integers of 8 to 32 bits");
  if (n.has(2) && n.in(2)->dtype != x->dtype) n.invalid("the zero point has another dtype");
  const bool says_dtype = n.has_attr("output_dtype") && n.int_attr("output_dtype") != 0;
  const DType t = says_dtype ? n.dtype_attr("output_dtype") : scale->dtype;
  if (!t.is_float() || !scale->dtype.is_float()) n.invalid("the scale should be a float");
  const DType wide = t == kFloat64 || scale->dtype == kFloat64 ? kFloat64 : kFloat32;
  const Granularity granularity(n, 1);
  std::vector<Value> operands{x, scale};
  if (n.has(2)) operands.push_back(n.in(2));
  return {computed("dequantize", operands, x->shape,
                   [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                     const graph::Indices place = granularity.place(at);
                     Expr difference = cast(kInt64, read(0, at));
                     if (n.has(2)) difference = difference - cast(kInt64, read(2, place));
                     return cast(t, cast(wide, difference) * cast(wide, read(1, place)));
                   })};
}

/// The range of the input, 0 included, in 256 steps.
std::vector<Value> convert_dynamic_quantize(const NodeView& n) {
  const Value& x = n.in(0);
  if (x->dtype != kFloat32) n.invalid("expected float32");
  std::vector<std::int64_t> axes;
  for (std::size_t d = 0; d < x->shape.size(); ++d) axes.push_back(static_cast<std::int64_t>(d));
  const auto extreme = [&](const char* name) {
    return axes.empty() ? x : op(name, {x}, {{"axes", axes}});
  };
  const Value low = op("minimum", {extreme("min"), scalar(kFloat32, 0)});
  const Value high = op("maximum", {extreme("max"), scalar(kFloat32, 0)});
  const Value scale = pointwise("scale", {low, high}, [](const std::vector<Expr>& e) {
    return (e[1] - e[0]) / const_like(kFloat32, 255);
  });
  // A constant 0 has no range: it is the zero point itself.
  const Value zero_point = pointwise("zero_point", {low, scale}, [](const std::vector<Expr>& e) {
    const Expr steps = select(gt(e[1], zero(kFloat32)), -e[0] / e[1], zero(kFloat32));
    return saturated(steps, zero(DType::uint(8)));
  });
  const Value y = pointwise("quantize", {x, scale, zero_point}, [](const std::vector<Expr>& e) {
    const Expr steps = select(gt(e[1], zero(kFloat32)), e[0] / e[1], zero(kFloat32));
    return saturated(steps, e[2]);
  });
  return {y, scale, zero_point};
}

}  // namespace

void check_bytes(const NodeView& n, std::size_t i) {
  const DType t = n.in(i)->dtype;
  if (!t.is_int() || t.bits != 8)
    n.invalid(detail::concat("input ", i, " should be int8 or uint8, got ", to_string(t)));
}

Value requantized(const Value& x, const Value& scale, const Value& zero_point) {
  return pointwise("requantize", {x, scale, zero_point}, [](const std::vector<Expr>& e) {
    return saturated(cast(kFloat32, e[0]) * e[1], e[2]);
  });
}

std::vector<Conversion> quantize_conversions() {
  return {
      {"DequantizeLinear", 10, kNative, convert_dequantize},
      {"DynamicQuantizeLinear", 11, kDecomposed, convert_dynamic_quantize, "",
       "ReduceMin, ReduceMax and QuantizeLinear"},
      {"QuantizeLinear", 10, kNative, convert_quantize},
  };
}

}  // namespace tenon::onnx
