#include "tenon/ir/expr.h"

#include <pybind11/operators.h>

#include <string>

#include "bindings.h"
#include "dtype.h"
#include "operand.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/print.h"
#include "tenon/te/expr.h"
#include "user_line.h"

namespace tenon::python {
namespace {

Expr apply(BinaryOp op, py::handle a, py::handle b) {
  const auto [x, y] = to_operands(a, b);
  return te::binary(op, x, y);
}

/// The bit operation; of two bools the logical one.
Expr apply_bits(BinaryOp bits, BinaryOp logical, py::handle a, py::handle b) {
  const auto [x, y] = to_operands(a, b);
  return te::binary(x->dtype.is_bool() && y->dtype.is_bool() ? logical : bits, x, y);
}

Expr invert(const Expr& a) {
  return te::unary(a->dtype.is_bool() ? UnaryOp::kNot : UnaryOp::kBitNot, a);
}

Expr integer_power(const Expr& base, std::int64_t exponent) {
  Expr result = const_like(base->dtype, 1), square = base;
  for (std::int64_t left = exponent; left > 0; left /= 2) {
    if (left % 2 == 1) result = result * square;
    if (left > 1) square = square * square;
  }
  return result;
}

/// base ** exponent: squares and integer powers as products, else pow.
Expr power(py::handle a, py::handle b) {
  const auto [x, y] = to_operands(a, b);
  if (is_number(b) && py::isinstance<py::int_>(b) && py::cast<double>(b) == 2.0)
    return te::binary(BinaryOp::kMul, x, x);
  const std::optional<std::int64_t> exponent = as_int(y);
  if (x->dtype.is_int() && exponent && *exponent >= 0 && *exponent < 64)
    return integer_power(x, *exponent);
  return te::math("pow", {x, y});
}

bool refuse_bool(const Expr& e) {
  detail::raise<ExpressionError>(
      "E0130",
      detail::concat(
          "the expression '", print(e),
          "' has no value yet, so that `if`, `and`, `or`, `not` cannot decide by it\n  hint: use "
          "te.select(condition, a, b), te.all(a, b), te.any(a, b) or te.not_(a)"));
}

void bind_operator(py::class_<Expr>& cls, const char* name, const char* reversed, BinaryOp op) {
  cls.def(
      name, [op](const py::object& a, const py::object& b) { return apply(op, a, b); },
      py::call_guard<UserLine>());
  if (reversed == nullptr) return;
  cls.def(
      reversed, [op](const py::object& a, const py::object& b) { return apply(op, b, a); },
      py::call_guard<UserLine>());
}

void bind_bit_operator(py::class_<Expr>& cls, const char* name, const char* reversed, BinaryOp bits,
                       BinaryOp logical) {
  cls.def(
      name,
      [=](const py::object& a, const py::object& b) { return apply_bits(bits, logical, a, b); },
      py::call_guard<UserLine>());
  cls.def(
      reversed,
      [=](const py::object& a, const py::object& b) { return apply_bits(bits, logical, b, a); },
      py::call_guard<UserLine>());
}

void bind_binary_operators(py::class_<Expr>& cls) {
  bind_operator(cls, "__add__", "__radd__", BinaryOp::kAdd);
  bind_operator(cls, "__sub__", "__rsub__", BinaryOp::kSub);
  bind_operator(cls, "__mul__", "__rmul__", BinaryOp::kMul);
  bind_operator(cls, "__truediv__", "__rtruediv__", BinaryOp::kDiv);
  bind_operator(cls, "__floordiv__", "__rfloordiv__", BinaryOp::kFloorDiv);
  bind_operator(cls, "__mod__", "__rmod__", BinaryOp::kFloorMod);
  bind_operator(cls, "__lshift__", "__rlshift__", BinaryOp::kShl);
  bind_operator(cls, "__rshift__", "__rrshift__", BinaryOp::kShr);
  bind_operator(cls, "__eq__", nullptr, BinaryOp::kEq);
  bind_operator(cls, "__ne__", nullptr, BinaryOp::kNe);
  bind_operator(cls, "__lt__", nullptr, BinaryOp::kLt);
  bind_operator(cls, "__le__", nullptr, BinaryOp::kLe);
  bind_operator(cls, "__gt__", nullptr, BinaryOp::kGt);
  bind_operator(cls, "__ge__", nullptr, BinaryOp::kGe);
  bind_bit_operator(cls, "__and__", "__rand__", BinaryOp::kBitAnd, BinaryOp::kAnd);
  bind_bit_operator(cls, "__or__", "__ror__", BinaryOp::kBitOr, BinaryOp::kOr);
  bind_bit_operator(cls, "__xor__", "__rxor__", BinaryOp::kBitXor, BinaryOp::kNe);
}

void bind_unary_operators(py::class_<Expr>& cls) {
  using Guard = py::call_guard<UserLine>;
  cls.def("__neg__", [](const Expr& a) { return te::unary(UnaryOp::kNeg, a); }, Guard());
  cls.def("__pos__", [](const Expr& a) { return a; });
  cls.def("__abs__", [](const Expr& a) { return te::unary(UnaryOp::kAbs, a); }, Guard());
  cls.def("__invert__", &invert, Guard());
  cls.def("__pow__", [](const py::object& a, const py::object& b) { return power(a, b); }, Guard());
  cls.def(
      "__rpow__", [](const py::object& a, const py::object& b) { return power(b, a); }, Guard());
}

}  // namespace

void bind_expr(py::module_& module) {
  py::class_<Expr> cls(module, "Expr",
                       "A scalar of a tensor expression; it has a value only when a kernel runs.");
  bind_binary_operators(cls);
  bind_unary_operators(cls);
  cls.def("__bool__", &refuse_bool);
  cls.def("__hash__", [](const Expr& e) { return std::hash<const void*>()(e.get()); });
  cls.def("__repr__", [](const Expr& e) { return print(e); });
  cls.def("same_as", &Expr::same_as, py::arg("other"),
          "Whether both are one and the same expression.");
  cls.def_property_readonly("dtype", [](const Expr& e) { return e->dtype; });
  cls.attr("__array_ufunc__") = py::none();  // NumPy's scalars leave the operation to Expr

  py::class_<ReduceAxis, Expr>(module, "ReduceAxis",
                               "An axis that reductions run over; as an index, its position.")
      .def_property_readonly("name",
                             [](const ReduceAxis& a) { return a.iter.var.as<VarNode>()->name; })
      .def_property_readonly("min",
                             [](const ReduceAxis& a) { return from_size(a.iter.domain.min); })
      .def_property_readonly("extent",
                             [](const ReduceAxis& a) { return from_size(a.iter.domain.extent); });
}

}  // namespace tenon::python
