#include "dtype.h"

#include <string>

#include "tenon/support/error.h"

namespace tenon::python {
namespace {

namespace py = pybind11;

DType scalar_dtype(const std::string& name) {
  const DType dtype = parse_dtype(name);
  TENON_USER_CHECK(dtype.is_scalar(), DTypeError, "E0510",
                   "tensors have scalar elements, got the vector dtype ", name, "\n  hint: use ",
                   to_string(dtype.element()), " and Schedule.vectorize");
  return dtype;
}

/// numpy's name of what `value` stands for.
std::string numpy_name(py::handle value) {
  try {
    return py::cast<std::string>(py::module_::import("numpy").attr("dtype")(value).attr("name"));
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_TypeError)) throw;
  }
  return py::cast<std::string>(py::repr(value));
}

}  // namespace

DType to_dtype(py::handle value) {
  if (py::isinstance<py::str>(value)) return scalar_dtype(py::cast<std::string>(value));
  if (py::hasattr(value, "dtype") && !py::isinstance<py::type>(value))
    return to_dtype(value.attr("dtype"));
  return scalar_dtype(numpy_name(value));
}

py::object numpy_dtype(DType dtype) {
  if (dtype == DType::bfloat16()) {
    const py::object type = py::module_::import("ml_dtypes").attr("bfloat16");
    return py::module_::import("numpy").attr("dtype")(type);
  }
  return py::module_::import("numpy").attr("dtype")(to_string(dtype));
}

}  // namespace tenon::python
