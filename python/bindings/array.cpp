#include "tenon/runtime/array.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include "array_from_python.h"
#include "bindings.h"
#include "dtype.h"
#include "tenon/support/error.h"

namespace tenon::python {
namespace {

/// Calls the deleter of a tensor that nobody took.
template <typename Managed>
void drop_capsule(PyObject* capsule, const char* name) {
  if (PyCapsule_IsValid(capsule, name) == 0) return;
  auto* tensor = static_cast<Managed*>(PyCapsule_GetPointer(capsule, name));
  if (tensor->deleter != nullptr) tensor->deleter(tensor);
}

py::object capsule_of(DLManagedTensorVersioned* tensor) {
  return py::reinterpret_steal<py::object>(PyCapsule_New(
      tensor, "dltensor_versioned",
      [](PyObject* c) { drop_capsule<DLManagedTensorVersioned>(c, "dltensor_versioned"); }));
}
py::object capsule_of(DLManagedTensor* tensor) {
  return py::reinterpret_steal<py::object>(PyCapsule_New(
      tensor, "dltensor", [](PyObject* c) { drop_capsule<DLManagedTensor>(c, "dltensor"); }));
}

/// The consumer's stream: elements are there when a call returns, so that it need not wait.
void check_stream(const Array& array, const py::object& stream) {
  if (stream.is_none()) return;
  TENON_USER_CHECK(!array.is_on_host(), TargetError, "E0925",
                   "an array in host memory has no stream");
  const bool is_stream =
      py::isinstance<py::int_>(stream) && !stream.equal(py::int_(0)) && !(stream < py::int_(-1));
  TENON_USER_CHECK(is_stream, TargetError, "E1134",
                   "stream=", py::cast<std::string>(py::repr(stream)),
                   " of __dlpack__ is no stream of CUDA\n  hint: None, -1 (no wait), 1 and 2 (the "
                   "default streams), or the address of a stream");
}

/// The array where the consumer wants it.
Array exported_array(const Array& array, const py::object& device, bool is_copied) {
  if (!device.is_none()) {
    const py::tuple wanted(device);
    const int type = py::cast<int>(wanted[0]);
    if (type == kDLCPU && !array.is_on_host()) return array.to({kDLCPU, 0});
    TENON_USER_CHECK(type == array.device().device_type, TargetError, "E0925", "the array is on ",
                     array.is_on_host() ? "host memory" : device_str(array.device()),
                     " and cannot be exported to device ", py::cast<std::string>(py::repr(device)));
  }
  return is_copied ? array.copy() : array;
}

py::object dlpack(const Array& array, const py::object& stream, const py::object& max_version,
                  const py::object& device, const py::object& copy) {
  check_stream(array, stream);
  const bool is_copied = !copy.is_none() && py::cast<bool>(copy);
  const Array exported = exported_array(array, device, is_copied);
  const bool versioned = !max_version.is_none() && py::cast<int>(py::tuple(max_version)[0]) >= 1;
  return versioned ? capsule_of(exported.to_dlpack_versioned(is_copied))
                   : capsule_of(exported.to_dlpack());
}

/// A NumPy array of the same memory.
py::object numpy_of(const Array& array) {
  TENON_USER_CHECK(array.is_on_host(), TargetError, "E1132", "a tensor on ",
                   device_str(array.device()),
                   " has no elements that NumPy can read\n  hint: copy it with .to(\"cpu\")");
  const py::ssize_t bytes = array.dtype().bytes();
  const std::vector<py::ssize_t> shape(array.shape().begin(), array.shape().end());
  std::vector<py::ssize_t> strides(array.strides().begin(), array.strides().end());
  for (py::ssize_t& stride : strides) stride *= bytes;
  py::array result(py::reinterpret_borrow<py::dtype>(numpy_dtype(array.dtype())), shape, strides,
                   array.raw(), py::cast(array));
  if (array.read_only()) result.attr("setflags")(py::arg("write") = false);
  return result;
}

py::object array_protocol(const Array& array, const py::object& dtype, const py::object& copy) {
  py::object result = numpy_of(array);
  const bool must_copy = !copy.is_none() && py::cast<bool>(copy);
  if (!dtype.is_none() && !dtype.equal(result.attr("dtype"))) {
    TENON_USER_CHECK(copy.is_none() || must_copy, DTypeError, "E0513",
                     "an array of another dtype cannot be had without a copy");
    return result.attr("astype")(dtype);
  }
  return must_copy ? result.attr("copy")() : result;
}

py::tuple shape_of(const Array& array) {
  py::tuple shape(array.shape().size());
  for (std::size_t i = 0; i < shape.size(); ++i) shape[i] = array.shape()[i];
  return shape;
}

py::ssize_t length(const Array& array) {
  if (array.rank() == 0) throw py::type_error("len() of a tensor without dimensions");
  return array.shape()[0];
}

py::object item(const Array& array) {
  if (array.size() != 1) {
    throw py::type_error(detail::concat("a tensor of ", array.size(),
                                        " elements is no number; only one element has a value"));
  }
  return numpy_of(array).attr("item")();
}

std::string repr(const Array& array) {
  if (!array.is_on_host()) {
    return detail::concat("tenon.Tensor(shape=", shape_str(array.shape()),
                          ", dtype=", to_string(array.dtype()),
                          ", device=", device_str(array.device()), ")");
  }
  const py::object text = py::module_::import("numpy").attr("array2string")(
      numpy_of(array), py::arg("separator") = ", ", py::arg("prefix") = "tenon.Tensor(");
  return detail::concat("tenon.Tensor(", py::cast<std::string>(text),
                        ", dtype=", to_string(array.dtype()), ")");
}

}  // namespace

void bind_array(py::module_& module) {
  py::class_<Array> cls(module, "Tensor",
                        "An array in host memory or on a GPU, shared with NumPy and others without "
                        "a copy.");
  cls.def("__dlpack__", &dlpack, py::kw_only(), py::arg("stream") = py::none(),
          py::arg("max_version") = py::none(), py::arg("dl_device") = py::none(),
          py::arg("copy") = py::none())
      .def("__dlpack_device__",
           [](const Array& a) {
             return py::make_tuple(static_cast<int>(a.device().device_type), a.device().device_id);
           })
      .def("__array__", &array_protocol, py::arg("dtype") = py::none(),
           py::arg("copy") = py::none())
      .def("numpy", &numpy_of, "A NumPy array of the same memory.")
      .def("item", &item, "The element of a one-element array.")
      .def("__float__", [](const Array& a) { return py::float_(item(a)); })
      .def("__int__", [](const Array& a) { return py::int_(item(a)); })
      .def("__bool__", [](const Array& a) { return py::cast<bool>(py::bool_(item(a))); })
      .def(
          "tolist", [](const Array& a) { return numpy_of(a).attr("tolist")(); },
          "The elements as nested lists; a number without dimensions.")
      .def("__getitem__",
           [](const Array& a, const py::object& index) {
             const py::object part = numpy_of(a).attr("__getitem__")(index);
             // One element is a NumPy scalar, which is no array.
             return to_array(py::module_::import("numpy").attr("asarray")(part));
           })
      .def("__len__", &length)
      .def("__repr__", &repr)
      .def(
          "to",
          [](const Array& a, const std::string& device) { return a.to(parse_device(device)); },
          py::arg("device"), py::call_guard<py::gil_scoped_release>(),
          "The elements on \"cpu\", \"cuda\" or \"cuda:1\"; this tensor where it is there.")
      .def_property_readonly("device", [](const Array& a) { return device_str(a.device()); })
      .def_property_readonly("shape", &shape_of)
      .def_property_readonly("dtype", &Array::dtype)
      .def_property_readonly("ndim", &Array::rank)
      .def_property_readonly("size", &Array::size)
      .def_property_readonly("nbytes", &Array::nbytes)
      .def_property_readonly("read_only", &Array::read_only);
  module.def("asarray", [](const py::object& values) { return to_array(values); });
  module.def("numpy_dtype", [](DType dtype) { return numpy_dtype(dtype); });
}

}  // namespace tenon::python
