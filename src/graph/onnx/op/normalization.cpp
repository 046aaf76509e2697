// Normalisations. Sums are computed in float32 for floats of 16 bits.

#include <algorithm>

#include "graph/onnx/tools.h"
#include "graph/onnx/window.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/simplify.h"
#include "tenon/te/expr.h"
#include "tenon/te/tensor.h"

namespace tenon::onnx {
namespace {

constexpr Support kNative = Support::kNative;
constexpr Support kDecomposed = Support::kDecomposed;

void check_float(const NodeView& n) {
  if (!n.in(0)->dtype.is_float()) n.invalid("expected floats, got " + to_string(n.in(0)->dtype));
}

double epsilon(const NodeView& n) { return n.float_attr("epsilon", 1e-5F); }

/// Operand `i`, one element for each channel, of that dtype.
Value of_channels(const NodeView& n, std::size_t i, const Expr& channels, DType dtype) {
  const Value& p = n.in(i);
  if (p->shape.size() != 1 || !graph::same_extent(p->shape[0], channels))
    n.invalid(detail::concat("input ", i, " should have one element for each channel"));
  if (!p->dtype.is_float()) n.invalid(detail::concat("input ", i, " should be floats"));
  return cast_to(p, dtype);
}

/// A vector over channels as [c, 1...], which is broadcast over [n, c, spatial...].
Value over_maps(const Value& vector, std::size_t rank) {
  std::vector<Expr> shape(rank - 1, imm(1));
  shape[0] = vector->shape[0];
  return reshape(vector, shape);
}

/// The mean of squares of what is left when the mean is taken away; axes stay with size 1.
Value variance_of(const Value& x, const Value& mean, const std::vector<std::int64_t>& axes) {
  const Value centred = op("sub", {x, mean});
  return reduce("mean", op("mul", {centred, centred}), axes, true);
}

// --- over batches

std::vector<Value> batch_norm(const NodeView& n, bool trains) {
  check_float(n);
  Value x = n.in(0);
  const std::vector<Expr> shape = x->shape;
  if (shape.empty()) n.invalid("expected an input [n, c, ...], got a scalar");
  if (shape.size() == 1) x = reshape(x, {shape[0], imm(1)});
  x = channels_last(cast_to(x, sum_dtype(x->dtype)));
  const DType dtype = x->dtype;
  std::vector<Value> p;  // scale, bias, mean, variance
  for (std::size_t i = 1; i < 5; ++i) p.push_back(of_channels(n, i, x->shape.back(), dtype));
  const double eps = epsilon(n);
  std::vector<Value> results;
  if (trains) {
    std::vector<std::int64_t> axes;
    for (std::size_t d = 0; d + 1 < x->shape.size(); ++d)
      axes.push_back(static_cast<std::int64_t>(d));
    const Value mean = reduce("mean", x, axes, false);
    const Value centred = op("sub", {x, mean});
    const Value variance = reduce("mean", op("mul", {centred, centred}), axes, false);
    const double momentum = n.float_attr("momentum", 0.9F);
    const auto mixed = [&](const Value& old, const Value& now, const Value& like) {
      const Value kept = op("mul", {old, scalar(dtype, momentum)});
      return cast_to(op("add", {kept, op("mul", {now, scalar(dtype, 1 - momentum)})}), like->dtype);
    };
    results = {mixed(p[2], mean, n.in(3)), mixed(p[3], variance, n.in(4))};
    p[2] = mean;
    p[3] = variance;
  }
  Value y = op("batch_norm", {x, p[2], p[3], p[0], p[1]}, {{"eps", eps}});
  y = reshape(cast_to(channels_first(y), n.in(0)->dtype), shape);
  results.insert(results.begin(), y);
  return results;
}

std::vector<Value> convert_batch_norm(const NodeView& n) {
  const bool trains = n.int_attr("training_mode", 0) != 0;
  if (!trains && (n.wants(1) || n.wants(2))) n.invalid("without training_mode there is one output");
  return batch_norm(n, trains);
}

/// Before opset 14 a node trains when it has more outputs than one.
std::vector<Value> convert_old_batch_norm(const NodeView& n) {
  for (std::size_t i = 1; i < n.num_outputs(); ++i) {
    if (n.wants(i)) n.unsupported("training before opset 14");
  }
  if (n.int_attr("spatial", 1) == 0) n.unsupported("statistics of each pixel (spatial = 0)");
  return batch_norm(n, false);
}

// --- over channels and groups

/// Each of `groups` parts of the channels of each image with mean 0 and variance 1, in the dtype
/// that sums have.
Value normal_groups(const NodeView& n, const Expr& groups) {
  const Value x = cast_to(n.in(0), sum_dtype(n.in(0)->dtype));
  const std::vector<Expr>& shape = x->shape;
  const Expr in_group = simplify(floordiv(shape[1], groups));
  const Value parts =
      reshape(x, {shape[0], groups, simplify(in_group * product(shape, 2, shape.size()))});
  return reshape(op("layer_norm", {parts}, {{"eps", epsilon(n)}}), shape);
}

std::vector<Value> scaled(const NodeView& n, const Value& normal, const Value& scale,
                          const Value& bias) {
  const std::size_t rank = n.rank(0);
  const Value y = op("mul", {normal, over_maps(scale, rank)});
  return {cast_to(op("add", {y, over_maps(bias, rank)}), n.in(0)->dtype)};
}

std::vector<Value> convert_instance_norm(const NodeView& n) {
  check_float(n);
  if (n.rank(0) < 2) n.invalid("expected an input [n, c, ...]");
  const Expr channels = n.in(0)->shape[1];
  const Value normal = normal_groups(n, channels);
  return scaled(n, normal, of_channels(n, 1, channels, normal->dtype),
                of_channels(n, 2, channels, normal->dtype));
}

std::int64_t groups_of(const NodeView& n, std::int64_t* channels) {
  check_float(n);
  if (n.rank(0) < 2) n.invalid("expected an input [n, c, ...]");
  const auto size = as_int(n.in(0)->shape[1]);
  if (!size) n.unsupported("a number of channels that is not fixed; give sizes= or shapes=");
  const std::int64_t groups = n.int_attr("num_groups");
  if (groups < 1 || *size % groups != 0)
    n.invalid(detail::concat(groups, " groups do not divide ", *size, " channels"));
  *channels = *size;
  return groups;
}

std::vector<Value> convert_group_norm(const NodeView& n) {
  std::int64_t channels = 0;
  const Value normal = normal_groups(n, imm(groups_of(n, &channels)));
  return scaled(n, normal, of_channels(n, 1, imm(channels), normal->dtype),
                of_channels(n, 2, imm(channels), normal->dtype));
}

/// In opset 18 scale and bias are those of groups.
std::vector<Value> convert_old_group_norm(const NodeView& n) {
  std::int64_t channels = 0;
  const std::int64_t groups = groups_of(n, &channels);
  const Value normal = normal_groups(n, imm(groups));
  const auto spread = [&](std::size_t i) {
    const Value p = of_channels(n, i, imm(groups), normal->dtype);
    const std::vector<Expr> both{imm(groups), imm(channels / groups)};
    return reshape(broadcast(reshape(p, {imm(groups), imm(1)}), both), {imm(channels)});
  };
  return scaled(n, normal, spread(1), spread(2));
}

// --- over the last axes

struct LastAxes {
  std::size_t first;
  std::vector<std::int64_t> axes;
  Value rows;  ///< [before..., product of the axes], in the dtype that sums have
};

LastAxes last_axes(const NodeView& n, std::int64_t otherwise) {
  check_float(n);
  const Value& x = n.in(0);
  LastAxes last;
  last.first =
      static_cast<std::size_t>(normal_axis(n, n.int_attr("axis", otherwise), x->shape.size()));
  for (std::size_t d = last.first; d < x->shape.size(); ++d)
    last.axes.push_back(static_cast<std::int64_t>(d));
  std::vector<Expr> shape(x->shape.begin(),
                          x->shape.begin() + static_cast<std::ptrdiff_t>(last.first));
  shape.push_back(product(x->shape, last.first, x->shape.size()));
  last.rows = reshape(cast_to(x, sum_dtype(x->dtype)), shape);
  return last;
}

/// Whether `p` has the shape of the normalised axes.
bool covers(const Value& p, const Value& x, const LastAxes& last) {
  return graph::same_shape(
      p->shape, {x->shape.begin() + static_cast<std::ptrdiff_t>(last.first), x->shape.end()});
}

/// The dtype of stage one's results, attribute stash_type.
DType stash_dtype(const NodeView& n) { return n.dtype_attr("stash_type", DataType::kFloat); }

std::vector<Value> convert_layer_norm(const NodeView& n) {
  const LastAxes last = last_axes(n, -1);
  const Value& x = n.in(0);
  const Value &scale = n.in(1), bias = n.maybe(2);
  const double eps = epsilon(n);
  std::vector<Value> results;
  const bool is_whole = last.rows->dtype == x->dtype && scale->dtype == x->dtype &&
                        covers(scale, x, last) &&
                        (!bias || (bias->dtype == x->dtype && covers(bias, x, last)));
  if (is_whole) {
    std::vector<Value> operands{last.rows, reshape(scale, {last.rows->shape.back()})};
    if (bias) operands.push_back(reshape(bias, {last.rows->shape.back()}));
    results.push_back(reshape(op("layer_norm", operands, {{"eps", eps}}), x->shape));
  } else {
    Value y = reshape(op("layer_norm", {last.rows}, {{"eps", eps}}), x->shape);
    y = op("mul", {cast_to(y, x->dtype), cast_to(scale, x->dtype)});
    if (bias) y = op("add", {y, cast_to(bias, x->dtype)});
    if (!graph::same_shape(y->shape, x->shape))
      n.invalid("scale and bias are larger than the input");
    results.push_back(y);
  }
  if (!n.wants(1) && !n.wants(2)) return results;
  const auto row = static_cast<std::int64_t>(last.rows->shape.size()) - 1;
  std::vector<Expr> shape = x->shape;
  for (std::size_t d = last.first; d < shape.size(); ++d) shape[d] = imm(1);
  const Value mean = reduce("mean", last.rows, {row}, true);
  const Value variance = variance_of(last.rows, mean, {row});
  const Value inverse = op("rsqrt", {op("add", {variance, scalar(variance->dtype, eps)})});
  // The mean of a float64 input is as exact as its elements.
  const DType dtype = stash_dtype(n);
  results.push_back(cast_to(reshape(mean, shape), dtype));
  results.push_back(cast_to(reshape(inverse, shape), dtype));
  return results;
}

std::vector<Value> convert_rms_norm(const NodeView& n) {
  const LastAxes last = last_axes(n, -1);
  const Value &x = n.in(0), &scale = n.in(1);
  if (!scale->dtype.is_float()) n.invalid("the scale should be floats");
  const auto row = static_cast<std::int64_t>(last.rows->shape.size()) - 1;
  const Value mean = reduce("mean", op("mul", {last.rows, last.rows}), {row}, true);
  const Value inverse = op("rsqrt", {op("add", {mean, scalar(mean->dtype, epsilon(n))})});
  const Value normal = reshape(op("mul", {last.rows, inverse}), x->shape);
  const Value y = op("mul", {cast_to(normal, scale->dtype), scale});
  if (!graph::same_shape(y->shape, x->shape)) n.invalid("the scale is larger than the input");
  return {y};
}

// --- along other axes

std::vector<Value> convert_lp_norm(const NodeView& n) {
  check_float(n);
  const Value x = cast_to(n.in(0), sum_dtype(n.in(0)->dtype));
  const std::int64_t p = n.int_attr("p", 2);
  if (p != 1 && p != 2) n.invalid(detail::concat("p = ", p, " should be 1 or 2"));
  const std::int64_t axis = normal_axis(n, n.int_attr("axis", -1), x->shape.size());
  Value norm = reduce("sum", p == 1 ? op("abs", {x}) : op("mul", {x, x}), {axis}, true);
  if (p == 2) norm = op("sqrt", {norm});
  const Value y = op("where", {op("equal", {norm, scalar(x->dtype, 0)}), scalar(x->dtype, 0),
                               op("div", {x, norm})});
  return {cast_to(y, n.in(0)->dtype)};
}

std::vector<Value> convert_mean_variance_norm(const NodeView& n) {
  check_float(n);
  const Value x = cast_to(n.in(0), sum_dtype(n.in(0)->dtype));
  std::vector<std::int64_t> axes = n.ints_attr("axes");
  if (!n.has_attr("axes")) axes = {0, 2, 3};
  axes = normal_axes(n, axes, x->shape.size());
  const Value mean = reduce("mean", x, axes, true);
  const Value deviation = op("sqrt", {variance_of(x, mean, axes)});
  const Value y = op("div", {op("sub", {x, mean}), op("add", {deviation, scalar(x->dtype, 1e-9)})});
  return {cast_to(y, n.in(0)->dtype)};
}

/// x / (bias + alpha / size * sum of squares over neighbouring channels) ^ beta.
std::vector<Value> convert_lrn(const NodeView& n) {
  check_float(n);
  if (n.rank(0) < 2) n.invalid("expected an input [n, c, ...]");
  const std::int64_t size = n.int_attr("size");
  if (size < 1 || size > (std::int64_t{1} << 31))
    n.invalid(detail::concat("size = ", size, " should be at least 1"));
  const Value x = channels_last(cast_to(n.in(0), sum_dtype(n.in(0)->dtype)));
  const Value squares = op("mul", {x, x});
  const auto channels = as_int(x->shape.back());
  if (!channels) n.unsupported("a number of channels that is not fixed; give sizes= or shapes=");
  // No further than there are channels, whatever the size is.
  const std::int64_t before = std::min((size - 1) / 2, *channels),
                     after = std::min(size / 2, *channels);
  const IterVar k = te::reduce_axis(imm(before + after + 1), "k");
  const Value sums = computed("lrn_sum", {squares}, x->shape,
                              [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                                graph::Indices from = at;
                                from.back() = at.back() + k.var - before;
                                const Expr inside = logical_and(ge(from.back(), imm(0)),
                                                                lt(from.back(), x->shape.back()));
                                return te::sum(read(0, from), {k}, inside);
                              });
  const double alpha = n.float_attr("alpha", 1e-4F), beta = n.float_attr("beta", 0.75),
               bias = n.float_attr("bias", 1);
  const Value base =
      op("add", {op("mul", {sums, scalar(x->dtype, alpha / static_cast<double>(size))}),
                 scalar(x->dtype, bias)});
  const Value y = op("div", {x, op("pow", {base, scalar(x->dtype, beta)})});
  return {cast_to(channels_first(y), n.in(0)->dtype)};
}

}  // namespace

std::vector<Conversion> normalization_conversions() {
  return {
      {"BatchNormalization", 1, kNative, convert_old_batch_norm},
      {"BatchNormalization", 14, kNative, convert_batch_norm},
      {"GroupNormalization", 18, kNative, convert_old_group_norm},
      {"GroupNormalization", 21, kNative, convert_group_norm},
      {"InstanceNormalization", 1, kNative, convert_instance_norm},
      {"LRN", 1, kDecomposed, convert_lrn, "", "squares, sums of channels, power"},
      {"LayerNormalization", 17, kNative, convert_layer_norm},
      {"LpNormalization", 1, kDecomposed, convert_lp_norm, "", "sum, division"},
      {"MeanVarianceNormalization", 1, kDecomposed, convert_mean_variance_norm, "",
       "means, division"},
      {"RMSNormalization", 23, kDecomposed, convert_rms_norm, "", "mean of squares, product"},
  };
}

}  // namespace tenon::onnx
