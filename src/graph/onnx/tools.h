#pragma once

/// What conversions are made of.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "graph/onnx/node_view.h"
#include "graph/operator.h"

namespace tenon::onnx {

/// An operator of the graph.
inline Value op(const std::string& name, std::vector<Value> inputs, graph::OpAttrs attrs = {}) {
  return graph::make_op(name, std::move(inputs), std::move(attrs));
}
Value cast_to(const Value& x, DType dtype);
/// A scalar constant of any dtype.
Value scalar(DType dtype, double value);
/// A constant vector of int64.
Value int_vector(const std::vector<std::int64_t>& values);
Value reshape(const Value& x, const std::vector<Expr>& shape);
Value transpose(const Value& x, const std::vector<std::int64_t>& axes);
Value broadcast(const Value& x, const std::vector<Expr>& shape);

/// Axis 0 from its end to its beginning.
Value reversed(const Value& x);
/// `f`, which works along the last axis, along another one.
Value along_axis(const Value& x, std::size_t axis, const std::function<Value(const Value&)>& f);

/// The shape that operands are broadcast to, as in NumPy. ShapeError [E0888].
std::vector<Expr> broadcast_shape(const std::vector<std::vector<Expr>>& shapes);
/// An operator named `name` whose element is `f` of the elements of the operands at the same place;
/// operands are broadcast.
Value pointwise(const std::string& name, const std::vector<Value>& inputs,
                const std::function<Expr(const std::vector<Expr>&)>& f);
/// An operator named `name` of the given shape: `f` gets the indices of an element and readers of
/// the operands (`read(i, indices)`), and returns the element. It may use te reductions.
Value computed(
    const std::string& name, const std::vector<Value>& inputs, const std::vector<Expr>& shape,
    const std::function<Expr(const std::vector<Expr>& at, const graph::ElementReader& read)>& f);

/// The dtype that sums of elements are computed in: float32 for floats of 16 bits.
DType sum_dtype(DType dtype);
/// "sum", "mean", "max" or "min" over axes counted from the front; with `keeps` they stay with size
/// 1. Without axes x itself.
Value reduce(const std::string& name, const Value& x, const std::vector<std::int64_t>& axes,
             bool keeps);

/// Axes counted from the front; ModelError [E0881] for one that is out of range or twice there.
std::int64_t normal_axis(const NodeView& n, std::int64_t axis, std::size_t rank);
std::vector<std::int64_t> normal_axes(const NodeView& n, const std::vector<std::int64_t>& axes,
                                      std::size_t rank);
/// `v`, called `what` in messages, as a scalar; ModelError [E0881] unless it is one bool.
Value condition_scalar(const NodeView& n, const Value& v, const std::string& what);
/// A constant.
Value bool_scalar(bool value);
/// UnsupportedError [E0880] for more dimensions than arrays have.
void check_rank(const NodeView& n, std::size_t rank);
/// The dimensions on which operator nodes work when they may leave that open: those that operand
/// `i` lists (where it is there), or the attribute `name`, counted from the front; all if neither.
std::vector<std::int64_t> axes_of(const NodeView& n, std::size_t i, const std::string& name,
                                  std::size_t rank);

/// A size or index in simplest form; symbols are at least what they say (0).
Expr simplify_size(const Expr& e);
/// Whether the condition holds for all sizes; false: it is not proved.
bool holds(const Expr& condition);
/// `index` into a dimension, as int64, where a negative one counts from the end.
Expr wrapped_index(const Expr& index, const Expr& extent);
/// No dimension is as long, and no index goes as far: numbers beyond it are mistakes, or stand for
/// "to the end".
constexpr std::int64_t kFar = std::int64_t{1} << 40;
/// The product of sizes, in simplest form.
Expr product(const std::vector<Expr>& sizes, std::size_t begin, std::size_t end);

}  // namespace tenon::onnx
