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

std::vector<Value> convert_reshape(const NodeView& n) {
  const Value& x = n.in(0);
  std::vector<Expr> shape;
  if (n.version() < 5) {
    for (const std::int64_t size : n.ints_attr("shape")) shape.push_back(imm(size));
  } else {
    shape = n.sizes(1);
  }
  const bool keeps_zeros = n.version() >= 14 && n.int_attr("allowzero", 0) != 0;
  for (std::size_t d = 0; d < shape.size() && !keeps_zeros; ++d) {
    if (!is_int(shape[d], 0)) continue;
    if (d >= x->shape.size()) n.invalid("a size 0 stands for a size that the input does not have");
    shape[d] = x->shape[d];
  }
  return {op("reshape", {x}, {{"shape", shape}})};
}

std::vector<Value> convert_transpose(const NodeView& n) {
  std::vector<std::int64_t> axes = n.ints_attr("perm");
  if (!n.has_attr("perm")) {
    for (auto d = static_cast<std::int64_t>(n.rank(0)); d-- > 0;) axes.push_back(d);
  }
  return {op("transpose", {n.in(0)}, {{"axes", axes}})};
}

std::vector<Value> convert_concat(const NodeView& n) {
  return {op("concat", n.all(), {{"axis", n.int_attr("axis")}})};
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
      {"Concat", 4, kNative, convert_concat},   {"Constant", 1, kNative, convert_constant},
      {"Reshape", 1, kNative, convert_reshape}, {"Shape", 1, kNative, convert_shape},
      {"Size", 1, kNative, convert_size},       {"Transpose", 1, kNative, convert_transpose},
  };
}

}  // namespace tenon::onnx
