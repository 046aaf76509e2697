// Operators on tables (ai.onnx.ml) that work on numbers.

#include "graph/onnx/tools.h"
#include "tenon/ir/builder.h"
#include "tenon/te/expr.h"
#include "tenon/te/tensor.h"

namespace tenon::onnx {
namespace {

constexpr Support kNative = Support::kNative;
constexpr char kDomain[] = "ai.onnx.ml";

std::vector<Value> convert_binarizer(const NodeView& n) {
  const DType t = n.in(0)->dtype;
  if (t.is_bool()) n.invalid("expected numbers, got bool");
  const DType wide = t.is_int() ? kFloat64 : t;  // the threshold may have a fraction
  const double threshold = n.float_attr("threshold", 0);
  return {pointwise("binarize", {n.in(0)}, [&](const std::vector<Expr>& e) {
    return select(gt(cast(wide, e[0]), const_like(wide, threshold)), const_like(t, 1), zero(t));
  })};
}

/// The columns that the indices name; a vector is one row.
std::vector<Value> convert_feature_extractor(const NodeView& n) {
  Value x = n.in(0);
  if (x->shape.empty()) n.invalid("a scalar has no axis");
  if (x->shape.size() == 1) x = reshape(x, {imm(1), x->shape[0]});
  const Value places = reshape(n.in(1), {product(n.in(1)->shape, 0, n.rank(1))});
  if (!places->dtype.is_int()) n.invalid("indices should be integers");
  std::vector<Expr> shape = x->shape;
  shape.back() = places->shape[0];
  return {computed("extract", {x, places}, shape,
                   [](const std::vector<Expr>& at, const graph::ElementReader& read) {
                     graph::Indices place = at;
                     place.back() = read(1, {at.back()});
                     return read(0, place);
                   })};
}

/// One side of a mapping: `<side>_int64s`, `<side>_floats` or `<side>_tensor`.
Value side_of_mapping(const NodeView& n, const std::string& side) {
  if (n.has_attr(side + "_strings")) n.unsupported("a mapping of texts");
  if (n.has_attr(side + "_int64s")) return int_vector(n.ints_attr(side + "_int64s"));
  if (n.has_attr(side + "_floats")) {
    const std::vector<float> values = n.floats_attr(side + "_floats");
    const auto size = static_cast<std::int64_t>(values.size());
    return graph::make_constant(Array::from_values<float>(std::span(&size, 1), kFloat32, values));
  }
  Value all = graph::make_constant(n.tensor_attr(side + "_tensor"));
  if (all->shape.size() != 1) n.invalid("a mapping should be a vector");
  return all;
}

Value default_of_mapping(const NodeView& n, const Value& values) {
  if (n.has_attr("default_tensor")) {
    const Value constant = graph::make_constant(n.tensor_attr("default_tensor"));
    if (constant->dtype != values->dtype ||
        !is_int(product(constant->shape, 0, constant->shape.size()), 1))
      n.invalid("the default should be one element of the values' dtype");
    return reshape(constant, {});
  }
  if (values->dtype.is_float()) return scalar(values->dtype, n.float_attr("default_float", -0.0));
  return cast_to(reshape(int_vector({n.int_attr("default_int64", -1)}), {}), values->dtype);
}

/// The value at the last key that is the element; NaN is a key like others.
std::vector<Value> convert_label_encoder(const NodeView& n) {
  if (n.has_attr("classes_strings")) n.unsupported("a mapping of texts");
  const Value &x = n.in(0), keys = side_of_mapping(n, "keys"),
              values = side_of_mapping(n, "values");
  if (!graph::same_extent(keys->shape[0], values->shape[0]))
    n.invalid("keys and values differ in number");
  if (keys->dtype != x->dtype) n.invalid("the keys should have the dtype of the input");
  const Value last = computed("key", {x, keys}, x->shape,
                              [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                                const IterVar k = te::reduce_axis(keys->shape[0], "k");
                                const Expr element = read(0, at), key = read(1, {k.var});
                                const Expr is_nan = logical_and(ne(key, key), ne(element, element));
                                return te::max(k.var, {k}, logical_or(eq(key, element), is_nan));
                              });
  return {computed("encode", {last, values, default_of_mapping(n, values)}, x->shape,
                   [](const std::vector<Expr>& at, const graph::ElementReader& read) {
                     const Expr place = read(0, at);
                     return te::select(ge(place, imm(0)), read(1, {place}), read(2, {}));
                   })};
}

}  // namespace

std::vector<Conversion> classical_conversions() {
  return {
      {"ArrayFeatureExtractor", 1, kNative, convert_feature_extractor, kDomain},
      {"Binarizer", 1, kNative, convert_binarizer, kDomain},
      {"LabelEncoder", 1, kNative, convert_label_encoder, kDomain},
  };
}

}  // namespace tenon::onnx
