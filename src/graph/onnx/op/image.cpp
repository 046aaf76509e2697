// Reads of images between their elements: GridSample, AffineGrid, RoiAlign, MaxRoiPool.

#include <algorithm>

#include "graph/onnx/tools.h"
#include "tenon/ir/builder.h"
#include "tenon/te/expr.h"
#include "tenon/te/tensor.h"

namespace tenon::onnx {
namespace {

constexpr Support kNative = Support::kNative;

/// Coordinates beyond it are taken for it, so that they stay integers.
constexpr double kFarCoordinate = 1e9;
constexpr double kCubic = -0.75;

enum class Padding : std::uint8_t { kZeros, kBorder, kReflection };

struct Sampling {
  std::string mode;
  Padding padding = Padding::kZeros;
  bool aligns_corners = false;
  DType dtype;  ///< in which is computed
};

Expr number(DType dtype, double value) { return float_imm(dtype, value); }
Expr floor_of(const Expr& e) { return te::unary(UnaryOp::kFloor, e); }

/// `v` reflected at the borders of a dimension until it lies within.
Expr reflected(const Sampling& s, const Expr& v, const Expr& size) {
  const DType t = s.dtype;
  const Expr low = number(t, s.aligns_corners ? 0 : -0.5);
  const Expr length = te::cast(t, s.aligns_corners ? size - 1 : size), high = low + length;
  const Expr period = max(length * number(t, 2), number(t, 1e-30));
  const Expr distance = te::unary(UnaryOp::kAbs, v - low);
  const Expr rest = distance - floor_of(distance / period) * period;
  const Expr within = low + min(rest, period - rest);
  return te::select(logical_and(ge(v, low), le(v, high)), v, within);
}

/// Where the normal coordinate `g` (-1 to 1) lies in a dimension.
Expr coordinate(const Sampling& s, const Expr& g, const Expr& size) {
  const DType t = s.dtype;
  const Expr one = number(t, 1), half = number(t, 0.5), length = te::cast(t, size);
  const Expr v =
      s.aligns_corners ? (g + one) * half * (length - one) : ((g + one) * length - one) * half;
  const Expr near = max(min(v, number(t, kFarCoordinate)), number(t, -kFarCoordinate));
  const Expr moved = s.mode == "nearest" ? te::unary(UnaryOp::kRound, near) : near;
  return s.padding == Padding::kReflection ? reflected(s, moved, size) : moved;
}

/// An index of a dimension for `i`, which may lie outside; `is_inside` gets the condition under
/// which the element counts.
Expr padded_index(const Sampling& s, const Expr& i, const Expr& size, Expr* is_inside) {
  Expr place = i;
  if (s.padding == Padding::kZeros) {
    *is_inside = and_predicate(*is_inside, logical_and(ge(i, imm(0)), lt(i, size)));
  } else if (s.padding == Padding::kReflection) {
    const Expr period = s.aligns_corners ? max((size - 1) * 2, imm(1)) : size * 2;
    const Expr within = floormod(i, period);
    place = min(within, (s.aligns_corners ? period : period - 1) - within);
  }
  return min(max(place, imm(0)), size - 1);
}

Expr cubic_weight(const Expr& distance) {
  const DType t = distance->dtype;
  const Expr near =
      ((number(t, kCubic + 2) * distance - number(t, kCubic + 3)) * distance) * distance +
      number(t, 1);
  const Expr far =
      ((number(t, kCubic) * distance - number(t, 5 * kCubic)) * distance + number(t, 8 * kCubic)) *
          distance -
      number(t, 4 * kCubic);
  return te::select(le(distance, number(t, 1)), near,
                    te::select(lt(distance, number(t, 2)), far, number(t, 0)));
}

Sampling sampling_of(const NodeView& n) {
  Sampling s;
  s.mode = n.string_attr("mode", "linear");
  if (s.mode == "bilinear") s.mode = "linear";
  if (s.mode == "bicubic") s.mode = "cubic";
  if (s.mode != "linear" && s.mode != "cubic" && s.mode != "nearest")
    n.invalid("'mode' is '" + s.mode + "'");
  const std::string padding = n.string_attr("padding_mode", "zeros");
  if (padding == "border") {
    s.padding = Padding::kBorder;
  } else if (padding == "reflection") {
    s.padding = Padding::kReflection;
  } else if (padding != "zeros") {
    n.invalid("'padding_mode' is '" + padding + "'");
  }
  s.aligns_corners = n.int_attr("align_corners", 0) != 0;
  const bool is_wide = n.in(0)->dtype == kFloat64 || n.in(1)->dtype == kFloat64;
  s.dtype = is_wide ? kFloat64 : kFloat32;
  return s;
}

std::vector<Value> convert_grid_sample(const NodeView& n) {
  const Value &x = n.in(0), &grid = n.in(1);
  const Sampling s = sampling_of(n);
  const std::size_t rank = x->shape.size(), space = rank - 2;
  if (rank < 3 || grid->shape.size() != rank ||
      !is_int(grid->shape.back(), static_cast<std::int64_t>(space)) ||
      !graph::same_extent(grid->shape[0], x->shape[0]))
    n.invalid(
        detail::concat("a grid ", graph::type_str(*grid), " for an input ", graph::type_str(*x)));
  if (!grid->dtype.is_float() || (s.mode != "nearest" && !x->dtype.is_float()))
    n.invalid("the grid, and an input that is interpolated, should be floats");
  if (space > 3) n.unsupported(detail::concat("a grid over ", space, " dimensions"));
  for (std::size_t d = 0; d < space; ++d) {
    if (!n.require_not_negative(simplify_size(x->shape[2 + d] - 1)))
      n.unsupported(detail::concat("dimension ", 2 + d, " may have no elements"));
  }
  std::vector<Expr> shape{x->shape[0], x->shape[1]};
  shape.insert(shape.end(), grid->shape.begin() + 1, grid->shape.end() - 1);
  return {computed(
      "grid_sample", {x, grid}, shape,
      [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
        std::vector<Expr> where;
        for (std::size_t d = 0; d < space; ++d) {
          graph::Indices source{at[0]};
          source.insert(source.end(), at.begin() + 2, at.end());
          source.push_back(imm(static_cast<std::int64_t>(space - 1 - d)));
          where.push_back(coordinate(s, te::cast(s.dtype, read(1, source)), x->shape[2 + d]));
        }
        const auto element = [&](const std::vector<Expr>& indices) {
          Expr is_inside;
          graph::Indices place{at[0], at[1]};
          for (std::size_t d = 0; d < space; ++d)
            place.push_back(padded_index(s, indices[d], x->shape[2 + d], &is_inside));
          const Expr value = read(0, place);
          return is_inside ? te::select(is_inside, value, zero(x->dtype)) : value;
        };
        const auto index = [](const Expr& e) { return te::cast(kInt64, e); };
        if (s.mode == "nearest") {
          std::vector<Expr> indices;
          for (const Expr& v : where) indices.push_back(index(v));
          return element(indices);
        }
        if (s.mode == "cubic") {
          std::vector<IterVar> taps;
          std::vector<Expr> indices;
          Expr weight;
          for (const Expr& v : where) {
            taps.push_back(te::reduce_axis(imm(4), "k" + std::to_string(taps.size())));
            const Expr offset = taps.back().var - 1, base = floor_of(v);
            indices.push_back(index(base) + offset);
            const Expr w =
                cubic_weight(te::unary(UnaryOp::kAbs, te::cast(s.dtype, offset) - (v - base)));
            weight = weight ? weight * w : w;
          }
          return te::cast(x->dtype, te::sum(weight * te::cast(s.dtype, element(indices)), taps));
        }
        Expr total;
        for (std::size_t corner = 0; corner < std::size_t{1} << space; ++corner) {
          std::vector<Expr> indices;
          Expr weight;
          for (std::size_t d = 0; d < space; ++d) {
            const bool is_upper = (corner >> d & 1) != 0;
            const Expr base = floor_of(where[d]), ratio = where[d] - base;
            indices.push_back(index(base) + (is_upper ? 1 : 0));
            const Expr w = is_upper ? ratio : number(s.dtype, 1) - ratio;
            weight = weight ? weight * w : w;
          }
          const Expr term = weight * te::cast(s.dtype, element(indices));
          total = total ? total + term : term;
        }
        return te::cast(x->dtype, total);
      })};
}

std::vector<Value> convert_affine_grid(const NodeView& n) {
  const Value& theta = n.in(0);
  const std::vector<Expr> size = n.sizes(1);
  const bool aligns_corners = n.int_attr("align_corners", 0) != 0;
  const std::size_t space = size.size() - 2;
  const bool fits = (size.size() == 4 || size.size() == 5) && theta->shape.size() == 3 &&
                    theta->dtype.is_float() &&
                    is_int(theta->shape[1], static_cast<std::int64_t>(space)) &&
                    is_int(theta->shape[2], static_cast<std::int64_t>(space + 1)) &&
                    graph::same_extent(theta->shape[0], size[0]);
  if (!fits)
    n.invalid(detail::concat("transformations ", graph::type_str(*theta), " for a size of ",
                             size.size(), " dimensions"));
  std::vector<Expr> shape{theta->shape[0]};
  for (std::size_t d = 2; d < size.size(); ++d) {
    if (as_int(size[d]).value_or(0) < 0 || as_int(size[d]).value_or(0) > (std::int64_t{1} << 40))
      n.invalid(detail::concat("size ", *as_int(size[d])));
    shape.push_back(simplify_size(size[d]));
  }
  shape.push_back(imm(static_cast<std::int64_t>(space)));
  const DType t = theta->dtype == kFloat64 ? kFloat64 : kFloat32;
  return {computed("affine_grid", {theta}, shape,
                   [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                     const auto entry = [&](std::size_t j) {
                       return te::cast(
                           t, read(0, {at[0], at.back(), imm(static_cast<std::int64_t>(j))}));
                     };
                     Expr total = entry(space);
                     for (std::size_t j = 0; j < space; ++j) {
                       const std::size_t d = space - j;  // x first
                       const Expr twice = te::cast(t, at[d] * 2), length = te::cast(t, shape[d]);
                       const Expr one = number(t, 1);
                       const Expr base = aligns_corners ? twice / max(length - one, one) - one
                                                        : (twice + one) / length - one;
                       total = total + entry(j) * base;
                     }
                     return te::cast(theta->dtype, total);
                   })};
}

/// [num_rois, C, height, width] of the result; checks the operands.
std::vector<Expr> pooled_shape(const NodeView& n, std::int64_t columns, std::int64_t height,
                               std::int64_t width) {
  const Value &x = n.in(0), &rois = n.in(1);
  constexpr std::int64_t kMaxSize = 1 << 20;
  if (x->shape.size() != 4 || rois->shape.size() != 2 || !is_int(rois->shape[1], columns) ||
      !x->dtype.is_float() || rois->dtype != x->dtype)
    n.invalid(
        detail::concat("regions ", graph::type_str(*rois), " of an input ", graph::type_str(*x)));
  if (height < 1 || width < 1 || height > kMaxSize || width > kMaxSize)
    n.invalid(detail::concat("a result of ", height, " rows and ", width, " columns"));
  for (std::size_t d = 2; d < 4; ++d) {
    if (!n.require_not_negative(simplify_size(x->shape[d] - 1)))
      n.unsupported(detail::concat("dimension ", d, " may have no elements"));
  }
  return {rois->shape[0], x->shape[1], imm(height), imm(width)};
}

std::vector<Value> convert_roi_align(const NodeView& n) {
  const Value &x = n.in(0), &rois = n.in(1), &batch = n.in(2);
  const std::vector<Expr> shape =
      pooled_shape(n, 4, n.int_attr("output_height", 1), n.int_attr("output_width", 1));
  if (!batch->dtype.is_int() || batch->shape.size() != 1 ||
      !graph::same_extent(batch->shape[0], rois->shape[0]))
    n.invalid("there should be the index of an image for each region");
  const std::string mode = n.string_attr("mode", "avg");
  if (mode != "avg" && mode != "max") n.invalid("'mode' is '" + mode + "'");
  const std::int64_t samples = n.int_attr("sampling_ratio", 0);
  if (samples < 1)
    n.unsupported("'sampling_ratio' 0: how many elements are read depends on the regions");
  if (samples > (1 << 16)) n.invalid(detail::concat("'sampling_ratio' is ", samples));
  const std::string default_mode = n.version() < 16 ? "output_half_pixel" : "half_pixel";
  const bool is_half_pixel =
      n.string_attr("coordinate_transformation_mode", default_mode) == "half_pixel";
  const DType t = x->dtype == kFloat64 ? kFloat64 : kFloat32;
  const Expr scale = number(t, n.float_attr("spatial_scale", 1));
  const Expr shift = number(t, is_half_pixel ? 0.5 : 0);
  return {computed("roi_align", {x, rois, batch}, shape,
                   [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                     const std::vector<IterVar> k{te::reduce_axis(imm(samples), "ky"),
                                                  te::reduce_axis(imm(samples), "kx")};
                     // Of both dimensions: the two indices, the weight of the upper one, whether it
                     // counts.
                     std::vector<Expr> low, high, ratio;
                     Expr counts;
                     for (std::size_t d = 0; d < 2; ++d) {
                       const auto side = [&](std::int64_t j) {
                         return te::cast(t, read(1, {at[0], imm(j)})) * scale - shift;
                       };
                       const std::int64_t first = d == 0 ? 1 : 0;
                       const Expr start = side(first);
                       Expr length = side(first + 2) - start;
                       if (!is_half_pixel) length = max(length, number(t, 1));
                       const Expr bin = length / te::cast(t, shape[2 + d]);
                       const Expr step = (te::cast(t, k[d].var) + number(t, 0.5)) * bin /
                                         number(t, static_cast<double>(samples));
                       const Expr v = start + te::cast(t, at[2 + d]) * bin + step;
                       const Expr& size = x->shape[2 + d];
                       counts = and_predicate(
                           counts, logical_and(ge(v, number(t, -1)), le(v, te::cast(t, size))));
                       const Expr near = min(max(v, number(t, 0)), te::cast(t, size - 1));
                       low.push_back(min(te::cast(kInt64, floor_of(near)), size - 1));
                       high.push_back(min(low[d] + 1, size - 1));
                       ratio.push_back(near - te::cast(t, low[d]));
                     }
                     const Expr one = number(t, 1);
                     const Expr image = te::cast(kInt64, read(2, {at[0]}));
                     const auto corner = [&](bool is_low, bool is_left) {
                       const Expr weight = (is_low ? ratio[0] : one - ratio[0]) *
                                           (is_left ? one - ratio[1] : ratio[1]);
                       const Expr value = read(0, {image, at[1], is_low ? high[0] : low[0],
                                                   is_left ? low[1] : high[1]});
                       return te::select(counts, weight * te::cast(t, value), number(t, 0));
                     };
                     const Expr a = corner(false, true), b = corner(false, false),
                                c = corner(true, true), d = corner(true, false);
                     if (mode == "max")
                       return te::cast(x->dtype, te::max(max(max(a, b), max(c, d)), k));
                     const Expr count = number(t, static_cast<double>(samples * samples));
                     return te::cast(x->dtype, te::sum(a + b + c + d, k) / count);
                   })};
}

std::vector<Value> convert_max_roi_pool(const NodeView& n) {
  const Value &x = n.in(0), &rois = n.in(1);
  const std::vector<std::int64_t> pooled = n.ints_attr("pooled_shape");
  if (pooled.size() != 2) n.invalid("'pooled_shape' should be two sizes");
  const std::vector<Expr> shape = pooled_shape(n, 5, pooled[0], pooled[1]);
  const DType t = x->dtype == kFloat64 ? kFloat64 : kFloat32;
  const Expr scale = number(t, n.float_attr("spatial_scale", 1));
  return {computed(
      "max_roi_pool", {x, rois}, shape,
      [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
        const std::vector<IterVar> k{te::reduce_axis(x->shape[2], "ky"),
                                     te::reduce_axis(x->shape[3], "kx")};
        Expr is_inside, is_empty;
        for (std::size_t d = 0; d < 2; ++d) {
          const auto side = [&](std::int64_t j) {
            const Expr v = te::cast(t, read(1, {at[0], imm(j)})) * scale;
            const Expr near = max(min(v, number(t, kFarCoordinate)), number(t, -kFarCoordinate));
            return te::cast(kInt64, floor_of(near + number(t, 0.5)));
          };
          const std::int64_t first = d == 0 ? 2 : 1;
          const Expr start = side(first), length = max(side(first + 2) - start + 1, imm(1));
          const Expr& bins = shape[2 + d];
          const Expr begin = max(start + floordiv(at[2 + d] * length, bins), imm(0));
          const Expr end = min(start + ceildiv((at[2 + d] + 1) * length, bins), x->shape[2 + d]);
          is_inside = and_predicate(is_inside, logical_and(ge(k[d].var, begin), lt(k[d].var, end)));
          const Expr nothing = le(end, begin);
          is_empty = is_empty ? logical_or(is_empty, nothing) : nothing;
        }
        const Expr image = te::cast(kInt64, read(1, {at[0], imm(0)}));
        const Expr largest = te::max(read(0, {image, at[1], k[0].var, k[1].var}), k, is_inside);
        return te::select(is_empty, zero(x->dtype), largest);
      })};
}

std::vector<Value> convert_non_max_suppression(const NodeView& n) {
  n.unsupported("how many boxes are selected depends on their data");
}

}  // namespace

std::vector<Conversion> image_conversions() {
  return {
      {"AffineGrid", 20, kNative, convert_affine_grid},
      {"GridSample", 16, kNative, convert_grid_sample},
      {"MaxRoiPool", 1, kNative, convert_max_roi_pool},
      {"NonMaxSuppression", 10, kNative, convert_non_max_suppression},
      {"RoiAlign", 10, kNative, convert_roi_align},
  };
}

}  // namespace tenon::onnx
