// Resize and Upsample. A coordinate in the operand is a quotient of integers (except with a region,
// tf_crop_and_resize), so that no rounding decides which element is the nearest.

#include <algorithm>
#include <cmath>
#include <optional>

#include "graph/onnx/tools.h"
#include "tenon/ir/builder.h"
#include "tenon/te/expr.h"
#include "tenon/te/tensor.h"

namespace tenon::onnx {
namespace {

constexpr Support kNative = Support::kNative;
constexpr Support kDecomposed = Support::kDecomposed;

/// Elements that one element of an antialiased result is made of, along one axis.
constexpr std::int64_t kMaxTaps = 1 << 16;

/// How one axis is resized: by the factor numerator / denominator.
struct Axis {
  std::size_t dimension = 0;
  Expr in, out;
  Expr numerator, denominator;
  Expr begin, end;  ///< of the region, float64; null without
  bool is_by_size = false;
};

struct Settings {
  std::string mode, coordinates, rounding;
  double cubic = 0;
  bool excludes_outside = false, is_antialiased = false;
  double outside = 0;
};

/// Where an element of the result lies in the operand.
struct Source {
  Expr numerator, denominator;  ///< of the coordinate; or null, and then
  Expr coordinate;              ///< the coordinate, float64
  Expr is_inside;               ///< null: always
};

Expr as_double(const Expr& e) { return te::cast(kFloat64, e); }

Source source_of(const Settings& s, const Axis& a, const Expr& x) {
  const Expr &p = a.numerator, &q = a.denominator, middle = x * 2 + 1;
  Source source;
  if (s.coordinates == "asymmetric") {
    source = {x * q, p, nullptr, nullptr};
  } else if (s.coordinates == "tf_half_pixel_for_nn") {
    source = {middle * q, p * 2, nullptr, nullptr};
  } else if (s.coordinates == "half_pixel_symmetric") {
    source = {(a.in - 1) * p + (middle - a.out) * q, p * 2, nullptr, nullptr};
  } else if (s.coordinates == "align_corners") {
    source = a.is_by_size ? Source{x * (a.in - 1), a.out - 1, nullptr, nullptr}
                          : Source{x * (a.in - 1) * q, p * a.in - q, nullptr, nullptr};
  } else if (s.coordinates == "tf_crop_and_resize") {
    const Expr last = as_double(a.in - 1), range = a.end - a.begin;
    const Expr steps = as_double(max(a.out - 1, imm(1)));
    const Expr in_range = te::select(eq(a.out, imm(1)), range * last / float_imm(kFloat64, 2),
                                     as_double(x) * range * last / steps);
    source.coordinate = in_range + a.begin * last;
    source.is_inside =
        logical_and(ge(source.coordinate, float_imm(kFloat64, 0)), le(source.coordinate, last));
    return source;
  } else {  // half_pixel, pytorch_half_pixel
    source = {middle * q - p, p * 2, nullptr, nullptr};
    if (s.coordinates == "pytorch_half_pixel")
      source.numerator = te::select(eq(a.out, imm(1)), imm(0), source.numerator);
  }
  source.numerator = simplify_size(source.numerator);
  source.denominator = simplify_size(max(source.denominator, imm(1)));
  return source;
}

Expr clamped(const Axis& a, const Expr& i) { return min(max(i, imm(0)), a.in - 1); }

Expr floor_of(const Source& s) {
  if (!s.coordinate) return floordiv(s.numerator, s.denominator);
  return te::cast(kInt64, te::unary(UnaryOp::kFloor, s.coordinate));
}

/// What the coordinate is above its floor.
Expr ratio_of(const Source& s, DType dtype) {
  if (s.coordinate) return te::cast(dtype, s.coordinate - te::unary(UnaryOp::kFloor, s.coordinate));
  const Expr rest = floormod(s.numerator, s.denominator);
  return te::cast(dtype, rest) / te::cast(dtype, s.denominator);
}

Expr nearest(const Settings& s, const Source& c) {
  if (c.coordinate) {
    const Expr half = float_imm(kFloat64, 0.5);
    const auto rounded = [&](UnaryOp op, const Expr& e) {
      return te::cast(kInt64, te::unary(op, e));
    };
    if (s.rounding == "floor") return rounded(UnaryOp::kFloor, c.coordinate);
    if (s.rounding == "ceil") return rounded(UnaryOp::kCeil, c.coordinate);
    if (s.rounding == "round_prefer_ceil") return rounded(UnaryOp::kFloor, c.coordinate + half);
    return rounded(UnaryOp::kCeil, c.coordinate - half);
  }
  const Expr &n = c.numerator, &d = c.denominator;
  if (s.rounding == "floor") return floordiv(n, d);
  if (s.rounding == "ceil") return ceildiv(n, d);
  if (s.rounding == "round_prefer_ceil") return floordiv(n * 2 + d, d * 2);
  return ceildiv(n * 2 - d, d * 2);
}

Value resize_nearest(const Settings& s, const Value& x, const std::vector<Axis>& axes) {
  std::vector<Expr> shape = x->shape;
  for (const Axis& a : axes) shape[a.dimension] = a.out;
  return computed("resize", {x}, shape,
                  [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                    graph::Indices place = at;
                    Expr is_inside;
                    for (const Axis& a : axes) {
                      const Source source = source_of(s, a, at[a.dimension]);
                      place[a.dimension] = clamped(a, nearest(s, source));
                      if (source.is_inside) is_inside = and_predicate(is_inside, source.is_inside);
                    }
                    Expr element = read(0, place);
                    if (!is_inside) return element;
                    return te::select(is_inside, element, const_like(x->dtype, s.outside));
                  });
}

/// The weight of an element at `distance` (>= 0) from the coordinate.
Expr weight(const Settings& s, const Expr& distance) {
  const DType t = distance->dtype;
  const auto number = [&](double v) { return float_imm(t, v); };
  if (s.mode == "linear") return max(number(1) - distance, number(0));
  const double a = s.cubic;
  const Expr near = ((number(a + 2) * distance - number(a + 3)) * distance) * distance + number(1);
  const Expr far = ((number(a) * distance - number(5 * a)) * distance + number(8 * a)) * distance -
                   number(4 * a);
  return te::select(le(distance, number(1)), near,
                    te::select(lt(distance, number(2)), far, number(0)));
}

/// One axis as a sum of a few elements with their weights.
Expr sum_of_taps(const Settings& s, const Axis& a, const Source& source, DType dtype,
                 const std::function<Expr(const Expr&)>& element) {
  const Expr base = floor_of(source), ratio = ratio_of(source, dtype);
  const std::int64_t first = s.mode == "linear" ? 0 : -1, last = s.mode == "linear" ? 1 : 2;
  Expr total, weights;
  for (std::int64_t k = first; k <= last; ++k) {
    const Expr i = base + k;
    // The distance is not negative without taking its absolute value.
    const Expr offset = float_imm(dtype, static_cast<double>(k));
    Expr w = weight(s, k <= 0 ? ratio - offset : offset - ratio);
    if (s.excludes_outside) {
      const Expr is_outside = logical_or(lt(i, imm(0)), ge(i, a.in));
      w = te::select(is_outside, zero(dtype), w);
    }
    const Expr term = w * element(clamped(a, i));
    total = total ? total + term : term;
    weights = weights ? weights + w : w;
  }
  return s.excludes_outside ? total / weights : total;
}

/// One axis with a filter that is as wide as the step in the operand.
Expr filtered(const NodeView& n, const Settings& s, const Axis& a, const Source& source,
              DType dtype, const std::function<Expr(const Expr&)>& element) {
  const auto p = as_int(a.numerator), q = as_int(a.denominator);
  if (!p || !q) n.unsupported("'antialias' for a size that is not fixed; give sizes=");
  const std::int64_t radius = s.mode == "linear" ? 1 : 2;
  const double scale = std::min(1.0, static_cast<double>(*p) / static_cast<double>(*q));
  const std::int64_t start = *p >= *q ? 1 - radius : 1 - (radius * *q + *p - 1) / *p;
  const std::int64_t count = 2 - 2 * start;
  if (count > kMaxTaps) n.unsupported(detail::concat("a filter over ", count, " elements"));
  const Expr base = floor_of(source) + start, ratio = ratio_of(source, dtype);
  const auto weight_of = [&](const Expr& k) {
    const Expr offset = te::cast(dtype, k + start) - ratio;
    Expr w = weight(s, te::unary(UnaryOp::kAbs, offset * float_imm(dtype, scale)));
    if (!s.excludes_outside) return w;
    const Expr is_outside = logical_or(lt(base + k, imm(0)), ge(base + k, a.in));
    return te::select(is_outside, zero(dtype), w);
  };
  const IterVar k = te::reduce_axis(imm(count), "k"), j = te::reduce_axis(imm(count), "j");
  const Expr total = te::sum(weight_of(k.var) * element(clamped(a, base + k.var)), {k});
  return total / te::sum(weight_of(j.var), {j});
}

Value interpolate(const NodeView& n, const Settings& s, const Value& x, const Axis& a) {
  std::vector<Expr> shape = x->shape;
  shape[a.dimension] = a.out;
  const bool is_filtered = s.is_antialiased && !graph::same_extent(a.numerator, a.denominator);
  return computed("resize", {x}, shape,
                  [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                    const auto element = [&](const Expr& i) {
                      graph::Indices place = at;
                      place[a.dimension] = i;
                      return read(0, place);
                    };
                    const Source source = source_of(s, a, at[a.dimension]);
                    Expr value = is_filtered ? filtered(n, s, a, source, x->dtype, element)
                                             : sum_of_taps(s, a, source, x->dtype, element);
                    if (!source.is_inside) return value;
                    return te::select(source.is_inside, value, float_imm(x->dtype, s.outside));
                  });
}

Value resized(const NodeView& n, const Settings& s, const Value& x, std::vector<Axis> axes) {
  const auto stays = [&](const Axis& a) {
    const bool is_plain =
        s.coordinates != "tf_half_pixel_for_nn" && s.coordinates != "tf_crop_and_resize";
    return is_plain && graph::same_extent(a.numerator, a.denominator) &&
           graph::same_extent(a.in, a.out);
  };
  axes.erase(std::remove_if(axes.begin(), axes.end(), stays), axes.end());
  if (axes.empty()) return x;
  bool is_empty = false;
  for (const Axis& a : axes) {
    if (const auto size = as_int(a.out); size && (*size < 0 || *size > kFar))
      n.invalid(detail::concat("dimension ", a.dimension, " would have size ", *size));
    is_empty = is_empty || is_int(a.out, 0);
  }
  if (is_empty) {
    std::vector<Expr> shape = x->shape;
    for (const Axis& a : axes) shape[a.dimension] = a.out;
    return broadcast(scalar(x->dtype, 0), shape);
  }
  for (const Axis& a : axes) {
    if (is_int(a.in, 0)) n.invalid(detail::concat("dimension ", a.dimension, " has no elements"));
    if (!n.require_not_negative(simplify_size(a.in - 1)))
      n.unsupported(detail::concat("dimension ", a.dimension, " may have no elements"));
  }
  if (s.mode == "nearest") return resize_nearest(s, x, axes);
  if (x->dtype.is_bool()) n.invalid("bools cannot be interpolated");
  const DType dtype = x->dtype == kFloat64 ? kFloat64 : kFloat32;
  Value result = cast_to(x, dtype);
  for (const Axis& a : axes) result = interpolate(n, s, result, a);
  return cast_to(result, x->dtype);
}

/// A positive float as a quotient of integers.
void set_factor(const NodeView& n, double factor, Axis* axis) {
  if (!(factor > 0) || !std::isfinite(factor))
    n.invalid(detail::concat("a scale is ", factor, ", expected a positive number"));
  int exponent = 0;
  double numerator = std::frexp(factor, &exponent);
  while (numerator != std::floor(numerator)) {
    numerator *= 2;
    --exponent;
  }
  constexpr int kMaxExponent = 36;
  if (exponent < -kMaxExponent || exponent > kMaxExponent - 24)
    n.unsupported(detail::concat("a scale of ", factor));
  axis->numerator = imm(static_cast<std::int64_t>(std::ldexp(numerator, std::max(exponent, 0))));
  axis->denominator = imm(std::int64_t{1} << std::max(-exponent, 0));
}

/// The size that a scale gives: floor(size * scale).
Expr scaled_size(const NodeView& n, const Expr& size, double factor, const Axis& axis) {
  if (const auto known = as_int(size)) {
    // In float32, as models are made: 0.7 stands for 7 / 10.
    const float scaled = static_cast<float>(factor) * static_cast<float>(*known);
    if (scaled > static_cast<float>(kFar)) n.invalid("a scale makes a dimension too long");
    return imm(static_cast<std::int64_t>(std::floor(scaled)));
  }
  constexpr std::int64_t kExact = 256;  // the product is exact in float32 then
  if (*as_int(axis.denominator) > kExact)
    n.unsupported(
        detail::concat("a size that is not fixed is scaled by ", factor, "; give sizes="));
  return simplify_size(floordiv(size * axis.numerator, axis.denominator));
}

Settings settings_of(const NodeView& n) {
  Settings s;
  s.mode = n.string_attr("mode", "nearest");
  if (s.mode == "bilinear") s.mode = "linear";
  s.coordinates = n.string_attr("coordinate_transformation_mode", "half_pixel");
  s.rounding = n.string_attr("nearest_mode", "round_prefer_floor");
  s.cubic = n.float_attr("cubic_coeff_a", -0.75);
  s.excludes_outside = n.int_attr("exclude_outside", 0) != 0;
  s.is_antialiased = n.int_attr("antialias", 0) != 0 && s.mode != "nearest";
  s.outside = n.float_attr("extrapolation_value", 0);
  const auto check = [&](const std::string& what, const std::string& given,
                         const std::vector<std::string>& names) {
    if (std::find(names.begin(), names.end(), given) == names.end())
      n.invalid("'" + what + "' is '" + given + "'");
  };
  check("mode", s.mode, {"nearest", "linear", "cubic"});
  check("coordinate_transformation_mode", s.coordinates,
        {"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
         "tf_half_pixel_for_nn", "tf_crop_and_resize"});
  check("nearest_mode", s.rounding, {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"});
  return s;
}

/// Resizing before there was a choice of coordinates.
Settings old_settings(const NodeView& n, const std::vector<double>& scales) {
  Settings s = settings_of(n);
  s.coordinates = "asymmetric";
  const bool shrinks = std::any_of(scales.begin(), scales.end(), [](double f) { return f < 1; });
  s.rounding = shrinks ? "ceil" : "floor";
  return s;
}

std::vector<Axis> axes_by_scales(const NodeView& n, const std::vector<std::int64_t>& axes,
                                 const std::vector<double>& scales) {
  if (scales.size() != axes.size())
    n.invalid(detail::concat(scales.size(), " scales for ", axes.size(), " dimensions"));
  std::vector<Axis> result(axes.size());
  for (std::size_t i = 0; i < axes.size(); ++i) {
    Axis& a = result[i];
    a.dimension = static_cast<std::size_t>(axes[i]);
    a.in = n.in(0)->shape[a.dimension];
    set_factor(n, scales[i], &a);
    a.out = scaled_size(n, a.in, scales[i], a);
  }
  return result;
}

/// Sizes that keep the ratio of sides.
void keep_ratio(const NodeView& n, const std::string& policy, std::vector<Axis>* axes) {
  if (policy == "stretch") return;
  if (policy != "not_larger" && policy != "not_smaller")
    n.invalid("'keep_aspect_ratio_policy' is '" + policy + "'");
  const Axis* best = nullptr;
  const auto product = [&](const Expr& a, const Expr& b) { return *as_int(a) * *as_int(b); };
  for (const Axis& a : *axes) {
    if (!as_int(a.in) || !as_int(a.out))
      n.unsupported("'keep_aspect_ratio_policy' for a size that is not fixed; give sizes=");
    if (*as_int(a.in) < 1 || *as_int(a.in) > (1 << 24) || *as_int(a.out) > (1 << 24))
      n.invalid(detail::concat("dimension ", a.dimension, " of size ", *as_int(a.in),
                               " is resized to ", *as_int(a.out)));
    const bool is_better =
        best == nullptr ||
        (policy == "not_larger" ? product(a.out, best->in) < product(best->out, a.in)
                                : product(a.out, best->in) > product(best->out, a.in));
    if (is_better) best = &a;
  }
  if (best == nullptr) return;
  const Expr p = best->out, q = best->in;
  for (Axis& a : *axes) {
    a.numerator = p;
    a.denominator = q;
    a.out = floordiv(a.in * p * 2 + q, q * 2);
    a.is_by_size = false;
  }
}

std::vector<Axis> axes_by_sizes(const NodeView& n, const std::vector<std::int64_t>& axes) {
  const std::vector<Expr> sizes = n.sizes(3);
  if (sizes.size() != axes.size())
    n.invalid(detail::concat(sizes.size(), " sizes for ", axes.size(), " dimensions"));
  std::vector<Axis> result(axes.size());
  for (std::size_t i = 0; i < axes.size(); ++i) {
    Axis& a = result[i];
    a.dimension = static_cast<std::size_t>(axes[i]);
    a.in = n.in(0)->shape[a.dimension];
    a.out = simplify_size(sizes[i]);
    if (const auto size = as_int(a.out); size && (*size < 0 || *size > kFar))
      n.invalid(detail::concat("dimension ", a.dimension, " would have size ", *size));
    a.numerator = a.out;
    a.denominator = a.in;
    a.is_by_size = true;
  }
  keep_ratio(n, n.string_attr("keep_aspect_ratio_policy", "stretch"), &result);
  return result;
}

/// Whether operand `i` is there and has elements: an empty one stands for none.
bool is_given(const NodeView& n, std::size_t i) {
  return n.has(i) && !is_int(product(n.in(i)->shape, 0, n.rank(i)), 0);
}

std::vector<Value> convert_resize(const NodeView& n) {
  const Value& x = n.in(0);
  const Settings s = settings_of(n);
  const std::vector<std::int64_t> dims = axes_of(n, ~std::size_t{0}, "axes", x->shape.size());
  if (is_given(n, 2) == is_given(n, 3)) n.invalid("either scales or sizes should be given");
  std::vector<Axis> axes =
      is_given(n, 3) ? axes_by_sizes(n, dims) : axes_by_scales(n, dims, n.floats(2));
  if (s.coordinates == "tf_crop_and_resize") {
    const std::vector<double> region = n.floats(1);
    if (region.size() != 2 * dims.size())
      n.invalid(detail::concat("the region has ", region.size(), " numbers for ", dims.size(),
                               " dimensions"));
    for (std::size_t i = 0; i < axes.size(); ++i) {
      axes[i].begin = float_imm(kFloat64, region[i]);
      axes[i].end = float_imm(kFloat64, region[dims.size() + i]);
    }
    // A whole dimension that keeps its size needs no arithmetic.
    axes.erase(std::remove_if(axes.begin(), axes.end(),
                              [&](const Axis& a) {
                                return a.begin.as<FloatImmNode>()->value == 0 &&
                                       a.end.as<FloatImmNode>()->value == 1 &&
                                       graph::same_extent(a.in, a.out);
                              }),
               axes.end());
  }
  return {resized(n, s, x, std::move(axes))};
}

std::vector<Value> convert_old_resize(const NodeView& n) {
  std::vector<double> scales;
  if (n.has_attr("scales")) {
    for (const float f : n.floats_attr("scales")) scales.push_back(f);
  } else {
    scales = n.floats(1);
  }
  const std::vector<std::int64_t> dims = axes_of(n, ~std::size_t{0}, "", n.rank(0));
  return {resized(n, old_settings(n, scales), n.in(0), axes_by_scales(n, dims, scales))};
}

}  // namespace

std::vector<Conversion> resize_conversions() {
  return {
      {"Resize", 10, kNative, convert_old_resize},
      {"Resize", 11, kDecomposed, convert_resize},
      {"Upsample", 7, kNative, convert_old_resize},
  };
}

}  // namespace tenon::onnx
