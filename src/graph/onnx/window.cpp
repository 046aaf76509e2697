#include "graph/onnx/window.h"

#include <algorithm>

#include "graph/onnx/tools.h"
#include "tenon/ir/builder.h"

namespace tenon::onnx {
namespace {

constexpr std::int64_t kMost = (std::int64_t{1} << 31) - 1;  // products fit into 64 bits

enum class AutoPad { kNone, kUpper, kLower, kValid };

AutoPad auto_pad(const NodeView& n) {
  const std::string name = n.string_attr("auto_pad", "NOTSET");
  if (name == "SAME_UPPER") return AutoPad::kUpper;
  if (name == "SAME_LOWER") return AutoPad::kLower;
  if (name == "VALID") return AutoPad::kValid;
  if (!name.empty() && name != "NOTSET") n.invalid("auto_pad is '" + name + "'");
  return AutoPad::kNone;
}

std::int64_t ceil_ratio(std::int64_t a, std::int64_t b) { return a / b + (a % b > 0 ? 1 : 0); }

/// Padding so that there are as many windows as strides in the axis.
void pad_same(const NodeView& n, NodeWindow* w, std::size_t d, const Expr& extent, bool is_upper) {
  const auto size = as_int(extent);
  if (!size && w->strides[d] != 1)
    n.unsupported(
        "the padding that auto_pad asks for depends on a size that is not fixed; give sizes=");
  const std::int64_t total =
      size ? (ceil_ratio(*size, w->strides[d]) - 1) * w->strides[d] + w->span(d) - *size
           : w->span(d) - 1;
  const std::int64_t padding = std::max<std::int64_t>(total, 0), half = padding / 2;
  w->before[d] = is_upper ? half : padding - half;
  w->after[d] = w->counted_after[d] = padding - w->before[d];
}

/// Makes `after` what windows reach: rounding the number of windows up adds to it.
void settle_after(const NodeView& n, NodeWindow* w, std::size_t d, const Expr& extent,
                  bool rounds_up) {
  const std::int64_t stride = w->strides[d], span = w->span(d);
  const auto size = as_int(extent);
  if (!size) {
    if (!rounds_up) return;
    if (w->after[d] + stride > span)
      n.unsupported("ceil_mode over a size that is not fixed; give sizes=");
    w->after[d] += stride - 1;
    return;
  }
  const std::int64_t room = *size + w->before[d] + w->after[d] - span;
  // Rounded up, a window that is larger than the input by less than a stride is one.
  if (room < 0 && !(rounds_up && room > -stride)) return;  // the operator says that it is too large
  std::int64_t windows = (rounds_up ? ceil_ratio(room, stride) : room / stride) + 1;
  if (rounds_up && windows > 1 && (windows - 1) * stride >= *size + w->before[d]) --windows;
  w->after[d] = std::max<std::int64_t>((windows - 1) * stride + span - *size - w->before[d], 0);
}

}  // namespace

std::vector<std::int64_t> NodeWindow::padding() const {
  std::vector<std::int64_t> both;
  for (std::size_t d = 0; d < rank(); ++d) {
    both.push_back(before[d]);
    both.push_back(after[d]);
  }
  return both;
}

std::vector<std::int64_t> spatial_attr(const NodeView& n, const char* name, std::size_t rank,
                                       std::int64_t least, std::int64_t otherwise) {
  std::vector<std::int64_t> values = n.ints_attr(name);
  if (values.empty()) values.assign(rank, otherwise);
  if (values.size() != rank)
    n.invalid(detail::concat("attribute '", name, "' should have ", rank, " numbers, got ",
                             values.size()));
  for (const std::int64_t value : values) {
    if (value < least || value > kMost)
      n.invalid(detail::concat("attribute '", name, "' has a number ", value,
                               ", which should be from ", least, " to ", kMost));
  }
  return values;
}

std::vector<std::int64_t> kernel_shape(const NodeView& n, std::size_t rank) {
  if (n.ints_attr("kernel_shape").empty()) n.invalid("attribute 'kernel_shape' is missing");
  return spatial_attr(n, "kernel_shape", rank, 1, 1);
}

std::size_t spatial_rank(const NodeView& n) {
  const std::size_t rank = n.rank(0);
  if (rank < 3) n.invalid(detail::concat("expected an input [n, c, ...], got ", rank, " axes"));
  if (rank > 5) n.unsupported("windows over more than 3 axes");
  return rank - 2;
}

NodeWindow window_of(const NodeView& n, const std::vector<Expr>& shape,
                     const std::vector<std::int64_t>& extents) {
  NodeWindow w;
  const std::size_t rank = extents.size();
  w.extents = extents;
  w.strides = spatial_attr(n, "strides", rank, 1, 1);
  w.dilations = spatial_attr(n, "dilations", rank, 1, 1);
  for (std::size_t d = 0; d < rank; ++d) {
    if (const auto size = as_int(shape[d + 2]); size && *size > kMost)
      n.unsupported(detail::concat("windows over an axis of ", *size, " elements"));
    if (extents[d] > 1 && extents[d] - 1 > kMost / w.dilations[d])
      n.unsupported(detail::concat("a window of ", extents[d], " elements with ", w.dilations[d],
                                   " from one to the next"));
  }
  const AutoPad automatic = auto_pad(n);
  std::vector<std::int64_t> pads(2 * rank, 0);
  if (automatic == AutoPad::kNone && !n.ints_attr("pads").empty()) {
    pads = n.ints_attr("pads");
    if (pads.size() == 2 * rank &&
        std::any_of(pads.begin(), pads.end(), [](auto p) { return p < 0; }))
      n.unsupported("negative padding");
    pads = spatial_attr(n, "pads", 2 * rank, 0, 0);
  }
  w.before.assign(pads.begin(), pads.begin() + static_cast<std::ptrdiff_t>(rank));
  w.after.assign(pads.begin() + static_cast<std::ptrdiff_t>(rank), pads.end());
  w.counted_after = w.after;
  const bool rounds_up = n.int_attr("ceil_mode", 0) != 0 && automatic == AutoPad::kNone;
  for (std::size_t d = 0; d < rank; ++d) {
    if (automatic == AutoPad::kUpper || automatic == AutoPad::kLower) {
      pad_same(n, &w, d, shape[d + 2], automatic == AutoPad::kUpper);
    } else {
      settle_after(n, &w, d, shape[d + 2], rounds_up);
    }
  }
  return w;
}

std::vector<std::int64_t> axes_to_last(std::size_t rank) {
  std::vector<std::int64_t> axes{0};
  for (std::size_t d = 2; d < rank; ++d) axes.push_back(static_cast<std::int64_t>(d));
  axes.push_back(1);
  return axes;
}

std::vector<std::int64_t> axes_to_first(std::size_t rank) {
  std::vector<std::int64_t> axes{0, static_cast<std::int64_t>(rank) - 1};
  for (std::size_t d = 1; d + 1 < rank; ++d) axes.push_back(static_cast<std::int64_t>(d));
  return axes;
}

Value channels_last(const Value& x) { return transpose(x, axes_to_last(x->shape.size())); }
Value channels_first(const Value& x) { return transpose(x, axes_to_first(x->shape.size())); }

}  // namespace tenon::onnx
