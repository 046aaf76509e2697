// Convolutions of quantized elements: sums of integers, without the graph's convolution, which is
// of floats.

#include "graph/onnx/products.h"
#include "graph/onnx/tools.h"
#include "graph/onnx/window.h"
#include "tenon/ir/builder.h"
#include "tenon/te/expr.h"
#include "tenon/te/tensor.h"

namespace tenon::onnx {
namespace {

constexpr Support kDecomposed = Support::kDecomposed;

/// One for all, or one for each of the outputs (axis 0 of the weight): for axis `axis` of as many
/// as the weight has.
Value for_outputs(const NodeView& n, const Value& x, std::size_t axis, const Value& weight) {
  const std::size_t rank = weight->shape.size();
  if (x->shape.size() > 1) n.invalid("expected a scalar or a vector of scales and zero points");
  if (x->shape.empty() || is_int(x->shape[0], 1)) return reshape(x, {});
  if (rank < 2 || !graph::same_extent(x->shape[0], weight->shape[0]))
    n.invalid("expected one scale or zero point for each output channel");
  std::vector<Expr> shape(rank, imm(1));
  shape[axis] = x->shape[0];
  return reshape(x, shape);
}

/// x as int32, less its zero point.
Value centred(const NodeView& n, const Value& x, const Value& zero_point) {
  Value wide = cast_to(x, kInt32);
  if (!zero_point) return wide;
  const Value y = op("sub", {wide, cast_to(zero_point, kInt32)});
  if (!graph::same_shape(y->shape, x->shape)) n.invalid("a zero point does not fit its operand");
  return y;
}

/// The sums of int32 products, [n, oc, spatial...]. Padding counts as zeros.
Value integer_convolution(const NodeView& n, const Value& x, const Value& weight) {
  const std::size_t rank = spatial_rank(n) + 2;
  if (weight->shape.size() != rank)
    n.invalid(detail::concat("expected a weight of ", rank, " axes, got ", weight->shape.size()));
  std::vector<std::int64_t> sizes;
  for (const Expr& e : weight->shape) {
    const auto size = as_int(e);
    if (!size) n.unsupported("a weight whose shape is not fixed; give sizes= or shapes=");
    if (*size < 1) n.invalid("the weight is empty");
    sizes.push_back(*size);
  }
  const std::vector<std::int64_t> extents(sizes.begin() + 2, sizes.end());
  if (n.has_attr("kernel_shape") && n.ints_attr("kernel_shape") != extents)
    n.invalid("kernel_shape differs from the weight's shape");
  const std::int64_t groups = n.int_attr("group", 1);
  if (groups < 1 || sizes[0] % groups != 0)
    n.invalid(detail::concat("group = ", groups, " does not divide ", sizes[0], " channels"));
  if (!graph::same_extent(x->shape[1], imm(sizes[1]) * groups))
    n.invalid("the channels of the input are not those of the weight");
  const NodeWindow w = window_of(n, x->shape, extents);
  std::vector<Expr> shape{x->shape[0], imm(sizes[0])};
  for (std::size_t d = 0; d < w.rank(); ++d) {
    const Expr room = x->shape[d + 2] + (w.before[d] + w.after[d] - w.span(d));
    shape.push_back(floordiv(room, imm(w.strides[d])) + 1);
  }
  const std::int64_t outputs_of_group = sizes[0] / groups;
  return computed(
      "integer_conv", {x, weight}, shape,
      [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
        std::vector<IterVar> axes{te::reduce_axis(imm(sizes[1]), "c")};
        const Expr group = floordiv(at[1], imm(outputs_of_group));
        graph::Indices from{at[0], group * sizes[1] + axes[0].var}, tap{at[1], axes[0].var};
        Expr is_inside = bool_imm(true);
        for (std::size_t d = 0; d < w.rank(); ++d) {
          axes.push_back(te::reduce_axis(imm(extents[d]), "k" + std::to_string(d)));
          const Expr& k = axes.back().var;
          const Expr place = at[d + 2] * w.strides[d] + k * w.dilations[d] - w.before[d];
          from.push_back(place);
          tap.push_back(k);
          if (w.before[d] == 0 && w.after[d] == 0) continue;
          is_inside =
              logical_and(is_inside, logical_and(ge(place, imm(0)), lt(place, x->shape[d + 2])));
        }
        const Expr term = read(0, from) * read(1, tap);
        return te::sum(is_int(is_inside, 1) ? term : te::select(is_inside, term, zero(kInt32)),
                       axes);
      });
}

std::vector<Value> convert_conv_integer(const NodeView& n) {
  check_bytes(n, 0);
  check_bytes(n, 1);
  const Value x = centred(n, n.in(0), n.has(2) ? reshape(n.in(2), {}) : nullptr);
  const Value weight =
      centred(n, n.in(1), n.has(3) ? for_outputs(n, n.in(3), 0, n.in(1)) : nullptr);
  return {integer_convolution(n, x, weight)};
}

std::vector<Value> convert_qlinear_conv(const NodeView& n) {
  for (const std::size_t i : {0, 3, 7}) check_bytes(n, i);
  const Value& weight = n.in(3);
  const Value x = centred(n, n.in(0), reshape(n.in(2), {}));
  Value sum = integer_convolution(n, x, centred(n, weight, for_outputs(n, n.in(5), 0, weight)));
  if (n.has(8)) {
    if (n.in(8)->dtype != kInt32 || n.rank(8) != 1)
      n.invalid("the bias should be a vector of int32");
    sum = op("add", {sum, for_outputs(n, n.in(8), 1, weight)});
  }
  const Value scale =
      op("div", {op("mul", {reshape(n.in(1), {}), for_outputs(n, n.in(4), 1, weight)}),
                 reshape(n.in(6), {})});
  return {requantized(sum, cast_to(scale, kFloat32), reshape(n.in(7), {}))};
}

}  // namespace

std::vector<Conversion> quantized_convolution_conversions() {
  return {
      {"ConvInteger", 10, kDecomposed, convert_conv_integer, "", "Sub and a sum of products"},
      {"QLinearConv", 10, kDecomposed, convert_qlinear_conv, "",
       "Sub, a sum of products and QuantizeLinear"},
  };
}

}  // namespace tenon::onnx
