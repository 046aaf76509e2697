#include "operand.h"

#include <cstdint>
#include <optional>
#include <string>

#include "tenon/ir/builder.h"
#include "tenon/te/tensor.h"

namespace tenon::python {
namespace {

namespace py = pybind11;

bool is_numpy_scalar(py::handle value) {
  return py::hasattr(value, "dtype") && py::hasattr(value, "item") && py::hasattr(value, "shape") &&
         py::len(value.attr("shape")) == 0 && !py::isinstance<Expr>(value);
}

/// Python's number of a NumPy scalar; Python's own numbers as they are.
py::object plain_number(py::handle value) {
  if (PyBool_Check(value.ptr()) || PyLong_Check(value.ptr()) || PyFloat_Check(value.ptr())) {
    return py::reinterpret_borrow<py::object>(value);
  }
  return value.attr("item")();
}

[[noreturn]] void refuse(py::handle number, DType dtype, const char* hint) {
  detail::raise<DTypeError>("E0511",
                            detail::concat("the number ", py::cast<std::string>(py::repr(number)),
                                           " meets an operand of dtype ", to_string(dtype),
                                           ", which cannot hold it\n  hint: ", hint));
}

Expr integer_constant(const py::object& number, DType dtype) {
  const bool is_unsigned = dtype.code == DTypeCode::kUInt;
  const int bits = dtype.bits;
  const py::int_ one(1);
  const py::object low = is_unsigned ? py::object(py::int_(0)) : -(one << py::int_(bits - 1));
  const py::object high = one << py::int_(is_unsigned ? bits : bits - 1);
  if (number < low || !(number < high)) refuse(number, dtype, "choose a wider dtype with te.cast");
  if (is_unsigned)
    return int_imm(dtype, static_cast<std::int64_t>(py::cast<std::uint64_t>(number)));
  return int_imm(dtype, py::cast<std::int64_t>(number));
}

DType own_dtype(const py::object& number) {
  if (PyBool_Check(number.ptr())) return kBoolType;
  return PyLong_Check(number.ptr()) ? kInt64 : kFloat32;
}

}  // namespace

bool is_number(py::handle value) {
  return PyBool_Check(value.ptr()) || PyLong_Check(value.ptr()) || PyFloat_Check(value.ptr()) ||
         is_numpy_scalar(value);
}

Expr constant(py::handle value, DType dtype) {
  const py::object number = plain_number(value);
  if (PyBool_Check(number.ptr())) {
    if (!dtype.is_bool()) refuse(number, dtype, "write 0 or 1, or use te.select");
    return bool_imm(number.ptr() == Py_True);
  }
  if (dtype.is_bool()) refuse(number, dtype, "compare first, as in x != 0");
  if (dtype.is_float()) {
    const double as_float = PyFloat_AsDouble(number.ptr());
    if (as_float == -1.0 && PyErr_Occurred() != nullptr) {
      PyErr_Clear();
      refuse(number, dtype, "write a float such as 1e30");
    }
    return const_like(dtype, as_float);
  }
  if (!PyLong_Check(number.ptr()))
    refuse(number, dtype, "convert the other operand with te.cast(x, \"float32\")");
  return integer_constant(number, dtype);
}

Expr to_expr(py::handle value) {
  if (py::isinstance<Expr>(value)) return py::cast<Expr>(value);
  if (is_number(value)) {
    const py::object number = plain_number(value);
    return constant(number, own_dtype(number));
  }
  if (py::isinstance<te::Tensor>(value)) {
    const auto tensor = py::cast<te::Tensor>(value);
    detail::raise<ExpressionError>(
        "E0131",
        detail::concat("tensor '", tensor->name, "' is used as a number\n  hint: index it, as in ",
                       tensor->name, tensor->shape.empty() ? "[()]" : "[i, ...]", " with ",
                       tensor->shape.size(), " indices"));
  }
  detail::raise<ExpressionError>(
      "E0131", detail::concat("expected an expression or a number, got ",
                              py::cast<std::string>(py::repr(py::type::of(value)))));
}

std::pair<Expr, Expr> to_operands(py::handle a, py::handle b) {
  const bool weak_a = is_number(a), weak_b = is_number(b);
  if (weak_a == weak_b) return {to_expr(a), to_expr(b)};
  if (weak_b) {
    Expr x = to_expr(a);
    return {x, constant(b, x->dtype)};
  }
  Expr y = to_expr(b);
  return {constant(a, y->dtype), y};
}

std::vector<Expr> to_sizes(py::handle values) {
  std::vector<Expr> sizes;
  if (py::isinstance<Expr>(values) || is_number(values)) {
    sizes.push_back(to_expr(values));
    return sizes;
  }
  TENON_USER_CHECK(py::isinstance<py::iterable>(values) && !py::isinstance<py::str>(values),
                   ExpressionError, "E0132", "expected a sequence of integers or expressions, got ",
                   py::cast<std::string>(py::repr(values)));
  for (const py::handle value : values) sizes.push_back(to_expr(value));
  return sizes;
}

py::object from_size(const Expr& size) {
  const std::optional<std::int64_t> value = as_int(size);
  return value ? py::object(py::int_(*value)) : py::cast(size);
}

py::tuple from_sizes(const std::vector<Expr>& sizes) {
  py::tuple result(sizes.size());
  for (std::size_t i = 0; i < sizes.size(); ++i) result[i] = from_size(sizes[i]);
  return result;
}

}  // namespace tenon::python
