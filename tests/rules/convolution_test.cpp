#include <gtest/gtest.h>

#include "rules/comparison.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/lower.h"
#include "tenon/ir/visit.h"
#include "tenon/rules/default_schedule.h"
#include "tenon/te/tensor.h"

namespace tenon {
namespace {

using Indices = std::vector<Expr>;

/// A convolution of images: sizes, stride and padding alike in both directions.
struct Shape {
  std::int64_t n, h, w, c, oc, k, stride = 1, pad = 0, dilation = 1;
  std::int64_t out(std::int64_t size) const {
    return (size + 2 * pad - (k - 1) * dilation - 1) / stride + 1;
  }
};

Expr within(const Expr& at, std::int64_t size) {
  return logical_and(ge(at, imm(0)), lt(at, imm(size)));
}

IterVar axis(std::int64_t extent, const char* name) { return te::reduce_axis(imm(extent), name); }

/// y[n, i, j, o] = sum over kh, kw, c of x[n, i s + kh d - p, ...] w[kh, kw, c, o].
Function forward(const Shape& s) {
  te::Tensor x = te::placeholder({imm(s.n), imm(s.h), imm(s.w), imm(s.c)}, kFloat32, "x");
  te::Tensor w = te::placeholder({imm(s.k), imm(s.k), imm(s.c), imm(s.oc)}, kFloat32, "w");
  IterVar kh = axis(s.k, "kh"), kw = axis(s.k, "kw"), ic = axis(s.c, "ic");
  te::Tensor y = te::compute(
      {imm(s.n), imm(s.out(s.h)), imm(s.out(s.w)), imm(s.oc)},
      [&](const Indices& v) {
        const Expr i = v[1] * s.stride + kh.var * s.dilation - s.pad;
        const Expr j = v[2] * s.stride + kw.var * s.dilation - s.pad;
        return te::sum(
            te::read(x, {v[0], i, j, ic.var}) * te::read(w, {kh.var, kw.var, ic.var, v[3]}),
            {kh, kw, ic}, logical_and(within(i, s.h), within(j, s.w)));
      },
      "y");
  return te::function({x, w}, {y}, "conv");
}

/// The gradient of `forward` by x, for a stride of 1: a convolution of the result's gradient.
Function input_gradient(const Shape& s) {
  const std::int64_t oh = s.out(s.h), ow = s.out(s.w);
  te::Tensor dy = te::placeholder({imm(s.n), imm(oh), imm(ow), imm(s.oc)}, kFloat32, "dy");
  te::Tensor w = te::placeholder({imm(s.k), imm(s.k), imm(s.c), imm(s.oc)}, kFloat32, "w");
  IterVar kh = axis(s.k, "kh"), kw = axis(s.k, "kw"), oc = axis(s.oc, "oc");
  te::Tensor dx = te::compute(
      {imm(s.n), imm(s.h), imm(s.w), imm(s.c)},
      [&](const Indices& v) {
        const Expr i = v[1] + s.pad - kh.var * s.dilation, j = v[2] + s.pad - kw.var * s.dilation;
        return te::sum(
            te::read(dy, {v[0], i, j, oc.var}) * te::read(w, {kh.var, kw.var, v[3], oc.var}),
            {kh, kw, oc}, logical_and(within(i, oh), within(j, ow)));
      },
      "dx");
  return te::function({dy, w}, {dx}, "conv_dx");
}

/// The same for any stride: only terms whose position is a multiple of it.
Function strided_input_gradient(const Shape& s) {
  const std::int64_t oh = s.out(s.h), ow = s.out(s.w);
  te::Tensor dy = te::placeholder({imm(s.n), imm(oh), imm(ow), imm(s.oc)}, kFloat32, "dy");
  te::Tensor w = te::placeholder({imm(s.k), imm(s.k), imm(s.c), imm(s.oc)}, kFloat32, "w");
  IterVar kh = axis(s.k, "kh"), kw = axis(s.k, "kw"), oc = axis(s.oc, "oc");
  te::Tensor dx = te::compute(
      {imm(s.n), imm(s.h), imm(s.w), imm(s.c)},
      [&](const Indices& v) {
        const Expr i = v[1] + s.pad - kh.var * s.dilation, j = v[2] + s.pad - kw.var * s.dilation;
        const Expr step = imm(s.stride);
        const Expr fits = logical_and(eq(floormod(i, step), imm(0)), eq(floormod(j, step), imm(0)));
        return te::sum(te::read(dy, {v[0], floordiv(i, step), floordiv(j, step), oc.var}) *
                           te::read(w, {kh.var, kw.var, v[3], oc.var}),
                       {kh, kw, oc},
                       logical_and(fits, logical_and(within(i, (oh - 1) * s.stride + 1),
                                                     within(j, (ow - 1) * s.stride + 1))));
      },
      "dx");
  return te::function({dy, w}, {dx}, "conv_dx");
}

/// The gradient by w: a sum over images and output pixels.
Function weight_gradient(const Shape& s) {
  const std::int64_t oh = s.out(s.h), ow = s.out(s.w);
  te::Tensor x = te::placeholder({imm(s.n), imm(s.h), imm(s.w), imm(s.c)}, kFloat32, "x");
  te::Tensor dy = te::placeholder({imm(s.n), imm(oh), imm(ow), imm(s.oc)}, kFloat32, "dy");
  IterVar n = axis(s.n, "n"), y = axis(oh, "oh"), z = axis(ow, "ow");
  te::Tensor dw = te::compute(
      {imm(s.k), imm(s.k), imm(s.c), imm(s.oc)},
      [&](const Indices& v) {
        const Expr i = y.var * s.stride + v[0] * s.dilation - s.pad;
        const Expr j = z.var * s.stride + v[1] * s.dilation - s.pad;
        return te::sum(te::read(x, {n.var, i, j, v[2]}) * te::read(dy, {n.var, y.var, z.var, v[3]}),
                       {n, y, z}, logical_and(within(i, s.h), within(j, s.w)));
      },
      "dw");
  return te::function({x, dy}, {dw}, "conv_dw");
}

const Shape kShapes[] = {
    {2, 7, 9, 5, 33, 3, 1, 1},     // columns with a tail
    {1, 4, 40, 3, 64, 3, 1, 1},    // several tiles along a row
    {1, 5, 29, 4, 16, 5, 1, 2},    // tiles of two sizes
    {1, 9, 14, 8, 24, 3, 2, 1},    // stride
    {1, 8, 17, 2, 8, 3, 1, 2, 2},  // dilation
    {2, 1, 1, 4, 8, 3, 1, 1},      // one pixel
    {1, 3, 2, 4, 8, 7, 1, 3},      // a window larger than the image
    {0, 5, 5, 2, 8, 3, 1, 1},      // no image
};

TEST(ConvolutionRuleTest, forward) {
  for (const Shape& s : kShapes) {
    expect_same_results(
        forward(s), {random_array({s.n, s.h, s.w, s.c}, 1), random_array({s.k, s.k, s.c, s.oc}, 2)},
        Agreement::kBits);
  }
}

TEST(ConvolutionRuleTest, gradient_by_the_input) {
  for (const Shape& s : kShapes) {
    const std::vector<Array> inputs{random_array({s.n, s.out(s.h), s.out(s.w), s.oc}, 1),
                                    random_array({s.k, s.k, s.c, s.oc}, 2)};
    if (s.stride == 1) expect_same_results(input_gradient(s), inputs, Agreement::kBits);
    expect_same_results(strided_input_gradient(s), inputs, Agreement::kBits);
  }
}

TEST(ConvolutionRuleTest, gradient_by_the_weight) {
  for (const Shape& s : kShapes) {
    expect_same_results(weight_gradient(s),
                        {random_array({s.n, s.h, s.w, s.c}, 1),
                         random_array({s.n, s.out(s.h), s.out(s.w), s.oc}, 2)},
                        Agreement::kBits);
  }
}

/// sum or max over a window of each channel; `weighted` multiplies with weights of the channel.
Function pooling(const Shape& s, bool is_max, bool weighted) {
  te::Tensor x = te::placeholder({imm(s.n), imm(s.h), imm(s.w), imm(s.c)}, kFloat32, "x");
  te::Tensor w = te::placeholder({imm(s.k), imm(s.k), imm(s.c)}, kFloat32, "w");
  IterVar kh = axis(s.k, "kh"), kw = axis(s.k, "kw");
  te::Tensor y = te::compute(
      {imm(s.n), imm(s.out(s.h)), imm(s.out(s.w)), imm(s.c)},
      [&](const Indices& v) {
        const Expr i = v[1] * s.stride + kh.var - s.pad, j = v[2] * s.stride + kw.var - s.pad;
        Expr term = te::read(x, {v[0], i, j, v[3]});
        if (weighted) term = term * te::read(w, {kh.var, kw.var, v[3]});
        const Expr inside = logical_and(within(i, s.h), within(j, s.w));
        return is_max ? te::max(term, {kh, kw}, inside) : te::sum(term, {kh, kw}, inside);
      },
      "y");
  return te::function(weighted ? std::vector{x, w} : std::vector{x}, {y}, "pool");
}

TEST(ConvolutionRuleTest, pooling_and_depthwise) {
  for (const Shape& s : {Shape{2, 7, 9, 70, 0, 3, 2, 1}, Shape{1, 5, 18, 5, 0, 3, 1, 1},
                         Shape{1, 6, 6, 16, 0, 2, 2, 0}, Shape{1, 1, 1, 3, 0, 3, 1, 1}}) {
    const Array x = random_array({s.n, s.h, s.w, s.c}, 1), w = random_array({s.k, s.k, s.c}, 2);
    expect_same_results(pooling(s, true, false), {x}, Agreement::kBits);
    expect_same_results(pooling(s, false, false), {x}, Agreement::kBits);
    expect_same_results(pooling(s, false, true), {x, w}, Agreement::kBits);
  }
}

/// Whether every vectorized loop is at most a vector or whole vectors long.
bool has_whole_vectors(const Function& f, std::int64_t lanes) {
  bool whole = true;
  post_order_visit(f->body, [&](const Node& n) {
    if (n.kind != NodeKind::kFor) return;
    const auto& loop = static_cast<const ForNode&>(n);
    if (loop.attrs.kind != ForKind::kVectorized) return;
    const std::int64_t extent = as_int(loop.extent).value_or(lanes);
    whole = whole && (extent <= lanes || extent % lanes == 0);
  });
  return whole;
}

TEST(ConvolutionRuleTest, tiles_have_whole_vectors) {
  Target target = Target::host();
  const std::int64_t lanes = target.vector_bytes / 4;
  for (const std::int64_t channels : {20, 24, 40, 88, 100}) {
    const Shape s{1, 6, 9, 8, channels, 3, 1, 1};
    const Function scheduled = default_schedule(forward(s), target).function();
    EXPECT_TRUE(has_whole_vectors(scheduled, lanes)) << channels;
    expect_same_results(
        forward(s), {random_array({s.n, s.h, s.w, s.c}, 1), random_array({s.k, s.k, s.c, s.oc}, 2)},
        Agreement::kBits);
  }
}

/// Whether a loop that has no loop inside tests a condition.
bool has_condition_in_innermost_loop(const Function& f) {
  bool found = false;
  post_order_visit(f->body, [&](const Node& n) {
    if (n.kind != NodeKind::kFor) return;
    bool has_loop = false, has_condition = false;
    post_order_visit(static_cast<const ForNode&>(n).body, [&](const Node& inner) {
      has_loop |= inner.kind == NodeKind::kFor;
      has_condition |= inner.kind == NodeKind::kIf || inner.kind == NodeKind::kSelect;
    });
    found |= !has_loop && has_condition;
  });
  return found;
}

TEST(ConvolutionRuleTest, padding_leaves_no_condition_in_innermost_loops) {
  const Shape s{1, 20, 45, 16, 64, 3, 1, 1}, strided{1, 30, 45, 16, 64, 3, 2, 1};
  const Shape blocks{1, 20, 45, 640, 640, 3, 1, 1}, batch{7, 42, 45, 12, 64, 3, 1, 1};  // of sums
  for (const Function& f : {forward(s), forward(strided), input_gradient(s), weight_gradient(s),
                            weight_gradient(strided), forward(blocks), input_gradient(blocks),
                            weight_gradient(batch)}) {
    const Function lowered = lower(default_schedule(f, Target::host()).function());
    EXPECT_FALSE(has_condition_in_innermost_loop(lowered)) << f->name;
  }
}

}  // namespace
}  // namespace tenon
