// Conversions of dtypes.

#include "graph/onnx/tools.h"
#include "tenon/ir/builder.h"

namespace tenon::onnx {
namespace {

constexpr Support kNative = Support::kNative;

/// Floats truncate and saturate, integers wrap, what is not zero (NaN is not) is true.
Value converted(const Value& x, DType to) {
  const bool is_test = to.is_bool() && x->dtype.is_float();
  return is_test ? op("not_equal", {x, scalar(x->dtype, 0)}) : cast_to(x, to);
}

std::vector<Value> convert_cast(const NodeView& n) {
  if (n.version() < 6) n.unsupported("a dtype that is a text (opsets 1 to 5)");
  return {converted(n.in(0), n.dtype_attr("to"))};
}

std::vector<Value> convert_cast_like(const NodeView& n) {
  return {converted(n.in(0), n.in(1)->dtype)};
}

std::vector<Value> convert_bit_cast(const NodeView& n) {
  const DType to = n.dtype_attr("to");
  const DType from = n.in(0)->dtype;
  if (from.bits != to.bits)
    n.invalid(
        detail::concat("bits of ", to_string(from), " as ", to_string(to), ": the widths differ"));
  if (from == to) return {n.in(0)};
  // The byte of a bool is 0 or 1.
  if (to.is_bool()) return {op("not_equal", {n.in(0), scalar(from, 0)})};
  if (from.is_bool()) return {cast_to(n.in(0), to)};
  return {pointwise("bit_cast", {n.in(0)},
                    [&](const std::vector<Expr>& x) { return reinterpret(to, x[0]); })};
}

}  // namespace

std::vector<Conversion> cast_conversions() {
  return {
      {"BitCast", 26, kNative, convert_bit_cast},
      {"Cast", 1, kNative, convert_cast},
      {"CastLike", 15, kNative, convert_cast_like},
  };
}

}  // namespace tenon::onnx
