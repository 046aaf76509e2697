// Tensors from few numbers: Range, EyeLike, OneHot, and the triangles of matrices.

#include <algorithm>
#include <cmath>

#include "graph/onnx/tools.h"
#include "tenon/ir/builder.h"
#include "tenon/te/expr.h"

namespace tenon::onnx {
namespace {

constexpr Support kNative = Support::kNative;

/// How many numbers there are from `start` on, in steps of `delta`, before `limit`.
Expr count_of(const NodeView& n) {
  if (n.in(0)->dtype.is_float()) {
    const double start = n.floats(0)[0], limit = n.floats(1)[0], delta = n.floats(2)[0];
    const double count = std::ceil((limit - start) / delta);
    if (delta == 0 || std::isnan(count)) n.invalid("the range has no number of elements");
    if (count > static_cast<double>(kFar)) n.invalid("the range has too many elements");
    return imm(static_cast<std::int64_t>(std::max(count, 0.0)));
  }
  const Expr start = n.sizes(0)[0], limit = n.sizes(1)[0];
  const std::int64_t delta = n.int_scalar(2);
  if (delta == 0) n.invalid("the step of the range is 0");
  for (const Expr& e : {start, limit, imm(delta)}) {
    if (const auto known = as_int(e); known && (*known >= kFar || *known <= -kFar))
      n.invalid(detail::concat("the range goes to ", *known));
  }
  const Expr length = delta > 0 ? limit - start : start - limit;
  return simplify_size(max(ceildiv(length, imm(delta > 0 ? delta : -delta)), imm(0)));
}

std::vector<Value> convert_range(const NodeView& n) {
  for (std::size_t i = 0; i < 3; ++i) {
    if (!is_int(product(n.in(i)->shape, 0, n.rank(i)), 1))
      n.invalid("start, limit and step of a range should be numbers");
    if (n.in(i)->dtype != n.in(0)->dtype) n.invalid("start, limit and step have other dtypes");
  }
  if (n.in(0)->dtype.is_bool()) n.invalid("a range of bools");
  const Expr count = count_of(n);
  const Expr start = n.known(0)->at(0), delta = n.known(2)->at(0);
  return {
      computed("range", {}, {count}, [&](const std::vector<Expr>& at, const graph::ElementReader&) {
        return start + te::cast(start->dtype, at[0]) * delta;
      })};
}

std::vector<Value> convert_eye_like(const NodeView& n) {
  const Value& x = n.in(0);
  if (x->shape.size() != 2) n.invalid("the input should be a matrix");
  const DType dtype = n.has_attr("dtype") ? n.dtype_attr("dtype") : x->dtype;
  const std::int64_t k = std::clamp(n.int_attr("k", 0), -kFar, kFar);
  return {
      computed("eye", {}, x->shape, [&](const std::vector<Expr>& at, const graph::ElementReader&) {
        return te::cast(dtype, eq(at[1], at[0] + k));
      })};
}

std::vector<Value> convert_trilu(const NodeView& n) {
  const Value& x = n.in(0);
  const std::size_t rank = x->shape.size();
  if (rank < 2) n.invalid("the input should have two dimensions or more");
  const bool is_upper = n.int_attr("upper", 1) != 0;
  std::vector<Value> inputs{x};
  if (n.has(1)) {
    if (!is_int(product(n.in(1)->shape, 0, n.rank(1)), 1)) n.invalid("'k' should be a number");
    inputs.push_back(reshape(n.in(1), {}));
  }
  return {computed("trilu", inputs, x->shape,
                   [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                     const Expr k = n.has(1) ? te::cast(kInt64, read(1, {})) : imm(0);
                     const Expr diagonal = at[rank - 1] - at[rank - 2];
                     const Expr stays = is_upper ? ge(diagonal, k) : le(diagonal, k);
                     return te::select(stays, read(0, at), zero(x->dtype));
                   })};
}

std::vector<Value> convert_one_hot(const NodeView& n) {
  const Value &indices = n.in(0), &values = n.in(2);
  const std::vector<double> depths =
      n.in(1)->dtype.is_float() ? n.floats(1) : std::vector<double>();
  if (!is_int(product(n.in(1)->shape, 0, n.rank(1)), 1)) n.invalid("the depth should be a number");
  const Expr depth =
      depths.empty() ? simplify_size(n.sizes(1)[0])
                     : imm(static_cast<std::int64_t>(std::clamp(depths[0], -1.0, double{kFar})));
  if (const auto known = as_int(depth); known && (*known < 0 || *known > kFar))
    n.invalid(detail::concat("the depth is ", *known));
  if (values->shape.size() != 1 || !is_int(values->shape[0], 2))
    n.invalid("the values should be two: off and on");
  const std::size_t rank = indices->shape.size() + 1;
  check_rank(n, rank);
  const auto axis = normal_axis(n, n.int_attr("axis", -1), rank);
  std::vector<Expr> shape = indices->shape;
  shape.insert(shape.begin() + axis, depth);
  return {computed("one_hot", {indices, values}, shape,
                   [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                     graph::Indices place = at;
                     place.erase(place.begin() + axis);
                     const Expr index = wrapped_index(te::cast(kInt64, read(0, place)), depth);
                     return te::select(eq(index, at[static_cast<std::size_t>(axis)]),
                                       read(1, {imm(1)}), read(1, {imm(0)}));
                   })};
}

}  // namespace

std::vector<Conversion> generate_conversions() {
  return {
      {"EyeLike", 9, kNative, convert_eye_like},
      {"OneHot", 9, kNative, convert_one_hot},
      {"Range", 11, kNative, convert_range},
      {"Trilu", 14, kNative, convert_trilu},
  };
}

}  // namespace tenon::onnx
