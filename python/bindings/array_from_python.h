#pragma once

/// Arrays of Python as arrays of the runtime.

#include <pybind11/pybind11.h>

#include <string>

#include "tenon/runtime/array.h"

namespace tenon::python {

/// A NumPy array's memory, without a reference to it.
struct NumpyView {
  DLTensor tensor;  ///< shape points into the array; no strides (row-major)
  bool is_writable;
};
/// Fills `view` where `object` is a NumPy array that kernels can use as it is: row-major, aligned,
/// of a known dtype in native byte order. Costs a few nanoseconds.
bool view_numpy(PyObject* object, NumpyView* view);

/// The elements of a Tensor, a NumPy array or anything with `__dlpack__`, without a copy where the
/// layout permits (strides of whole elements, native byte order). DTypeError [E0512, E0515],
/// TargetError [E0925] for a device other than a GPU that CUDA knows.
/// `what` names the value in messages.
Array to_array(pybind11::handle value, const std::string& what = "an array");

}  // namespace tenon::python
