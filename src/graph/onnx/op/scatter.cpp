// Writes at places that data say: ScatterElements, ScatterND, TensorScatter, MaxUnpool. Updates are
// applied in ascending order; an index out of range raises IndexError when the network runs.

#include "tenon/te/scatter.h"

#include "graph/onnx/tools.h"
#include "tenon/graph/expression.h"
#include "tenon/ir/builder.h"
#include "tenon/te/expr.h"

namespace tenon::onnx {
namespace {

constexpr Support kNative = Support::kNative;
using te::ScatterMode;
using Reader = std::function<Expr(const std::vector<Expr>&)>;

/// `x` with `updates` joined at the places that `places` names for a position of them; it reads
/// `indices`, which may be null.
Value scattered(
    const Value& x, const Value& indices, const Value& updates, ScatterMode mode,
    const std::function<std::vector<Expr>(const std::vector<Expr>&, const Reader&)>& places) {
  std::vector<Value> inputs{x, updates};
  if (indices) inputs.push_back(indices);
  std::vector<te::Tensor> tensors;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    tensors.push_back(te::placeholder(inputs[i]->shape, inputs[i]->dtype, "x" + std::to_string(i)));
  const Reader read = [&](const std::vector<Expr>& at) { return te::read(tensors[2], at); };
  const te::Tensor result = te::scatter(
      tensors[0], te::PlaceFunction([&](const std::vector<Expr>& at) { return places(at, read); }),
      tensors[1], mode);
  return graph::make_expression("scatter", inputs, tensors, {result})[0];
}

ScatterMode mode_of(const NodeView& n, DType dtype) {
  const std::string mode = n.string_attr("reduction", "none");
  if (mode == "none") return ScatterMode::kSet;
  if (dtype.is_bool()) n.unsupported("reduction '" + mode + "' of bools");
  if (mode == "add") return ScatterMode::kAdd;
  if (mode == "mul") return ScatterMode::kMul;
  if (mode == "min") return ScatterMode::kMin;
  if (mode == "max") return ScatterMode::kMax;
  n.invalid("'reduction' is '" + mode + "'");
}

void check_operands(const NodeView& n) {
  if (!n.in(1)->dtype.is_int()) n.invalid("the indices should be integers");
  if (n.in(2)->dtype != n.in(0)->dtype) n.invalid("the updates have another dtype than the data");
}

std::vector<Value> convert_scatter_elements(const NodeView& n) {
  const Value &x = n.in(0), &indices = n.in(1), &updates = n.in(2);
  check_operands(n);
  const std::size_t rank = x->shape.size();
  const auto axis = static_cast<std::size_t>(normal_axis(n, n.int_attr("axis", 0), rank));
  if (indices->shape.size() != rank || !graph::same_shape(indices->shape, updates->shape))
    n.invalid(detail::concat("data, indices and updates are ", graph::type_str(*x), ", ",
                             graph::type_str(*indices), " and ", graph::type_str(*updates),
                             ": indices and updates should be of one shape"));
  return {scattered(x, indices, updates, mode_of(n, x->dtype),
                    [&](const std::vector<Expr>& at, const Reader& read) {
                      std::vector<Expr> place = at;
                      place[axis] = wrapped_index(read(at), x->shape[axis]);
                      return place;
                    })};
}

std::vector<Value> convert_scatter_nd(const NodeView& n) {
  const Value &x = n.in(0), &indices = n.in(1), &updates = n.in(2);
  check_operands(n);
  const std::size_t rank = x->shape.size();
  if (indices->shape.empty()) n.invalid("the indices should have a dimension or more");
  const std::size_t lead = indices->shape.size() - 1;
  const auto depth = as_int(indices->shape.back());
  if (!depth) n.unsupported("the number of indices is not fixed");
  if (*depth < 1 || *depth > static_cast<std::int64_t>(rank))
    n.invalid(detail::concat(*depth, " indices are given for ", rank, " dimensions"));
  std::vector<Expr> expected(indices->shape.begin(), indices->shape.end() - 1);
  expected.insert(expected.end(), x->shape.begin() + *depth, x->shape.end());
  if (!graph::same_shape(expected, updates->shape)) {
    n.invalid(detail::concat("data, indices and updates are ", graph::type_str(*x), ", ",
                             graph::type_str(*indices), " and ", graph::type_str(*updates),
                             ": the updates should be of the shape of the indices without their "
                             "last dimension, then what is left of the data"));
  }
  return {scattered(
      x, indices, updates, mode_of(n, x->dtype),
      [&](const std::vector<Expr>& at, const Reader& read) {
        std::vector<Expr> place;
        for (std::int64_t k = 0; k < *depth; ++k) {
          std::vector<Expr> source(at.begin(), at.begin() + static_cast<std::ptrdiff_t>(lead));
          source.push_back(imm(k));
          place.push_back(wrapped_index(read(source), x->shape[static_cast<std::size_t>(k)]));
        }
        place.insert(place.end(), at.begin() + static_cast<std::ptrdiff_t>(lead), at.end());
        return place;
      })};
}

std::vector<Value> convert_tensor_scatter(const NodeView& n) {
  const Value &cache = n.in(0), &updates = n.in(1);
  const std::size_t rank = cache->shape.size();
  const auto axis = static_cast<std::size_t>(normal_axis(n, n.int_attr("axis", -2), rank));
  const std::string mode = n.string_attr("mode", "linear");
  if (mode != "linear" && mode != "circular") n.invalid("'mode' is '" + mode + "'");
  if (axis == 0) n.invalid("'axis' is the dimension of the batch");
  bool fits = updates->shape.size() == rank && updates->dtype == cache->dtype;
  for (std::size_t d = 0; fits && d < rank; ++d)
    fits = d == axis || graph::same_extent(updates->shape[d], cache->shape[d]);
  const Value starts = n.maybe(2);
  fits = fits && (!starts || (starts->dtype.is_int() && starts->shape.size() == 1 &&
                              graph::same_extent(starts->shape[0], cache->shape[0])));
  if (!fits)
    n.invalid(detail::concat("an update ", graph::type_str(*updates), " of a cache ",
                             graph::type_str(*cache)));
  const Expr& size = cache->shape[axis];
  if (const auto have = as_int(size), more = as_int(updates->shape[axis]);
      have && more && *more > *have)
    n.invalid(detail::concat("an update of ", *more, " places of a cache of ", *have));
  return {scattered(cache, starts, updates, ScatterMode::kSet,
                    [&](const std::vector<Expr>& at, const Reader& read) {
                      std::vector<Expr> place = at;
                      if (starts) place[axis] = te::cast(kInt64, read({at[0]})) + at[axis];
                      if (mode == "circular") place[axis] = floormod(place[axis], size);
                      return place;
                    })};
}

/// A size or stride of a window.
std::int64_t checked(const NodeView& n, const std::string& what, std::int64_t value,
                     std::int64_t least) {
  if (value < least || value > (std::int64_t{1} << 31))
    n.invalid(detail::concat("'", what, "' has ", value));
  return value;
}

std::vector<Value> convert_max_unpool(const NodeView& n) {
  const Value &x = n.in(0), &indices = n.in(1);
  const std::vector<std::int64_t> kernel = n.ints_attr("kernel_shape");
  const std::size_t space = kernel.size(), rank = x->shape.size();
  std::vector<std::int64_t> strides = n.ints_attr("strides"), pads = n.ints_attr("pads");
  if (strides.empty()) strides.assign(space, 1);
  if (pads.empty()) pads.assign(2 * space, 0);
  if (space == 0 || rank != space + 2 || strides.size() != space || pads.size() != 2 * space ||
      !graph::same_shape(x->shape, indices->shape) || !indices->dtype.is_int())
    n.invalid(detail::concat("an input ", graph::type_str(*x), ", indices ",
                             graph::type_str(*indices), " and a kernel of ", space, " dimensions"));
  std::vector<Expr> shape{x->shape[0], x->shape[1]};
  for (std::size_t d = 0; d < space; ++d) {
    const std::int64_t padding =
        checked(n, "pads", pads[d], 0) + checked(n, "pads", pads[space + d], 0);
    const Expr size = (x->shape[2 + d] - 1) * checked(n, "strides", strides[d], 1) +
                      (checked(n, "kernel_shape", kernel[d], 1) - padding);
    shape.push_back(simplify_size(size));
    if (as_int(shape.back()).value_or(0) < 0) n.invalid("the result would have a negative size");
    if (!n.require_not_negative(shape.back())) n.unsupported("a size that may be negative");
  }
  const Expr count = product(shape, 0, rank), given = product(x->shape, 0, rank);
  const Value flat = scattered(broadcast(scalar(x->dtype, 0), {count}), reshape(indices, {given}),
                               reshape(x, {given}), ScatterMode::kSet,
                               [&](const std::vector<Expr>& at, const Reader& read) {
                                 return std::vector<Expr>{te::cast(kInt64, read(at))};
                               });
  const Value result = reshape(flat, shape);
  if (!n.has(2)) return {result};
  const std::vector<Expr> wanted = n.sizes(2);
  if (wanted.size() != rank) n.invalid("the shape of the result has another rank");
  for (std::size_t d = 0; d < rank; ++d) {
    if (as_int(wanted[d]).value_or(0) < 0 || as_int(wanted[d]).value_or(0) > (1LL << 40))
      n.invalid(detail::concat("size ", *as_int(wanted[d]), " in the shape"));
    if (!holds(le(shape[d], wanted[d])))
      n.invalid(detail::concat("dimension ", d, " of the result is too small"));
  }
  if (graph::same_shape(shape, wanted)) return {result};
  return {computed("max_unpool", {result}, wanted,
                   [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                     Expr is_inside = bool_imm(true);
                     for (std::size_t d = 0; d < rank; ++d)
                       is_inside = and_predicate(is_inside, lt(at[d], shape[d]));
                     return te::select(is_inside, read(0, at), zero(x->dtype));
                   })};
}

}  // namespace

std::vector<Conversion> scatter_conversions() {
  return {
      {"MaxUnpool", 9, kNative, convert_max_unpool},
      {"Scatter", 9, kNative, convert_scatter_elements},
      {"ScatterElements", 11, kNative, convert_scatter_elements},
      {"ScatterND", 11, kNative, convert_scatter_nd},
      {"TensorScatter", 24, kNative, convert_tensor_scatter},
  };
}

}  // namespace tenon::onnx
