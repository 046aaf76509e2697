// Convolutions of channels-last arrays: conv of x [n, spatial..., c] with a weight
// [window..., c / groups, oc], and its transpose.

#include "graph/kernel_builder.h"
#include "graph/op/window.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/simplify.h"

namespace tenon::graph {
namespace {

std::int64_t groups_of(const ValueNode& v) { return attr_or<std::int64_t>(v, "groups", 1); }

/// The constant extents of the weight's leading axes.
std::vector<std::int64_t> window_extents(const ValueNode& v) {
  const Value &x = v.inputs[0], &w = v.inputs[1];
  check_spatial(v, x);
  const std::size_t rank = x->shape.size();
  TENON_USER_CHECK(w->shape.size() == rank, ShapeError, "E0435", describe(v),
                   ": expected a weight of ", rank,
                   " axes, [window..., input channels / groups, output channels]");
  std::vector<std::int64_t> extents;
  for (std::size_t d = 0; d < rank; ++d) {
    const auto extent = as_int(w->shape[d]);
    TENON_USER_CHECK(extent, ShapeError, "E0435", describe(v), ": axis ", d,
                     " of the weight has no constant size");
    if (d + 2 < rank) extents.push_back(*extent);
  }
  return extents;
}

/// Channels of x and of the result against groups and the weight.
void check_channels(const ValueNode& v, std::int64_t of_weight, std::int64_t out) {
  const std::int64_t groups = groups_of(v);
  const auto channels = as_int(v.inputs[0]->shape.back());
  TENON_USER_CHECK(channels, ShapeError, "E0436", describe(v),
                   ": the number of x's channels (its last axis) should be constant");
  TENON_USER_CHECK(groups >= 1 && *channels % groups == 0 && out % groups == 0, ShapeError, "E0437",
                   describe(v), ": ", groups, " groups should divide both ", *channels,
                   " input channels and ", out, " output channels");
  TENON_USER_CHECK(of_weight * groups == *channels, ShapeError, "E0436", describe(v), ": ",
                   of_weight, " channels of the weight in ", groups, " group",
                   groups == 1 ? "" : "s", " should be x's ", *channels, " channels");
}

void check_dtypes(const ValueNode& v) {
  TENON_USER_CHECK(v.inputs[0]->dtype.is_float() && v.inputs[1]->dtype == v.inputs[0]->dtype,
                   DTypeError, "E0535", describe(v),
                   ": expected floats of one dtype\n  hint: convert with .cast(\"float32\")");
}

void infer_conv(ValueNode* v) {
  const Window window = window_of(*v, window_extents(*v));
  const Value &x = v->inputs[0], &w = v->inputs[1];
  const std::size_t rank = x->shape.size();
  check_channels(*v, *as_int(w->shape[rank - 2]), *as_int(w->shape[rank - 1]));
  check_dtypes(*v);
  v->shape = {x->shape[0]};
  for (const Expr& e : num_windows(*v, window, x->shape)) v->shape.push_back(e);
  v->shape.push_back(w->shape.back());
  v->dtype = x->dtype;
}

/// Whether every output pixel is a product of the input pixel and a matrix.
bool is_pointwise(const ValueNode& v) {
  const Window w = window_of(v, window_extents(v));
  for (std::size_t d = 0; d < w.rank(); ++d) {
    if (w.extents[d] != 1 || w.strides[d] != 1 || w.before[d] != 0 || w.after[d] != 0) return false;
  }
  return groups_of(v) == 1;
}

void space_conv(const ValueNode& v, std::vector<Expr>* lead, bool* is_flat) {
  lead->assign(v.shape.begin(), v.shape.end() - 1);
  *is_flat = is_pointwise(v);
}

/// Reads of the weight by window, input channel (of the group) and output channel; in panels when
/// it is constant and more than a vector for each channel.
class WeightReader {
 public:
  WeightReader(KernelBuilder& b, const Value& w) : builder_(b), weight_(w) {
    is_packed_ = b.is_packable(w) && !is_int(w->shape[w->shape.size() - 2], 1);
  }
  Expr operator()(const Indices& window, const Expr& in, const Expr& out) const {
    if (!is_packed_) {
      Indices at = window;
      at.push_back(in);
      at.push_back(out);
      return builder_.read(weight_, at);
    }
    Expr row = imm(0);
    for (std::size_t d = 0; d < window.size(); ++d) row = row * weight_->shape[d] + window[d];
    row = row * weight_->shape[window.size()] + in;
    return te::read(builder_.packed(weight_, false),
                    {floordiv(out, imm(64)), row, floormod(out, imm(64))});
  }

