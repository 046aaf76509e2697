// Parts of tensors: Slice, Split.

#include <algorithm>

#include "graph/onnx/tools.h"
#include "tenon/ir/builder.h"
#include "tenon/te/expr.h"

namespace tenon::onnx {
namespace {

constexpr Support kNative = Support::kNative;

/// The part of one dimension that a slice takes.
struct Part {
  Expr begin, extent;
  std::int64_t step = 1;
};

/// `e`, or `if_negative` where it is below zero.
Expr unless_negative(const Expr& e, const Expr& if_negative) {
  if (holds(ge(e, imm(0)))) return e;
  return simplify_size(te::select(lt(e, imm(0)), if_negative, e));
}

/// A place that a slice names, in [low, high] as in Python: what is far stands for an end.
Expr place(const Expr& given, const Expr& size, const Expr& low, const Expr& high) {
  if (const auto known = as_int(given)) {
    if (*known >= kFar) return high;
    if (*known <= -kFar) return low;
  }
  const Expr from_front = unless_negative(given, given + size);
  return simplify_size(min(max(from_front, low), high));
}

Part part_of(const Expr& size, const Expr& start, const Expr& end, std::int64_t step) {
  Part part;
  part.step = std::clamp(step, -kFar, kFar);
  if (step > 0) {
    part.begin = place(start, size, imm(0), size);
    const Expr length = place(end, size, imm(0), size) - part.begin;
    part.extent = max(ceildiv(length, imm(part.step)), imm(0));
  } else {
    const Expr last = size - 1;
    part.begin = place(start, size, imm(0), last);
    const Expr length = part.begin - place(end, size, imm(-1), last);
    part.extent = max(ceildiv(length, imm(-part.step)), imm(0));
  }
  part.extent = simplify_size(part.extent);
  if (is_int(part.extent, 0)) part = {imm(0), imm(0), 1};
  return part;
}

Value take(const Value& x, const std::vector<Part>& parts) {
  std::vector<Expr> begins, extents;
  std::vector<std::int64_t> steps;
  bool is_all = true;
  for (std::size_t d = 0; d < parts.size(); ++d) {
    begins.push_back(parts[d].begin);
    extents.push_back(parts[d].extent);
    steps.push_back(parts[d].step);
    is_all = is_all && is_int(parts[d].begin, 0) && parts[d].step == 1 &&
             graph::same_extent(parts[d].extent, x->shape[d]);
  }
  if (is_all) return x;
  return op("slice", {x}, {{"begins", begins}, {"extents", extents}, {"steps", steps}});
}

std::vector<Part> whole(const Value& x) {
  std::vector<Part> parts;
  for (const Expr& size : x->shape) parts.push_back({imm(0), size, 1});
  return parts;
}

std::vector<Expr> as_exprs(const std::vector<std::int64_t>& values) {
  std::vector<Expr> all;
  for (const std::int64_t v : values) all.push_back(imm(v));
  return all;
}

std::vector<Value> convert_slice(const NodeView& n) {
  const Value& x = n.in(0);
  const bool is_old = n.version() < 10;
  const std::vector<Expr> starts = is_old ? as_exprs(n.ints_attr("starts")) : n.sizes(1);
  const std::vector<Expr> ends = is_old ? as_exprs(n.ints_attr("ends")) : n.sizes(2);
  std::vector<std::int64_t> steps(starts.size(), 1);
  if (!is_old && n.has(4)) steps = n.ints(4);
  std::vector<std::int64_t> axes = axes_of(n, 3, "axes", x->shape.size());
  const bool is_given = n.has(3) || n.has_attr("axes");
  if (!is_given && starts.size() <= axes.size()) axes.resize(starts.size());
  if (ends.size() != starts.size() || steps.size() != starts.size() || axes.size() != starts.size())
    n.invalid(detail::concat(starts.size(), " starts, ", ends.size(), " ends, ", axes.size(),
                             " axes and ", steps.size(), " steps, expected as many of each"));
  std::vector<Part> parts = whole(x);
  for (std::size_t i = 0; i < axes.size(); ++i) {
    if (steps[i] == 0) n.invalid("a step is 0");
    const auto d = static_cast<std::size_t>(axes[i]);
    parts[d] = part_of(x->shape[d], starts[i], ends[i], steps[i]);
  }
  return {take(x, parts)};
}

/// Parts of equal size; the last one may be smaller from opset 18 on.
std::vector<Expr> equal_sizes(const NodeView& n, const Expr& size, std::int64_t count) {
  const auto known = as_int(size);
  if (n.version() < 18 && known && *known % count != 0)
    n.invalid(detail::concat("size ", *known, " cannot be divided by ", count));
  const Expr part = simplify_size(ceildiv(size, imm(count)));
  if (n.version() < 18 && !n.require_multiple(size, count))
    n.unsupported("parts of a size that is not fixed; give sizes=");
  std::vector<Expr> sizes;
  for (std::int64_t i = 0; i < count; ++i)
    sizes.push_back(simplify_size(max(min(size - part * i, part), imm(0))));
  return sizes;
}

std::vector<Value> convert_split(const NodeView& n) {
  const Value& x = n.in(0);
  const auto d = static_cast<std::size_t>(normal_axis(n, n.int_attr("axis", 0), x->shape.size()));
  const auto num_outputs = static_cast<std::int64_t>(n.num_outputs());
  std::vector<Expr> sizes;
  bool is_sum_known = false;
  if (n.has(1)) {
    sizes = n.sizes(1);
  } else if (n.has_attr("split")) {
    sizes = as_exprs(n.ints_attr("split"));
  } else {
    const std::int64_t count = n.int_attr("num_outputs", num_outputs);
    if (count != num_outputs || count < 1)
      n.invalid(detail::concat("'num_outputs' is ", count, " for ", num_outputs, " outputs"));
    sizes = equal_sizes(n, x->shape[d], count);
    is_sum_known = true;
  }
  if (static_cast<std::int64_t>(sizes.size()) != num_outputs)
    n.invalid(detail::concat(sizes.size(), " sizes are given for ", num_outputs, " outputs"));
  std::vector<Value> results;
  Expr begin = imm(0);
  for (const Expr& size : sizes) {
    const auto known = as_int(size);
    if (known && (*known < 0 || *known > kFar))
      n.invalid(detail::concat("a part of size ", *known));
    std::vector<Part> parts = whole(x);
    parts[d] = {begin, simplify_size(size), 1};
    begin = simplify_size(begin + size);
    results.push_back(take(x, parts));
  }
  if (!is_sum_known && !graph::same_extent(begin, x->shape[d]) && !holds(eq(begin, x->shape[d]))) {
    if (as_int(begin) && as_int(x->shape[d]))
      n.invalid(detail::concat("the sizes of the parts add up to ", *as_int(begin), ", expected ",
                               *as_int(x->shape[d])));
    n.unsupported("parts of a size that is not fixed; give sizes=");
  }
  return results;
}

}  // namespace

std::vector<Conversion> slice_conversions() {
  return {
      {"Slice", 1, kNative, convert_slice},
      {"Split", 2, kNative, convert_split},
  };
}

}  // namespace tenon::onnx
