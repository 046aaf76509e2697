// Determinants of square matrices.

#include "graph/onnx/tools.h"
#include "tenon/graph/control.h"
#include "tenon/ir/builder.h"
#include "tenon/te/arg_reduction.h"
#include "tenon/te/expr.h"
#include "tenon/te/tensor.h"

namespace tenon::onnx {
namespace {

constexpr Support kDecomposed = Support::kDecomposed;

/// Elimination with the largest pivot of each column: a loop over the columns that carries the
/// matrices and the product of the pivots with the signs of the exchanges.
std::vector<Value> convert_determinant(const NodeView& n) {
  const DType t = n.in(0)->dtype;
  if (!t.is_float()) n.invalid("expected floats, got " + to_string(t));
  const Value x = t.bits < 32 ? cast_to(n.in(0), kFloat32) : n.in(0);
  const std::size_t rank = x->shape.size();
  if (rank < 2 || !graph::same_extent(x->shape[rank - 1], x->shape[rank - 2]))
    n.invalid("expected square matrices");
  const Expr& size = x->shape.back();
  const std::vector<Expr> batch(x->shape.begin(), x->shape.end() - 2);

  graph::LoopParts loop;
  loop.op = n.node().op_type;
  loop.count = size;
  loop.iteration = graph::make_input({}, kInt64, "column");
  loop.init = {x, broadcast(scalar(x->dtype, 1), batch)};
  loop.states = {graph::make_input(x->shape, x->dtype, "rest"),
                 graph::make_input(batch, x->dtype, "product")};
  const auto at_place = [&](const std::vector<Expr>& lead, const Expr& row, const Expr& column) {
    graph::Indices place(lead.begin(), lead.begin() + static_cast<std::ptrdiff_t>(batch.size()));
    place.push_back(row);
    place.push_back(column);
    return place;
  };
  const Value pivot =
      computed("pivot", {loop.states[0], loop.iteration}, batch,
               [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                 const IterVar i = te::reduce_axis(size, "i");
                 const Expr column = read(1, {});
                 const Expr element = read(0, at_place(at, i.var, column));
                 return te::argmax(unary(UnaryOp::kAbs, element), i, ge(i.var, column));
               });
  // Rows below the column's place: the pivot's row is there already, less its multiple.
  const Value rest = computed(
      "rest", {loop.states[0], loop.iteration, pivot}, x->shape,
      [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
        const graph::Indices lead(at.begin(),
                                  at.begin() + static_cast<std::ptrdiff_t>(batch.size()));
        const Expr &row = at[rank - 2], &column = at[rank - 1];
        const Expr step = read(1, {}), top = read(2, lead);
        const Expr source = select(eq(row, top), step, row);
        const auto element = [&](const Expr& i, const Expr& j) {
          return read(0, at_place(lead, i, j));
        };
        const Expr factor = element(source, step) / element(top, step);
        const Expr reduced = element(source, column) - factor * element(top, column);
        const Expr is_below = logical_and(gt(row, step), gt(column, step));
        // A column of zeros has no pivot; the determinant is zero then.
        const Expr is_zero = eq(element(top, step), zero(x->dtype));
        return select(logical_and(is_below, logical_not(is_zero)), reduced, element(row, column));
      });
  const Value product =
      computed("product", {loop.states[0], loop.iteration, pivot, loop.states[1]}, batch,
               [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                 const Expr step = read(1, {}), top = read(2, at);
                 const Expr next = read(3, at) * read(0, at_place(at, top, step));
                 return select(eq(top, step), next, -next);
               });
  loop.next = {rest, product};
  return {cast_to(graph::make_loop(loop)[1], t)};
}

}  // namespace

std::vector<Conversion> determinant_conversions() {
  return {
      {"Det", 11, kDecomposed, convert_determinant, "", "a loop of eliminations"},
  };
}

}  // namespace tenon::onnx
