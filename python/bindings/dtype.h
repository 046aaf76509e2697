#pragma once

/// Data types cross the border as names: str, or anything that numpy.dtype takes, in; str out.

#include <pybind11/pybind11.h>

#include "tenon/runtime/dtype.h"

namespace tenon::python {

/// "float32", numpy.float32, numpy.dtype("f4"), ml_dtypes.bfloat16, ... DTypeError [E0501].
DType to_dtype(pybind11::handle value);
/// numpy.dtype of a scalar dtype; bfloat16 from ml_dtypes.
pybind11::object numpy_dtype(DType dtype);

}  // namespace tenon::python

namespace pybind11::detail {

template <>
struct type_caster<tenon::DType> {
  PYBIND11_TYPE_CASTER(tenon::DType, const_name("DTypeLike"));
  bool load(handle source, bool) {
    value = tenon::python::to_dtype(source);
    return true;
  }
  static handle cast(tenon::DType dtype, return_value_policy, handle) {
    return pybind11::str(tenon::to_string(dtype)).release();
  }
};

}  // namespace pybind11::detail
