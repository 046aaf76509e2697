// Pooling: over windows, and over all pixels.

#include <algorithm>
#include <limits>

#include "graph/onnx/tools.h"
#include "graph/onnx/window.h"
#include "tenon/ir/builder.h"
#include "tenon/te/expr.h"
#include "tenon/te/tensor.h"

namespace tenon::onnx {
namespace {

constexpr Support kNative = Support::kNative;
constexpr Support kDecomposed = Support::kDecomposed;

/// The window of a pooling; its largest element or mean is of nothing in padding alone.
NodeWindow pool_window(const NodeView& n) {
  const NodeWindow w = window_of(n, n.in(0)->shape, kernel_shape(n, spatial_rank(n)));
  for (std::size_t d = 0; d < w.rank(); ++d) {
    if (std::max(w.before[d], w.after[d]) >= w.span(d))
      n.unsupported("padding in which a whole window lies");
  }
  return w;
}

graph::OpAttrs attrs_of(const NodeWindow& w) {
  return {{"window", w.extents},
          {"strides", w.strides},
          {"dilations", w.dilations},
          {"padding", w.padding()}};
}

void check_float(const NodeView& n) {
  if (!n.in(0)->dtype.is_float()) n.invalid("expected floats, got " + to_string(n.in(0)->dtype));
}

std::vector<Value> convert_average_pool(const NodeView& n) {
  check_float(n);
  const NodeWindow w = pool_window(n);
  graph::OpAttrs attrs = attrs_of(w);
  attrs["count_padding"] = n.int_attr("count_include_pad", 0) != 0;
  attrs["counted_after"] = w.counted_after;
  const Value x = cast_to(n.in(0), sum_dtype(n.in(0)->dtype));
  const Value y = channels_first(op("avg_pool", {channels_last(x)}, attrs));
  return {cast_to(y, n.in(0)->dtype)};
}

/// The place in the input, counted in row-major order over all axes, of the first element of each
/// window that is `largest`: [n, c, spatial...].
Value places_of(const NodeView& n, const NodeWindow& w, const Value& largest) {
  const Value& x = n.in(0);
  const std::size_t rank = w.rank();
  std::vector<IterVar> k;
  for (std::size_t d = 0; d < rank; ++d) k.push_back(te::reduce_axis(imm(w.extents[d]), "k"));
  const auto body = [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
    graph::Indices from{at[0], at[1]};
    Expr inside, place = imm(0);
    for (std::size_t d = 0; d < rank; ++d) {
      const Expr i = at[d + 2] * w.strides[d] + k[d].var * w.dilations[d] - w.before[d];
      if (w.before[d] > 0) inside = and_predicate(inside, ge(i, imm(0)));
      if (w.after[d] > 0) inside = and_predicate(inside, lt(i, x->shape[d + 2]));
      from.push_back(i);
      place = place * x->shape[d + 2] + i;
    }
    const Expr element = read(0, from), top = read(1, at);
    Expr is_top = eq(element, top);
    if (x->dtype.is_float()) is_top = logical_or(is_top, ne(element, element));
    const Expr never = imm(std::numeric_limits<std::int64_t>::max());
    return te::min(te::select(is_top, place, never), k, inside);
  };
  const Value in_map = computed("places", {x, largest}, largest->shape, body);
  const bool is_column_major = n.int_attr("storage_order", 0) != 0;
  return computed("indices", {in_map}, largest->shape,
                  [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                    const Expr map = at[0] * x->shape[1] + at[1];
                    const Expr size = product(x->shape, 2, x->shape.size());
                    Expr place = read(0, at);
                    if (is_column_major) {
                      Expr rest = place;
                      place = imm(0);
                      for (std::size_t d = x->shape.size(); d-- > 2;) {
                        place = place * x->shape[d] + floormod(rest, x->shape[d]);
                        rest = floordiv(rest, x->shape[d]);
                      }
                    }
                    return map * size + place;
                  });
}

std::vector<Value> convert_max_pool(const NodeView& n) {
  const NodeWindow w = pool_window(n);
  const Value y = channels_first(op("max_pool", {channels_last(n.in(0))}, attrs_of(w)));
  if (!n.wants(1)) return {y};
  return {y, places_of(n, w, y)};
}

/// |x|^p, and its inverse for what is not negative.
Value power(const Value& x, std::int64_t p) {
  if (p == 1) return op("abs", {x});
  if (p == 2) return op("mul", {x, x});
  return op("pow", {op("abs", {x}), scalar(x->dtype, static_cast<double>(p))});
}
Value root(const Value& x, std::int64_t p) {
  if (p == 1) return x;
  if (p == 2) return op("sqrt", {x});
  return op("pow", {x, scalar(x->dtype, 1.0 / static_cast<double>(p))});
}

std::int64_t norm_of(const NodeView& n) {
  const std::int64_t p = n.int_attr("p", 2);
  if (p < 1) n.invalid(detail::concat("p = ", p, " should be at least 1"));
  return p;
}

/// The sum over a window is its mean, padding included, times its size.
std::vector<Value> convert_lp_pool(const NodeView& n) {
  check_float(n);
  const NodeWindow w = pool_window(n);
  const std::int64_t p = norm_of(n);
  double size = 1;
  for (const std::int64_t extent : w.extents) size *= static_cast<double>(extent);
  const Value x = channels_last(cast_to(n.in(0), sum_dtype(n.in(0)->dtype)));
  graph::OpAttrs attrs = attrs_of(w);
  attrs["count_padding"] = true;
  const Value mean = op("avg_pool", {power(x, p)}, attrs);
  const Value y = root(op("mul", {mean, scalar(x->dtype, size)}), p);
  return {cast_to(channels_first(y), n.in(0)->dtype)};
}

/// [n, c, spatial...] with each map replaced by one element, which `f` makes of [n, pixels..., c]
/// and the axes of the pixels.
template <typename F>
Value whole_maps(const NodeView& n, const Value& x, F f) {
  if (x->shape.size() < 2) n.invalid("expected an input [n, c, ...]");
  std::vector<std::int64_t> axes;
  std::vector<Expr> shape{x->shape[0], x->shape[1]};
  for (std::size_t d = 2; d < x->shape.size(); ++d) {
    axes.push_back(static_cast<std::int64_t>(d) - 1);
    shape.push_back(imm(1));
  }
  return axes.empty() ? x : reshape(f(channels_last(x), axes), shape);
}

std::vector<Value> convert_global_average_pool(const NodeView& n) {
  check_float(n);
  const Value x = cast_to(n.in(0), sum_dtype(n.in(0)->dtype));
  const Value y = whole_maps(n, x, [](const Value& maps, const std::vector<std::int64_t>& axes) {
    return reduce("mean", maps, axes, false);
  });
  return {cast_to(y, n.in(0)->dtype)};
}

std::vector<Value> convert_global_max_pool(const NodeView& n) {
  check_float(n);
  return {whole_maps(n, n.in(0), [](const Value& maps, const std::vector<std::int64_t>& axes) {
    return reduce("max", maps, axes, false);
  })};
}

std::vector<Value> convert_global_lp_pool(const NodeView& n) {
  check_float(n);
  const std::int64_t p = norm_of(n);
  const Value x = cast_to(n.in(0), sum_dtype(n.in(0)->dtype));
  const Value y = whole_maps(n, x, [&](const Value& maps, const std::vector<std::int64_t>& axes) {
    return root(reduce("sum", power(maps, p), axes, false), p);
  });
  return {cast_to(y, n.in(0)->dtype)};
}

}  // namespace

std::vector<Conversion> pooling_conversions() {
  return {
      {"AveragePool", 1, kNative, convert_average_pool},
      {"GlobalAveragePool", 1, kNative, convert_global_average_pool},
      {"GlobalLpPool", 2, kDecomposed, convert_global_lp_pool, "", "power, sum, root"},
      {"GlobalMaxPool", 1, kNative, convert_global_max_pool},
      {"LpPool", 2, kDecomposed, convert_lp_pool, "", "power, sums of windows, root"},
      {"MaxPool", 1, kNative, convert_max_pool},
  };
}

}  // namespace tenon::onnx
