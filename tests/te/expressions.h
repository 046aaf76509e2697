#pragma once

/// Tensor expressions that several tests of te use.

#include <string>
#include <vector>

#include "tenon/ir/builder.h"
#include "tenon/te/expr.h"
#include "tenon/te/tensor.h"

namespace tenon::te {

using Indices = std::vector<Expr>;

/// C[m, n] = sum over k of A[m, k] * B, where B is [k, n], or [n, k] when `transposed`.
inline Function matmul(const Expr& m, const Expr& n, const Expr& k, DType dtype = kFloat32,
                       bool transposed = false) {
  Tensor a = placeholder({m, k}, dtype, "A");
  Tensor b = placeholder(transposed ? Indices{n, k} : Indices{k, n}, dtype, "B");
  IterVar r = reduce_axis(k, "k");
  Tensor c = compute(
      {m, n},
      [&](const Indices& v) {
        const Indices place = transposed ? Indices{v[1], r.var} : Indices{r.var, v[1]};
        return sum(read(a, {v[0], r.var}) * read(b, place), {r});
      },
      "C");
  return function({a, b}, {c}, "matmul");
}

/// out[i] = sum over k of A[i, k], or of A[k, i] along columns.
inline Function sum_of_matrix(const Expr& rows, const Expr& columns, bool along_rows) {
  Tensor a = placeholder({rows, columns}, kFloat32, "A");
  IterVar r = reduce_axis(along_rows ? columns : rows, "k");
  Tensor c = compute(
      {along_rows ? rows : columns},
      [&](const Indices& v) {
        return sum(read(a, along_rows ? Indices{v[0], r.var} : Indices{r.var, v[0]}), {r});
      },
      "C");
  return function({a}, {c}, "sum_of_matrix");
}

}  // namespace tenon::te