 private:
  KernelBuilder& builder_;
  const Value& weight_;
  bool is_packed_;
};

/// The first input channel of the group that the output channel is in.
Expr first_channel(const ValueNode& v, const Expr& out, const Expr& in_per_group) {
  const std::int64_t groups = groups_of(v);
  if (groups == 1) return imm(0);
  const std::int64_t out_per_group = *as_int(v.shape.back()) / groups;
  return floordiv(out, imm(out_per_group)) * in_per_group;
}

Indices vars_of(const std::vector<IterVar>& axes) {
  Indices out;
  for (const IterVar& axis : axes) out.push_back(axis.var);
  return out;
}

void build_conv(KernelBuilder& b, const Value& v) {
  const Value &x = v->inputs[0], &w = v->inputs[1];
  const Window window = window_of(*v, window_extents(*v));
  const Expr& in_per_group = w->shape[w->shape.size() - 2];
  const WeightReader weight(b, w);
  const std::vector<IterVar> k = window_axes(window);
  const IterVar ic = te::reduce_axis(in_per_group, "ic");
  b.define(v, b.compute("conv", {v->shape.back()}, [&](const Indices& lead, const Indices& in) {
    if (is_pointwise(*v)) {
      Indices at = lead;
      at.push_back(ic.var);
      return te::sum(b.read(x, at) * weight(Indices(window.rank(), imm(0)), ic.var, in[0]), {ic});
    }
    const WindowIndex index =
        window_index(window, Indices(lead.begin() + 1, lead.end()), k, x->shape);
    Indices at{lead[0]};
    at.insert(at.end(), index.at.begin(), index.at.end());
    at.push_back(first_channel(*v, in[0], in_per_group) + ic.var);
    std::vector<IterVar> axes = k;
    axes.push_back(ic);
    return te::sum(b.read(x, at) * weight(vars_of(k), ic.var, in[0]), axes, index.inside);
  }));
}

/// What is added at the end of each axis of a transposed convolution.
std::vector<std::int64_t> output_padding(const ValueNode& v, const Window& window) {
  const auto padding = attr_or(v, "output_padding", std::vector<std::int64_t>(window.rank(), 0));
  bool fits = padding.size() == window.rank();
  for (std::size_t d = 0; fits && d < padding.size(); ++d)
    fits = padding[d] >= 0 && padding[d] < std::max(window.strides[d], window.dilations[d]);
  TENON_USER_CHECK(fits, ShapeError, "E0445", describe(v),
                   ": output_padding should be one integer for each spatial axis, at least 0 and "
                   "less than its stride or dilation");
  return padding;
}

void infer_transpose(ValueNode* v) {
  const Window window = window_of(*v, window_extents(*v));
  const Value &x = v->inputs[0], &w = v->inputs[1];
  const std::size_t rank = x->shape.size();
  check_channels(*v, *as_int(w->shape[rank - 2]), *as_int(w->shape[rank - 1]));
  check_dtypes(*v);
  const std::vector<std::int64_t> more = output_padding(*v, window);
  v->shape = {x->shape[0]};
  for (std::size_t d = 0; d < window.rank(); ++d) {
    const std::int64_t fixed =
        window.span(d) - window.strides[d] - window.before[d] - window.after[d] + more[d];
    const Expr extent = simplify(x->shape[d + 1] * window.strides[d] + fixed);
    TENON_USER_CHECK(as_int(extent).value_or(0) >= 0, ShapeError, "E0440", describe(*v),
                     ": the padding takes more than there is along axis ", d + 1);
    v->shape.push_back(as_int(extent) ? extent : tenon::max(extent, imm(0)));
  }
  v->shape.push_back(w->shape.back());
  v->dtype = x->dtype;
}

void space_transpose(const ValueNode& v, std::vector<Expr>* lead, bool* is_flat) {
  lead->assign(v.shape.begin(), v.shape.end() - 1);
  *is_flat = false;
}

/// Each output pixel gathers from the input pixels whose windows reach it.
void build_transpose(KernelBuilder& b, const Value& v) {
  const Value &x = v->inputs[0], &w = v->inputs[1];
  const Window window = window_of(*v, window_extents(*v));
  const Expr& in_per_group = w->shape[w->shape.size() - 2];
  const WeightReader weight(b, w);
  const std::vector<IterVar> k = window_axes(window);
  const IterVar ic = te::reduce_axis(in_per_group, "ic");
  b.define(v, b.compute(v->op, {v->shape.back()}, [&](const Indices& lead, const Indices& in) {
    Indices at{lead[0]};
    Expr reached;
    for (std::size_t d = 0; d < window.rank(); ++d) {
      const Expr from = lead[d + 1] + window.before[d] - k[d].var * window.dilations[d];
      const Expr stride = imm(window.strides[d]);
      reached = and_predicate(reached, ge(from, imm(0)));
      reached = and_predicate(reached, le(from, (x->shape[d + 1] - 1) * stride));
      if (window.strides[d] > 1)
        reached = and_predicate(reached, eq(floormod(from, stride), imm(0)));
      at.push_back(floordiv(from, stride));
    }
    at.push_back(first_channel(*v, in[0], in_per_group) + ic.var);
    std::vector<IterVar> axes = k;
    axes.push_back(ic);
    return te::sum(b.read(x, at) * weight(vars_of(k), ic.var, in[0]), axes, reached);
  }));
}

Operator convolution(const char* name, void (*infer)(ValueNode*),
                     void (*space)(const ValueNode&, std::vector<Expr>*, bool*),
                     void (*build)(KernelBuilder&, const Value&)) {
  return {.name = name,
          .kind = OperatorKind::kContraction,
          .min_inputs = 2,
          .max_inputs = 2,
          .infer = infer,
          .space = space,
          .build = build};
}

}  // namespace

std::vector<Operator> convolution_operators() {
  return {convolution("conv", infer_conv, space_conv, build_conv),
          convolution("conv_transpose", infer_transpose, space_transpose, build_transpose)};
}

}  // namespace tenon::graph
