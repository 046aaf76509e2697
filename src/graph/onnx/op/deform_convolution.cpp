// Convolutions that sample their input at places that data say, between pixels.

#include <algorithm>

#include "graph/onnx/tools.h"
#include "graph/onnx/window.h"
#include "tenon/ir/builder.h"
#include "tenon/te/expr.h"
#include "tenon/te/tensor.h"

namespace tenon::onnx {
namespace {

struct Samples {
  NodeWindow window;
  std::int64_t channels = 0, offset_groups = 1;
  std::vector<std::int64_t> sizes;  ///< of the input's spatial axes
  std::int64_t num_places = 1;      ///< of the window
};

std::vector<std::int64_t> fixed_shape(const NodeView& n, std::size_t i) {
  std::vector<std::int64_t> sizes;
  for (std::size_t d = 0; d < n.rank(i); ++d) {
    const auto size = as_int(n.in(i)->shape[d]);
    if (!size && (i != 0 || d > 0))
      n.unsupported("sizes that are not fixed, but for the batch; give sizes= or shapes=");
    sizes.push_back(size.value_or(1));
  }
  return sizes;
}

/// The input between pixels: 2^rank of them, each as far as it is inside.
Expr sample(const Samples& s, const std::vector<Expr>& places, const Expr& image,
            const Expr& channel, const graph::ElementReader& read) {
  const std::size_t rank = places.size();
  const DType dtype = places[0]->dtype;
  Expr total;
  for (std::size_t corner = 0; corner < (std::size_t{1} << rank); ++corner) {
    graph::Indices at{image, channel};
    Expr weight, inside;
    for (std::size_t d = 0; d < rank; ++d) {
      const bool is_upper = (corner >> d & 1) != 0;
      const Expr lower = te::unary(UnaryOp::kFloor, places[d]);
      const Expr part = places[d] - lower;
      const Expr pixel = is_upper ? lower + float_imm(dtype, 1) : lower;
      const Expr last = float_imm(dtype, static_cast<double>(s.sizes[d] - 1));
      const Expr is_inside = logical_and(ge(pixel, zero(dtype)), le(pixel, last));
      // A pixel that exists, whatever the offset is; also for NaN.
      const Expr safe = te::select(is_inside, pixel, zero(dtype));
      at.push_back(te::cast(kInt64, safe));
      const Expr along = is_upper ? part : float_imm(dtype, 1) - part;
      weight = weight ? weight * along : along;
      inside = and_predicate(inside, is_inside);
    }
    const Expr term = te::select(inside, weight * read(0, at), zero(dtype));
    total = total ? total + term : term;
  }
  return total;
}

/// The samples [n, channel, place in the window, output pixels...].
Value samples_of(const NodeView& n, const Samples& s, const Value& x, const Value& offset,
                 const Value& mask, const std::vector<Expr>& pixels) {
  const std::size_t rank = s.window.rank();
  std::vector<Expr> shape{x->shape[0], imm(s.channels), imm(s.num_places)};
  shape.insert(shape.end(), pixels.begin(), pixels.end());
  std::vector<Value> operands{x, offset};
  if (mask) operands.push_back(mask);
  const std::int64_t in_group = s.channels / s.offset_groups;
  return computed(
      n.node().op_type, operands, shape,
      [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
        const Expr group = floordiv(at[1], imm(in_group));
        const Expr which = group * s.num_places + at[2];
        const graph::Indices pixel(at.begin() + 3, at.end());
        const auto from = [&](const Expr& channel) {
          graph::Indices place{at[0], channel};
          place.insert(place.end(), pixel.begin(), pixel.end());
          return place;
        };
        std::vector<Expr> places(rank);
        Expr rest = at[2];
        for (std::size_t d = rank; d-- > 0;) {
          const Expr k = d == 0 ? rest : floormod(rest, imm(s.window.extents[d]));
          rest = floordiv(rest, imm(s.window.extents[d]));
          const Expr start =
              pixel[d] * s.window.strides[d] - s.window.before[d] + k * s.window.dilations[d];
          const Expr moved =
              read(1, from(which * static_cast<std::int64_t>(rank) + static_cast<std::int64_t>(d)));
          places[d] = te::cast(x->dtype, start) + moved;
        }
        const Expr value = sample(s, places, at[0], at[1], read);
        return mask ? value * read(2, from(which)) : value;
      });
}

std::vector<Value> convert_deform_conv(const NodeView& n) {
  const std::size_t rank = spatial_rank(n);
  const Value& given = n.in(0);
  if (!given->dtype.is_float()) n.invalid("expected floats");
  const DType dtype = sum_dtype(given->dtype);
  const std::vector<std::int64_t> x_shape = fixed_shape(n, 0), w_shape = fixed_shape(n, 1);
  if (w_shape.size() != rank + 2 || n.rank(2) != rank + 2)
    n.invalid(detail::concat("expected a weight and offsets of ", rank + 2, " axes"));
  Samples s;
  const std::vector<std::int64_t> extents(w_shape.begin() + 2, w_shape.end());
  if (n.has_attr("kernel_shape") && n.ints_attr("kernel_shape") != extents)
    n.invalid("kernel_shape differs from the weight's shape");
  s.window = window_of(n, given->shape, extents);
  s.channels = x_shape[1];
  s.sizes.assign(x_shape.begin() + 2, x_shape.end());
  s.offset_groups = n.int_attr("offset_group", 1);
  const std::int64_t groups = n.int_attr("group", 1), out = w_shape[0];
  if (groups < 1 || s.offset_groups < 1 || s.channels % groups != 0 || out % groups != 0 ||
      s.channels % s.offset_groups != 0 || w_shape[1] * groups != s.channels)
    n.invalid("groups do not divide the channels, or the weight has others");
  std::vector<Expr> pixels;
  for (std::size_t d = 0; d < rank; ++d) {
    if (extents[d] < 1 || s.sizes[d] < 1) n.invalid("an empty window or input");
    s.num_places *= extents[d];
    const std::int64_t room =
        s.sizes[d] + s.window.before[d] + s.window.after[d] - s.window.span(d);
    if (room < 0) n.invalid("the window is larger than the input");
    pixels.push_back(imm(room / s.window.strides[d] + 1));
  }
  const auto check = [&](std::size_t i, std::int64_t channels) {
    std::vector<Expr> shape{given->shape[0], imm(channels)};
    shape.insert(shape.end(), pixels.begin(), pixels.end());
    if (!graph::same_shape(n.in(i)->shape, shape) || n.in(i)->dtype != given->dtype)
      n.invalid(detail::concat("input ", i, " does not have the shape or dtype of the windows"));
    return cast_to(n.in(i), dtype);
  };
  const std::int64_t places = s.offset_groups * s.num_places;
  const Value offset = check(2, places * static_cast<std::int64_t>(rank));
  const Value mask = n.has(4) ? check(4, places) : nullptr;
  const Value columns = samples_of(n, s, cast_to(given, dtype), offset, mask, pixels);
  if (n.in(1)->dtype != given->dtype) n.invalid("the weight should have the dtype of the input");
  // [group, out of the group, in of the group * places] times [n, group, in * places, pixels].
  const std::int64_t inner = s.channels / groups * s.num_places;
  const Value weight =
      reshape(cast_to(n.in(1), dtype), {imm(1), imm(groups), imm(out / groups), imm(inner)});
  const Value rows = reshape(columns, {given->shape[0], imm(groups), imm(inner),
                                       product(columns->shape, 3, columns->shape.size())});
  std::vector<Expr> shape{given->shape[0], imm(out)};
  shape.insert(shape.end(), pixels.begin(), pixels.end());
  Value y = reshape(op("matmul", {weight, rows}), shape);
  if (n.has(3)) {
    std::vector<Expr> over_maps(rank + 1, imm(1));
    over_maps[0] = imm(out);
    if (n.rank(3) != 1 || !graph::same_extent(n.in(3)->shape[0], imm(out)))
      n.invalid("the bias should have one element for each output channel");
    y = op("add", {y, reshape(cast_to(n.in(3), dtype), over_maps)});
  }
  return {cast_to(y, given->dtype)};
}

}  // namespace

std::vector<Conversion> deform_convolution_conversions() {
  return {{"DeformConv", 19, Support::kDecomposed, convert_deform_conv, "",
           "samples of all windows, a product"}};
}

}  // namespace tenon::onnx
