// Pooling of channels-last arrays: max_pool and avg_pool over windows that slide over x
// [n, spatial..., c].

#include "graph/kernel_builder.h"
#include "graph/op/window.h"
#include "tenon/ir/builder.h"

namespace tenon::graph {
namespace {

Window pool_window(const ValueNode& v) {
  check_spatial(v, v.inputs[0]);
  return window_of(v, attr<std::vector<std::int64_t>>(v, "window"));
}

void infer(ValueNode* v) {
  const Value& x = v->inputs[0];
  const Window window = pool_window(*v);
  // A window must not lie in the padding alone: its maximum and mean would be of nothing.
  for (std::size_t d = 0; d < window.rank(); ++d) {
    const std::int64_t padding = std::max(window.before[d], window.after[d]);
    TENON_USER_CHECK(padding < window.span(d), ShapeError, "E0443", describe(*v), ": padding ",
                     padding, " along axis ", d + 1, " should be less than the window's span of ",
                     window.span(d));
  }
  if (v->op == "avg_pool") {
    TENON_USER_CHECK(x->dtype.is_float(), DTypeError, "E0536", describe(*v),
                     ": expected floats, got ", to_string(x->dtype),
                     "\n  hint: convert with .cast(\"float32\")");
  } else {
    TENON_USER_CHECK(!x->dtype.is_bool(), DTypeError, "E0536", describe(*v),
                     ": expected numbers, got bool");
  }
  v->shape = {x->shape[0]};
  for (const Expr& e : num_windows(*v, window, x->shape)) v->shape.push_back(e);
  v->shape.push_back(x->shape.back());
  v->dtype = x->dtype;
}

void space(const ValueNode& v, std::vector<Expr>* lead, bool* is_flat) {
  lead->assign(v.shape.begin(), v.shape.end() - 1);
  *is_flat = false;
}

/// How many elements of the window at `o` count: all, or those that are no padding. Of the padding
/// after an axis as much counts as "counted_after" says (all of it when that is absent).
Expr num_counted(const ValueNode& v, const Window& window, const Indices& o) {
  Expr count = imm(1);
  const bool counts_padding = attr_or(v, "count_padding", true);
  const auto counted = attr_or(v, "counted_after", window.after);
  for (std::size_t d = 0; d < window.rank(); ++d) {
    if (counts_padding ? counted[d] >= window.after[d]
                       : window.before[d] == 0 && window.after[d] == 0) {
      count = count * window.extents[d];
      continue;
    }
    // Elements at first + k * dilation in [0, size), or with padding that counts.
    const Expr first = o[d] * window.strides[d] - window.before[d];
    const Expr step = imm(window.dilations[d]);
    const Expr size = v.inputs[0]->shape[d + 1] + (counts_padding ? counted[d] : 0);
    const Expr begin = counts_padding ? imm(0) : tenon::max(imm(0), ceildiv(-first, step));
    const Expr end = tenon::min(imm(window.extents[d]), ceildiv(size - first, step));
    count = count * (end - begin);
  }
  return count;
}

void build(KernelBuilder& b, const Value& v) {
  const Value& x = v->inputs[0];
  const Window window = pool_window(*v);
  const std::vector<IterVar> k = window_axes(window);
  const bool is_mean = v->op == "avg_pool";
  b.define(v, b.compute(is_mean ? "total" : v->op, {v->shape.back()},
                        [&](const Indices& lead, const Indices& in) {
                          const Indices o(lead.begin() + 1, lead.end());
                          const WindowIndex index = window_index(window, o, k, x->shape);
                          Indices at{lead[0]};
                          at.insert(at.end(), index.at.begin(), index.at.end());
                          at.push_back(in[0]);
                          const Expr term = b.read(x, at);
                          return is_mean ? te::sum(term, k, index.inside)
                                         : te::max(term, k, index.inside);
                        }));
  if (!is_mean) return;
  b.define(v, b.compute("avg_pool", {v->shape.back()}, [&](const Indices& lead, const Indices& in) {
    Indices at = lead;
    at.push_back(in[0]);
    const Expr count = num_counted(*v, window, Indices(lead.begin() + 1, lead.end()));
    return b.read(v, at) / tenon::cast(v->dtype, count);
  }));
}

Operator pooling(const char* name) {
  return {.name = name,
          .kind = OperatorKind::kContraction,
          .min_inputs = 1,
          .max_inputs = 1,
          .infer = infer,
          .space = space,
          .build = build};
}

}  // namespace

std::vector<Operator> pooling_operators() { return {pooling("max_pool"), pooling("avg_pool")}; }

}  // namespace tenon::graph
