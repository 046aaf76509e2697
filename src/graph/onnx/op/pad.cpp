// Pad, and crops with padding.

#include <algorithm>

#include "graph/onnx/tools.h"
#include "tenon/ir/builder.h"
#include "tenon/te/expr.h"

namespace tenon::onnx {
namespace {

constexpr Support kNative = Support::kNative;

/// One dimension of a result: its size, and how many of its elements are in front of those of the
/// operand (negative: these are cut off).
struct Edge {
  Expr begin, size;
};

bool is_part(const Value& x, const std::vector<Edge>& edges) {
  for (std::size_t d = 0; d < edges.size(); ++d) {
    if (!holds(le(edges[d].begin, imm(0))) ||
        !holds(le(edges[d].size - edges[d].begin, x->shape[d])))
      return false;
  }
  return true;
}

Value part(const Value& x, const std::vector<Edge>& edges) {
  std::vector<Expr> begins, extents;
  for (const Edge& e : edges) {
    begins.push_back(simplify_size(imm(0) - e.begin));
    extents.push_back(e.size);
  }
  if (graph::same_shape(extents, x->shape)) return x;
  return op("slice", {x}, {{"begins", begins}, {"extents", extents}});
}

/// `x` with `value`, a scalar, around it.
Value pad_constant(const Value& x, const Value& value, const std::vector<Edge>& edges) {
  if (is_part(x, edges)) return part(x, edges);
  std::vector<Expr> shape;
  for (const Edge& e : edges) shape.push_back(e.size);
  return computed("pad", {x, value}, shape,
                  [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                    graph::Indices place;
                    Expr is_inside = bool_imm(true);
                    for (std::size_t d = 0; d < at.size(); ++d) {
                      place.push_back(simplify_size(at[d] - edges[d].begin));
                      if (!holds(le(edges[d].begin, imm(0))))
                        is_inside = and_predicate(is_inside, ge(place[d], imm(0)));
                      if (!holds(le(edges[d].size - edges[d].begin, x->shape[d])))
                        is_inside = and_predicate(is_inside, lt(place[d], x->shape[d]));
                    }
                    return te::select(is_inside, read(0, place), read(1, {}));
                  });
}

enum class Mode : std::uint8_t { kConstant, kReflect, kEdge, kWrap };

Mode mode_of(const NodeView& n) {
  const std::string mode = n.string_attr("mode", "constant");
  if (mode == "constant") return Mode::kConstant;
  if (mode == "reflect") return Mode::kReflect;
  if (mode == "edge") return Mode::kEdge;
  if (mode == "wrap") return Mode::kWrap;
  n.invalid("'mode' is '" + mode + "'");
}

/// The element of a dimension of `size` elements that stands at `i`, which may lie outside, but not
/// by more than `size - 1` when `is_near`.
Expr repeated(Mode mode, const Expr& i, const Expr& size, bool is_near) {
  if (mode == Mode::kEdge) return min(max(i, imm(0)), size - 1);
  if (mode == Mode::kWrap) return floormod(i, size);
  if (is_near) {
    const Expr distance = max(i, imm(0) - i);
    return min(distance, (size - 1) * 2 - distance);
  }
  const Expr period = max((size - 1) * 2, imm(1));
  const Expr within = floormod(i, period);
  return min(within, period - within);
}

Value pad_repeated(const NodeView& n, Mode mode, const Value& x, const std::vector<Edge>& edges) {
  std::vector<Expr> shape;
  std::vector<bool> stays, is_near;
  for (std::size_t d = 0; d < edges.size(); ++d) {
    const Expr &size = x->shape[d], end = edges[d].size - edges[d].begin - size;
    shape.push_back(edges[d].size);
    stays.push_back(is_int(edges[d].begin, 0) && graph::same_extent(edges[d].size, size));
    is_near.push_back(holds(lt(edges[d].begin, size)) && holds(lt(end, size)));
    if (stays.back()) continue;
    if (is_int(size, 0)) n.invalid(detail::concat("dimension ", d, " has nothing to pad with"));
    if (!n.require_not_negative(simplify_size(size - 1)))
      n.unsupported(detail::concat("dimension ", d, " may have nothing to pad with"));
  }
  return computed(
      "pad", {x}, shape, [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
        graph::Indices place;
        for (std::size_t d = 0; d < at.size(); ++d)
          place.push_back(
              stays[d] ? at[d] : repeated(mode, at[d] - edges[d].begin, x->shape[d], is_near[d]));
        return read(0, place);
      });
}

/// The value to pad with, as a scalar.
Value padding_value(const NodeView& n, DType dtype) {
  if (n.version() < 11) return scalar(dtype, n.float_attr("value", 0));
  if (!n.has(2)) return scalar(dtype, 0);
  const Value& value = n.in(2);
  if (!is_int(product(value->shape, 0, value->shape.size()), 1))
    n.invalid("the value to pad with should be a number");
  if (value->dtype != dtype) n.invalid("the value to pad with has another dtype");
  return reshape(value, {});
}

/// Pads of all dimensions: those in front, then those at the end.
std::vector<Expr> all_pads(const NodeView& n, std::size_t rank) {
  std::vector<Expr> given;
  if (n.version() < 11) {
    for (const std::int64_t p : n.ints_attr(n.version() < 2 ? "paddings" : "pads"))
      given.push_back(imm(p));
  } else {
    given = n.sizes(1);
  }
  const std::vector<std::int64_t> axes = axes_of(n, 3, "axes", rank);
  if (given.size() != 2 * axes.size())
    n.invalid(detail::concat(given.size(), " pads for ", axes.size(), " dimensions"));
  std::vector<Expr> pads(2 * rank, imm(0));
  for (std::size_t i = 0; i < axes.size(); ++i) {
    for (std::size_t side = 0; side < 2; ++side) {
      const Expr& pad = given[side * axes.size() + i];
      if (const auto known = as_int(pad); known && (*known > kFar || *known < -kFar))
        n.invalid(detail::concat("a dimension is padded by ", *known));
      pads[side * rank + static_cast<std::size_t>(axes[i])] = simplify_size(pad);
    }
  }
  return pads;
}

/// A size that has to be one.
Expr checked_size(const NodeView& n, std::size_t d, const Expr& size) {
  const Expr simple = simplify_size(size);
  if (const auto known = as_int(simple); known && *known < 0)
    n.invalid(detail::concat("dimension ", d, " would have size ", *known));
  return n.require_not_negative(simple) ? simple : simplify_size(max(simple, imm(0)));
}

std::vector<Value> convert_pad(const NodeView& n) {
  Value x = n.in(0);
  const std::size_t rank = x->shape.size();
  const Mode mode = mode_of(n);
  const std::vector<Expr> pads = all_pads(n, rank);
  std::vector<Edge> edges;
  if (mode == Mode::kConstant) {
    for (std::size_t d = 0; d < rank; ++d)
      edges.push_back({pads[d], checked_size(n, d, x->shape[d] + pads[d] + pads[rank + d])});
    return {pad_constant(x, padding_value(n, x->dtype), edges)};
  }
  // What is cut off cannot be repeated.
  std::vector<Edge> cuts;
  for (std::size_t d = 0; d < rank; ++d) {
    const Expr begin = simplify_size(min(pads[d], imm(0)));
    const Expr end = simplify_size(min(pads[rank + d], imm(0)));
    cuts.push_back({begin, checked_size(n, d, x->shape[d] + begin + end)});
  }
  x = part(x, cuts);
  for (std::size_t d = 0; d < rank; ++d) {
    const Expr begin = simplify_size(max(pads[d], imm(0)));
    const Expr end = simplify_size(max(pads[rank + d], imm(0)));
    edges.push_back({begin, simplify_size(x->shape[d] + begin + end)});
  }
  return {is_part(x, edges) ? x : pad_repeated(n, mode, x, edges)};
}

std::vector<Value> convert_center_crop_pad(const NodeView& n) {
  const Value& x = n.in(0);
  const std::vector<Expr> wanted = n.sizes(1);
  const std::vector<std::int64_t> axes = axes_of(n, 2, "axes", x->shape.size());
  if (wanted.size() != axes.size())
    n.invalid(detail::concat(wanted.size(), " sizes for ", axes.size(), " dimensions"));
  std::vector<Edge> edges;
  for (const Expr& size : x->shape) edges.push_back({imm(0), size});
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const auto d = static_cast<std::size_t>(axes[i]);
    const Expr have = x->shape[d], more = wanted[i] - have;
    if (const auto known = as_int(wanted[i]); known && *known > kFar)
      n.invalid(detail::concat("dimension ", d, " would have size ", *known));
    const Expr begin = te::select(lt(more, imm(0)), imm(0) - floordiv(imm(0) - more, imm(2)),
                                  floordiv(more, imm(2)));
    edges[d] = {simplify_size(begin), checked_size(n, d, wanted[i])};
  }
  return {pad_constant(x, scalar(x->dtype, 0), edges)};
}

}  // namespace

std::vector<Conversion> pad_conversions() {
  return {
      {"CenterCropPad", 18, kNative, convert_center_crop_pad},
      {"Pad", 1, kNative, convert_pad},
  };
}

}  // namespace tenon::onnx
