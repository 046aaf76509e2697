// Shapes as values, and what gives elements another shape.

#include "graph/onnx/tools.h"
#include "tenon/ir/builder.h"
#include "tenon/te/expr.h"

namespace tenon::onnx {
namespace {

constexpr Support kNative = Support::kNative;

/// Sizes as a vector of int64.
Value as_vector(const std::vector<Expr>& sizes) {
  std::vector<std::int64_t> constants;
  for (const Expr& e : sizes) {
    if (const auto size = as_int(e)) constants.push_back(*size);
  }
  if (constants.size() == sizes.size()) return int_vector(constants);
  return computed("shape", {}, {imm(static_cast<std::int64_t>(sizes.size()))},
                  [&](const std::vector<Expr>& at, const graph::ElementReader&) {
                    Expr value = sizes.back();
                    for (std::size_t i = sizes.size() - 1; i-- > 0;)
                      value = select(eq(at[0], imm(static_cast<std::int64_t>(i))), sizes[i], value);
                    return value;
                  });
}

std::vector<Value> convert_shape(const NodeView& n) {
  const std::vector<Expr>& shape = n.in(0)->shape;
  const auto rank = static_cast<std::int64_t>(shape.size());
  const auto limit = [&](std::int64_t axis) {
    return std::min(std::max<std::int64_t>(axis < 0 ? axis + rank : axis, 0), rank);
  };
  const std::int64_t begin = limit(n.int_attr("start", 0));
  const std::int64_t end = std::max(begin, limit(n.int_attr("end", rank)));
  return {as_vector({shape.begin() + begin, shape.begin() + end})};
}

std::vector<Value> convert_size(const NodeView& n) {
  const std::vector<Expr>& shape = n.in(0)->shape;
  return {reshape(as_vector({product(shape, 0, shape.size())}), {})};
}

/// The sizes of operand `i`; checked to be sizes, as far as they are constants.
std::vector<Expr> sizes_of(const NodeView& n, std::size_t i, std::int64_t smallest) {
  if (n.rank(i) != 1) n.invalid("the shape should be a vector");
  std::vector<Expr> shape = n.sizes(i);
  check_rank(n, shape.size());
  for (Expr& e : shape) {
    e = simplify_size(e);
    if (const auto size = as_int(e); size && *size < smallest)
      n.invalid(detail::concat("size ", *size, " in the shape"));
  }
  return shape;
}

std::vector<Value> convert_reshape(const NodeView& n) {
  const Value& x = n.in(0);
  std::vector<Expr> shape;
  if (n.version() < 5) {
    for (const std::int64_t size : n.ints_attr("shape")) shape.push_back(imm(size));
    check_rank(n, shape.size());
  } else {
    shape = sizes_of(n, 1, -1);
  }
  const bool keeps_zeros = n.version() >= 14 && n.int_attr("allowzero", 0) != 0;
  for (std::size_t d = 0; d < shape.size() && !keeps_zeros; ++d) {
    if (!is_int(shape[d], 0)) continue;
    if (d >= x->shape.size()) n.invalid("a size 0 stands for a size that the input does not have");
    shape[d] = x->shape[d];
  }
  return {reshape(x, shape)};
}

std::vector<Value> convert_flatten(const NodeView& n) {
  const std::vector<Expr>& shape = n.in(0)->shape;
  const auto rank = static_cast<std::int64_t>(shape.size());
  std::int64_t axis = n.int_attr("axis", 1);
  if (axis < -rank || axis > rank)
    n.invalid(detail::concat("axis ", axis, " is out of range for ", rank, " dimensions"));
  if (axis < 0) axis += rank;
  const auto middle = static_cast<std::size_t>(axis);
  return {reshape(n.in(0), {product(shape, 0, middle), product(shape, middle, shape.size())})};
}

std::vector<Value> convert_squeeze(const NodeView& n) {
  const std::vector<Expr>& shape = n.in(0)->shape;
  const bool is_given = n.has(1) || n.has_attr("axes");
  std::vector<bool> goes(shape.size(), false);
  if (is_given) {
    for (const std::int64_t axis : axes_of(n, 1, "axes", shape.size())) {
      const auto d = static_cast<std::size_t>(axis);
      if (as_int(shape[d]) && !is_int(shape[d], 1))
        n.invalid(detail::concat("dimension ", d, " of size ", *as_int(shape[d]), ", expected 1"));
      goes[d] = true;
    }
  }
  std::vector<Expr> left;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (goes[d] && !as_int(shape[d])) {
      n.require_not_negative(shape[d] - 1);
      n.require_not_negative(imm(1) - shape[d]);
    }
    if ((goes[d] || !is_given) && !as_int(shape[d]))
      n.unsupported(detail::concat("dimension ", d, " may be 1 or not; give sizes="));
    if (!goes[d] && (is_given || !is_int(shape[d], 1))) left.push_back(shape[d]);
  }
  return {reshape(n.in(0), left)};
}

std::vector<Value> convert_unsqueeze(const NodeView& n) {
  const std::vector<Expr>& shape = n.in(0)->shape;
  const std::vector<std::int64_t> axes = n.has(1) ? n.ints(1) : n.ints_attr("axes");
  const std::size_t rank = shape.size() + axes.size();
  check_rank(n, rank);
  std::vector<Expr> result(rank);
  for (const std::int64_t axis : normal_axes(n, axes, rank))
    result[static_cast<std::size_t>(axis)] = imm(1);
  std::size_t next = 0;
  for (Expr& size : result) {
    if (!size) size = shape[next++];
  }
  return {reshape(n.in(0), result)};
}

std::vector<Value> convert_expand(const NodeView& n) {
  return {broadcast(n.in(0), broadcast_shape({n.in(0)->shape, sizes_of(n, 1, 0)}))};
}

std::vector<Value> convert_constant_of_shape(const NodeView& n) {
  const Value value =
      n.has_attr("value") ? graph::make_constant(n.tensor_attr("value")) : scalar(kFloat32, 0);
  if (!is_int(product(value->shape, 0, value->shape.size()), 1))
    n.invalid("'value' should have one element");
  return {broadcast(reshape(value, {}), sizes_of(n, 0, 0))};
}

std::vector<Value> convert_transpose(const NodeView& n) {
  std::vector<std::int64_t> axes = n.ints_attr("perm");
  if (!n.has_attr("perm")) {
    for (auto d = static_cast<std::int64_t>(n.rank(0)); d-- > 0;) axes.push_back(d);
  }
  return {op("transpose", {n.in(0)}, {{"axes", axes}})};
}

std::vector<Value> convert_concat(const NodeView& n) {
  if (n.num_inputs() == 0) n.invalid("there is nothing to concatenate");
  const std::int64_t axis = n.version() < 4 ? n.int_attr("axis", 1) : n.int_attr("axis");
  return {op("concat", n.all(), {{"axis", normal_axis(n, axis, n.rank(0))}})};
}

std::vector<Value> convert_constant(const NodeView& n) {
  if (n.has_attr("value")) return {graph::make_constant(n.tensor_attr("value"))};
  if (n.has_attr("value_int")) {
    return {reshape(int_vector({n.int_attr("value_int")}), {})};
  }
  if (n.has_attr("value_ints")) return {int_vector(n.ints_attr("value_ints"))};
  if (n.has_attr("value_float")) return {scalar(kFloat32, n.float_attr("value_float", 0))};
  if (n.has_attr("value_floats")) {
    const std::vector<float> values = n.floats_attr("value_floats");
    const auto size = static_cast<std::int64_t>(values.size());
    return {graph::make_constant(Array::from_values<float>(std::span(&size, 1), kFloat32, values))};
  }
  n.unsupported("a constant of texts or of a sparse tensor");
}

}  // namespace

std::vector<Conversion> shape_conversions() {
  return {
      {"Concat", 1, kNative, convert_concat},
      {"Constant", 1, kNative, convert_constant},
      {"ConstantOfShape", 9, kNative, convert_constant_of_shape},
      {"Expand", 8, kNative, convert_expand},
      {"Flatten", 1, kNative, convert_flatten},
      {"Reshape", 1, kNative, convert_reshape},
      {"Shape", 1, kNative, convert_shape},
      {"Size", 1, kNative, convert_size},
      {"Squeeze", 1, kNative, convert_squeeze},
      {"Transpose", 1, kNative, convert_transpose},
      {"Unsqueeze", 1, kNative, convert_unsqueeze},
  };
}

}  // namespace tenon::onnx
