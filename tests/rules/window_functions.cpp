#include "rules/window_functions.h"

#include <vector>

#include "tenon/ir/builder.h"
#include "tenon/te/expr.h"
#include "tenon/te/tensor.h"

namespace tenon::testing {
namespace {

using Indices = std::vector<Expr>;

Expr within(const Expr& at, std::int64_t size) {
  return logical_and(ge(at, imm(0)), lt(at, imm(size)));
}

IterVar axis(std::int64_t extent, const char* name) { return te::reduce_axis(imm(extent), name); }

/// The first input channel of the group that the output channel is in.
Expr first_channel(const Shape& s, const Expr& o) {
  if (s.groups == 1) return imm(0);
  return floordiv(o, imm(s.oc / s.groups)) * (s.c / s.groups);
}

}  // namespace

Function forward(const Shape& s, const Expr& batch) {
  const Expr n = batch ? batch : imm(s.n);
  te::Tensor x = te::placeholder({n, imm(s.h), imm(s.w), imm(s.c)}, kFloat32, "x");
  const std::int64_t part = s.c / s.groups;
  te::Tensor w = te::placeholder({imm(s.k), imm(s.k), imm(part), imm(s.oc)}, kFloat32, "w");
  IterVar kh = axis(s.k, "kh"), kw = axis(s.k, "kw"), ic = axis(part, "ic");
  te::Tensor y = te::compute(
      {n, imm(s.out(s.h)), imm(s.out(s.w)), imm(s.oc)},
      [&](const Indices& v) {
        const Expr i = v[1] * s.stride + kh.var * s.dilation - s.pad;
        const Expr j = v[2] * s.stride + kw.var * s.dilation - s.pad;
        return te::sum(te::read(x, {v[0], i, j, first_channel(s, v[3]) + ic.var}) *
                           te::read(w, {kh.var, kw.var, ic.var, v[3]}),
                       {kh, kw, ic}, logical_and(within(i, s.h), within(j, s.w)));
      },
      "y");
  return te::function({x, w}, {y}, "conv");
}

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

Function weight_gradient(const Shape& s, const Expr& batch) {
  const Expr n = batch ? batch : imm(s.n);
  const std::int64_t oh = s.out(s.h), ow = s.out(s.w);
  te::Tensor x = te::placeholder({n, imm(s.h), imm(s.w), imm(s.c)}, kFloat32, "x");
  te::Tensor dy = te::placeholder({n, imm(oh), imm(ow), imm(s.oc)}, kFloat32, "dy");
  IterVar image = te::reduce_axis(n, "n"), y = axis(oh, "oh"), z = axis(ow, "ow");
  te::Tensor dw = te::compute(
      {imm(s.k), imm(s.k), imm(s.c / s.groups), imm(s.oc)},
      [&](const Indices& v) {
        const Expr i = y.var * s.stride + v[0] * s.dilation - s.pad;
        const Expr j = z.var * s.stride + v[1] * s.dilation - s.pad;
        return te::sum(te::read(x, {image.var, i, j, first_channel(s, v[3]) + v[2]}) *
                           te::read(dy, {image.var, y.var, z.var, v[3]}),
                       {image, y, z}, logical_and(within(i, s.h), within(j, s.w)));
      },
      "dw");
  return te::function({x, dy}, {dw}, "conv_dw");
}

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

}  // namespace tenon::testing
