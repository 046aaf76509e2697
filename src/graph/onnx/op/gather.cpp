// Reads at places that data say: Gather, GatherElements, GatherND. An index out of range raises
// IndexError when the network runs.

#include "graph/onnx/tools.h"
#include "tenon/ir/builder.h"
#include "tenon/te/expr.h"

namespace tenon::onnx {
namespace {

constexpr Support kNative = Support::kNative;

void check_indices(const NodeView& n, const Value& indices) {
  if (!indices->dtype.is_int()) n.invalid("the indices should be integers");
}

/// The row of dimension `axis` that a constant index names, as a part of `x`; null when there is no
/// such index.
Value constant_row(const NodeView& n, const Value& x, std::size_t axis) {
  const Value& indices = n.in(1);
  if (!indices->shape.empty()) return nullptr;
  const auto known = n.known(1);
  if (!known || !as_int((*known)[0])) return nullptr;
  const std::int64_t i = *as_int((*known)[0]);
  const Expr& size = x->shape[axis];
  if (const auto extent = as_int(size); extent && (i < -*extent || i >= *extent))
    n.invalid(
        detail::concat("index ", i, " is out of range for dimension ", axis, " of size ", *extent));
  if (i > kFar || i < -kFar) n.invalid(detail::concat("index ", i, " is out of range"));
  const Expr begin = simplify_size(i < 0 ? size + i : imm(i));
  if (!n.require_not_negative(i < 0 ? begin : simplify_size(size - imm(i) - 1))) return nullptr;
  std::vector<Expr> begins(x->shape.size(), imm(0)), extents = x->shape, left = x->shape;
  begins[axis] = begin;
  extents[axis] = imm(1);
  left.erase(left.begin() + static_cast<std::ptrdiff_t>(axis));
  const Value row = op("slice", {x}, {{"begins", begins}, {"extents", extents}});
  return reshape(row, left);
}

std::vector<Value> convert_gather(const NodeView& n) {
  const Value &x = n.in(0), &indices = n.in(1);
  check_indices(n, indices);
  const auto axis =
      static_cast<std::size_t>(normal_axis(n, n.int_attr("axis", 0), x->shape.size()));
  if (Value row = constant_row(n, x, axis)) return {row};
  const std::size_t rank = indices->shape.size();
  const auto at_axis = static_cast<std::ptrdiff_t>(axis);
  std::vector<Expr> shape = x->shape;
  shape.erase(shape.begin() + at_axis);
  shape.insert(shape.begin() + at_axis, indices->shape.begin(), indices->shape.end());
  check_rank(n, shape.size());
  return {computed("gather", {x, indices}, shape,
                   [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                     const auto begin = at.begin() + at_axis;
                     const auto end = begin + static_cast<std::ptrdiff_t>(rank);
                     graph::Indices place(at.begin(), begin);
                     place.push_back(wrapped_index(read(1, {begin, end}), x->shape[axis]));
                     place.insert(place.end(), end, at.end());
                     return read(0, place);
                   })};
}

std::vector<Value> convert_gather_elements(const NodeView& n) {
  const Value &x = n.in(0), &indices = n.in(1);
  check_indices(n, indices);
  const std::size_t rank = x->shape.size();
  const auto axis = static_cast<std::size_t>(normal_axis(n, n.int_attr("axis", 0), rank));
  if (indices->shape.size() != rank)
    n.invalid(
        detail::concat("the indices have ", indices->shape.size(), " dimensions, expected ", rank));
  for (std::size_t d = 0; d < rank; ++d) {
    if (d == axis || holds(le(indices->shape[d], x->shape[d]))) continue;
    const std::string sizes = detail::concat("dimension ", d, " of the indices");
    if (as_int(indices->shape[d]) && as_int(x->shape[d]))
      n.invalid(sizes + " is longer than that of the data");
    n.unsupported(sizes + " may be longer than that of the data; give sizes=");
  }
  return {computed("gather_elements", {x, indices}, indices->shape,
                   [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                     graph::Indices place = at;
                     place[axis] = wrapped_index(read(1, at), x->shape[axis]);
                     return read(0, place);
                   })};
}

std::vector<Value> convert_gather_nd(const NodeView& n) {
  const Value &x = n.in(0), &indices = n.in(1);
  check_indices(n, indices);
  const std::size_t rank = x->shape.size(), index_rank = indices->shape.size();
  const std::int64_t batch_dims = n.int_attr("batch_dims", 0);
  if (index_rank == 0 || batch_dims < 0 ||
      batch_dims >= static_cast<std::int64_t>(std::min(rank, index_rank)))
    n.invalid(detail::concat("'batch_dims' is ", batch_dims, " for operands of ", rank, " and ",
                             index_rank, " dimensions"));
  const auto batch = static_cast<std::size_t>(batch_dims);
  const auto depth = as_int(indices->shape.back());
  if (!depth) n.unsupported("the number of indices is not fixed");
  if (*depth < 1 || *depth > static_cast<std::int64_t>(rank - batch))
    n.invalid(detail::concat(*depth, " indices are given for ", rank - batch, " dimensions"));
  for (std::size_t d = 0; d < batch; ++d) {
    if (!graph::same_extent(x->shape[d], indices->shape[d]))
      n.invalid(detail::concat("batch dimension ", d, " of data and indices should be equal"));
  }
  const auto named = static_cast<std::size_t>(*depth);
  std::vector<Expr> shape(indices->shape.begin(), indices->shape.end() - 1);
  shape.insert(shape.end(), x->shape.begin() + static_cast<std::ptrdiff_t>(batch + named),
               x->shape.end());
  check_rank(n, shape.size());
  return {computed("gather_nd", {x, indices}, shape,
                   [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                     const auto lead = at.begin() + static_cast<std::ptrdiff_t>(index_rank - 1);
                     graph::Indices place(at.begin(), at.begin() + batch_dims);
                     for (std::size_t k = 0; k < named; ++k) {
                       graph::Indices source(at.begin(), lead);
                       source.push_back(imm(static_cast<std::int64_t>(k)));
                       place.push_back(wrapped_index(read(1, source), x->shape[batch + k]));
                     }
                     place.insert(place.end(), lead, at.end());
                     return read(0, place);
                   })};
}

}  // namespace

std::vector<Conversion> gather_conversions() {
  return {
      {"Gather", 1, kNative, convert_gather},
      {"GatherElements", 11, kNative, convert_gather_elements},
      {"GatherND", 11, kNative, convert_gather_nd},
  };
}

}  // namespace tenon::onnx
