// Convolutions. The graph's are channels-last: what goes in and out is transposed, which
// choose_layouts removes between operators; constant weights are transposed here.

#include <algorithm>

#include "graph/onnx/tools.h"
#include "graph/onnx/window.h"
#include "tenon/ir/builder.h"

namespace tenon::onnx {
namespace {

constexpr Support kNative = Support::kNative;

/// A transposed weight; of a constant a constant.
Value transposed_weight(const Value& w, const std::vector<std::int64_t>& axes) {
  if (!w->is_constant()) return transpose(w, axes);
  const std::vector<int> order(axes.begin(), axes.end());
  return graph::make_constant(w->data.transpose(order), w->name);
}

/// The constant sizes of a weight of as many axes as the input has.
std::vector<std::int64_t> weight_sizes(const NodeView& n) {
  const std::size_t rank = n.rank(0);
  if (n.rank(1) != rank)
    n.invalid(detail::concat("expected a weight of ", rank, " axes, got ", n.rank(1)));
  std::vector<std::int64_t> sizes;
  for (const Expr& e : n.in(1)->shape) {
    const auto size = as_int(e);
    if (!size) n.unsupported("a weight whose shape is not fixed; give sizes= or shapes=");
    sizes.push_back(*size);
  }
  return sizes;
}

/// The window's extents, which kernel_shape repeats.
std::vector<std::int64_t> window_extents(const NodeView& n,
                                         const std::vector<std::int64_t>& weight) {
  const std::vector<std::int64_t> extents(weight.begin() + 2, weight.end());
  if (n.has_attr("kernel_shape") && n.ints_attr("kernel_shape") != extents)
    n.invalid("kernel_shape differs from the weight's shape");
  for (const std::int64_t e : extents) {
    if (e < 1) n.invalid("the weight has an empty window");
  }
  return extents;
}

/// x + bias along the last axis.
Value with_bias(const NodeView& n, const Value& x) {
  if (!n.has(2)) return x;
  const Value& bias = n.in(2);
  if (bias->shape.size() != 1 || !graph::same_extent(bias->shape[0], x->shape.back()))
    n.invalid("the bias should have one element for each output channel");
  return op("add", {x, bias});
}

std::int64_t groups_of(const NodeView& n, std::int64_t in_channels) {
  const std::int64_t groups = n.int_attr("group", 1);
  if (groups < 1 || in_channels % groups != 0)
    n.invalid(detail::concat("group = ", groups, " does not divide ", in_channels, " channels"));
  return groups;
}

std::vector<Value> convert_conv(const NodeView& n) {
  const std::size_t rank = spatial_rank(n) + 2;
  const std::vector<std::int64_t> weight = weight_sizes(n);
  const NodeWindow w = window_of(n, n.in(0)->shape, window_extents(n, weight));
  std::vector<std::int64_t> axes;  // [oc, ic, window...] to [window..., ic, oc]
  for (std::size_t d = 2; d < rank; ++d) axes.push_back(static_cast<std::int64_t>(d));
  axes.insert(axes.end(), {1, 0});
  const Value y = op("conv", {channels_last(n.in(0)), transposed_weight(n.in(1), axes)},
                     {{"strides", w.strides},
                      {"dilations", w.dilations},
                      {"padding", w.padding()},
                      {"groups", n.int_attr("group", 1)}});
  return {channels_first(with_bias(n, y))};
}

/// [ic, oc / groups, window...] as [window..., ic / groups, oc].
Value transposed_conv_weight(const Value& w, const std::vector<std::int64_t>& sizes,
                             std::int64_t groups) {
  const std::size_t rank = sizes.size();
  std::vector<Expr> split{imm(groups), imm(sizes[0] / groups), imm(sizes[1])};
  std::vector<std::int64_t> axes;
  std::vector<Expr> shape;
  for (std::size_t d = 2; d < rank; ++d) {
    split.push_back(imm(sizes[d]));
    axes.push_back(static_cast<std::int64_t>(d) + 1);
    shape.push_back(imm(sizes[d]));
  }
  axes.insert(axes.end(), {1, 0, 2});
  shape.insert(shape.end(), {imm(sizes[0] / groups), imm(sizes[1] * groups)});
  if (!w->is_constant()) return reshape(transpose(reshape(w, split), axes), shape);
  const auto numbers = [](const std::vector<Expr>& of) {
    std::vector<std::int64_t> all;
    for (const Expr& e : of) all.push_back(*as_int(e));
    return all;
  };
  const std::vector<int> order(axes.begin(), axes.end());
  const Array last = w->data.contiguous().reshape(numbers(split)).transpose(order).contiguous();
  return graph::make_constant(last.reshape(numbers(shape)), w->name);
}

/// The padding of a transposed convolution and what is added at the end of each axis, from
/// output_shape or auto_pad where these say so.
void settle_output(const NodeView& n, const std::vector<Expr>& shape, NodeWindow* w,
                   std::vector<std::int64_t>* more) {
  const std::size_t rank = w->rank();
  const std::string automatic = n.string_attr("auto_pad", "NOTSET");
  const bool is_same = automatic == "SAME_UPPER" || automatic == "SAME_LOWER";
  std::vector<std::int64_t> wanted;
  if (n.has_attr("output_shape")) {
    wanted = n.ints_attr("output_shape");
    // Some exporters write the batch and the channels as well.
    if (wanted.size() == rank + 2) wanted.erase(wanted.begin(), wanted.begin() + 2);
    if (wanted.size() != rank)
      n.invalid(detail::concat("output_shape should have ", rank, " numbers"));
  } else if (!is_same) {
    return;
  }
  for (std::size_t d = 0; d < rank; ++d) {
    const auto size = as_int(shape[d + 2]);
    std::int64_t total = 0;
    if (wanted.empty()) {
      // as many as strides: the sizes of both sides are alike but for the stride
      total = w->span(d) - w->strides[d] + (*more)[d];
    } else {
      if (!size) n.unsupported("output_shape for a size that is not fixed; give sizes=");
      if (*size > (std::int64_t{1} << 31))
        n.unsupported(detail::concat("windows over an axis of ", *size, " elements"));
      if (wanted[d] < 0 || wanted[d] > (std::int64_t{1} << 31))
        n.invalid(detail::concat("output_shape has a size ", wanted[d]));
      total = w->strides[d] * (*size - 1) + (*more)[d] + w->span(d) - wanted[d];
    }
    if (total < 0) {
      (*more)[d] -= total;
      total = 0;
    }
    w->before[d] = automatic == "SAME_UPPER" ? total / 2 : total - total / 2;
    w->after[d] = total - w->before[d];
  }
}

std::vector<Value> convert_conv_transpose(const NodeView& n) {
  const std::size_t rank = spatial_rank(n);
  const std::vector<std::int64_t> weight = weight_sizes(n);
  const std::int64_t groups = groups_of(n, weight[0]);
  if (weight[1] > (std::int64_t{1} << 31) / groups) n.unsupported("so many output channels");
  const auto channels = as_int(n.in(0)->shape[1]);
  if (!channels) n.unsupported("a number of channels that is not fixed; give sizes= or shapes=");
  if (*channels != weight[0])
    n.invalid(
        detail::concat("the weight has ", weight[0], " input channels, the input ", *channels));
  NodeWindow w;
  w.extents = window_extents(n, weight);
  w.strides = spatial_attr(n, "strides", rank, 1, 1);
  w.dilations = spatial_attr(n, "dilations", rank, 1, 1);
  const std::vector<std::int64_t> pads = spatial_attr(n, "pads", 2 * rank, 0, 0);
  const auto middle = pads.begin() + static_cast<std::ptrdiff_t>(rank);
  w.before.assign(pads.begin(), middle);
  w.after.assign(middle, pads.end());
  std::vector<std::int64_t> more = spatial_attr(n, "output_padding", rank, 0, 0);
  settle_output(n, n.in(0)->shape, &w, &more);
  for (std::size_t d = 0; d < rank; ++d) {
    if (more[d] >= std::max(w.strides[d], w.dilations[d]))
      n.unsupported("an output that is larger than the windows reach by a stride or more");
  }
  const Value y = op("conv_transpose",
                     {channels_last(n.in(0)), transposed_conv_weight(n.in(1), weight, groups)},
                     {{"strides", w.strides},
                      {"dilations", w.dilations},
                      {"padding", w.padding()},
                      {"output_padding", more},
                      {"groups", groups}});
  return {channels_first(with_bias(n, y))};
}

/// A convolution of each channel that reads backwards only, with what was read before as its state.
std::vector<Value> convert_causal_conv(const NodeView& n) {
  if (n.rank(0) != 3) n.invalid("expected an input [batch, channels, length]");
  const Value& x = n.in(0);
  const std::vector<std::int64_t> weight = weight_sizes(n);
  if (weight[1] != 1 || weight[2] < 1 || !graph::same_extent(x->shape[1], imm(weight[0])))
    n.invalid("expected a weight [channels, 1, k]");
  const std::string activation = n.string_attr("activation", "none");
  if (activation != "none" && activation != "silu" && activation != "swish")
    n.invalid("activation is '" + activation + "'");
  const Expr before = imm(weight[2] - 1);
  const std::vector<Expr> shape{x->shape[0], x->shape[1], before};
  Value past = n.maybe(3);
  if (!past) past = broadcast(scalar(x->dtype, 0), shape);
  if (!graph::same_shape(past->shape, shape) || past->dtype != x->dtype)
    n.invalid("past_state should be [batch, channels, k - 1], of the input's dtype");
  const Value padded = weight[2] == 1 ? x : op("concat", {past, x}, {{"axis", std::int64_t{2}}});
  const Value y = op("conv", {channels_last(padded), transposed_weight(n.in(1), {2, 1, 0})},
                     {{"groups", weight[0]}});
  Value result = channels_first(with_bias(n, y));
  if (activation != "none") {
    const Value wide = cast_to(result, sum_dtype(x->dtype));
    result = cast_to(op("mul", {wide, op("sigmoid", {wide})}), x->dtype);
  }
  const std::vector<Expr> begins{imm(0), imm(0), x->shape[2]};
  return {result, op("slice", {padded}, {{"begins", begins}, {"extents", shape}})};
}

}  // namespace

std::vector<Conversion> convolution_conversions() {
  return {
      {"CausalConvWithState", 27, Support::kDecomposed, convert_causal_conv, "",
       "concat, convolution, slice"},
      {"Conv", 1, kNative, convert_conv},
      {"ConvTranspose", 1, kNative, convert_conv_transpose},
  };
}

}  // namespace tenon::onnx
