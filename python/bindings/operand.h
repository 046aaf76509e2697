#pragma once

/// Python values as scalar expressions.
///
/// Python's numbers are weak: they take the dtype of the operand that they meet. NumPy's scalars
/// count as Python's. Where nothing is met, bool gives bool, int int64 and float float32.

#include <pybind11/pybind11.h>

#include <utility>
#include <vector>

#include "tenon/ir/expr.h"

namespace tenon::python {

/// A reduction axis is an expression (its index) that remembers what it runs over.
struct ReduceAxis : Expr {
  IterVar iter;
  explicit ReduceAxis(IterVar i) : Expr(i.var), iter(std::move(i)) {}
};

/// Whether `value` is a number of Python or NumPy, a bool included.
bool is_number(pybind11::handle value);
/// The number as a constant of `dtype`. DTypeError [E0511] for one that the dtype cannot hold: a
/// float or bool among integers, an integer out of range.
Expr constant(pybind11::handle number, DType dtype);
/// An expression as it is, a number by its own dtype. ExpressionError [E0131] for anything else; a
/// tensor is told to be indexed.
Expr to_expr(pybind11::handle value);
/// Two operands of one operation; numbers take the other's dtype.
std::pair<Expr, Expr> to_operands(pybind11::handle a, pybind11::handle b);
/// int64 expressions of a shape or of indices: a sequence, or one value alone.
std::vector<Expr> to_sizes(pybind11::handle values);
/// A constant as int, anything else as Expr.
pybind11::object from_size(const Expr& size);
pybind11::tuple from_sizes(const std::vector<Expr>& sizes);

}  // namespace tenon::python
