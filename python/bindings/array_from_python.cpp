#include "array_from_python.h"

#include <pybind11/numpy.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dtype.h"
#include "tenon/runtime/device.h"
#include "tenon/runtime/executable.h"
#include "tenon/support/error.h"

namespace tenon::python {
namespace {

namespace py = pybind11;
using NumpyApi = py::detail::npy_api;
using NumpyArray = py::detail::PyArray_Proxy;
using NumpyDescr = py::detail::PyArrayDescr_Proxy;

/// The number that ml_dtypes' bfloat16 was registered with; -1 until seen.
int bfloat16_number = -1;

std::optional<DType> registered_dtype(const NumpyDescr& descr) {
  if (descr.type_num == bfloat16_number) return DType::bfloat16();
  const char* name = reinterpret_cast<PyTypeObject*>(descr.typeobj)->tp_name;
  if (!std::string_view(name).ends_with("bfloat16")) return std::nullopt;
  bfloat16_number = descr.type_num;
  return DType::bfloat16();
}

std::optional<DType> dtype_of(const NumpyDescr& descr) {
  if (descr.byteorder == '>') return std::nullopt;
  switch (descr.type_num) {
    case NumpyApi::NPY_BOOL_:
      return kBoolType;
    case NumpyApi::NPY_BYTE_:
      return DType::int_(8);
    case NumpyApi::NPY_UBYTE_:
      return DType::uint(8);
    case NumpyApi::NPY_SHORT_:
      return DType::int_(16);
    case NumpyApi::NPY_USHORT_:
      return DType::uint(16);
    case NumpyApi::NPY_INT_:
      return DType::int_(32);
    case NumpyApi::NPY_UINT_:
      return DType::uint(32);
    case NumpyApi::NPY_LONG_:
    case NumpyApi::NPY_LONGLONG_:
      return DType::int_(64);
    case NumpyApi::NPY_ULONG_:
    case NumpyApi::NPY_ULONGLONG_:
      return DType::uint(64);
    case NumpyApi::NPY_FLOAT_:
      return kFloat32;
    case NumpyApi::NPY_DOUBLE_:
      return kFloat64;
    case 23:
      return DType::float_(16);  // NPY_HALF
    default:
      return descr.type_num >= 256 ? registered_dtype(descr) : std::nullopt;
  }
}

const NumpyDescr& descr_of(const NumpyArray& array) {
  return *reinterpret_cast<const NumpyDescr*>(array.descr);
}

bool is_numpy_array(PyObject* object) {
  static PyTypeObject* const type = NumpyApi::get().PyArray_Type_;
  return Py_TYPE(object) == type || PyType_IsSubtype(Py_TYPE(object), type) != 0;
}

/// Drops the reference when the last user of the elements goes, from any thread.
std::function<void()> keeping(py::handle owner) {
  owner.inc_ref();
  return [object = owner.ptr()] {
    if (Py_IsInitialized() == 0) return;
    const PyGILState_STATE state = PyGILState_Ensure();
    Py_DECREF(object);
    PyGILState_Release(state);
  };
}

/// The array with elements in native byte order, at whole-element strides.
py::object plain_numpy(py::handle value) {
  const auto& array = *reinterpret_cast<const NumpyArray*>(value.ptr());
  const py::module_ numpy = py::module_::import("numpy");
  const py::object dtype = value.attr("dtype").attr("newbyteorder")("=");
  const int itemsize = py::cast<int>(dtype.attr("itemsize"));
  bool whole = true;
  for (int i = 0; i < array.nd; ++i)
    whole = whole && (array.dimensions[i] <= 1 || array.strides[i] % itemsize == 0);
  if (whole) return numpy.attr("asarray")(value, dtype);
  return numpy.attr("array")(value, dtype, py::arg("order") = "C");
}

Array from_numpy(py::handle value, const std::string& what) {
  const py::object kept = plain_numpy(value);
  const auto& array = *reinterpret_cast<const NumpyArray*>(kept.ptr());
  const std::optional<DType> dtype = dtype_of(descr_of(array));
  TENON_USER_CHECK(
      dtype, DTypeError, "E0515", what, " has the NumPy dtype ",
      py::cast<std::string>(py::str(value.attr("dtype"))),
      ", which Tenon does not have\n  hint: convert it with .astype(\"float32\") or the like");
  std::vector<std::int64_t> strides(static_cast<std::size_t>(array.nd));
  for (int i = 0; i < array.nd; ++i) {
    strides[static_cast<std::size_t>(i)] =
        array.dimensions[i] <= 1 ? 1 : array.strides[i] / dtype->bytes();
  }
  const bool read_only = (array.flags & NumpyApi::NPY_ARRAY_WRITEABLE_) == 0;
  const std::span<const std::int64_t> shape(array.dimensions, static_cast<std::size_t>(array.nd));
  return Array::from_memory(array.data, shape, strides, *dtype, read_only, keeping(kept));
}

/// The exchange with a version, else without one (producers older than DLPack 1.0).
/// `is_on_gpu`: for the default stream, after whose work the elements are used.
py::object dlpack_capsule(py::handle value, bool is_on_gpu) {
  py::dict arguments;
  if (is_on_gpu) arguments["stream"] = py::int_(1);
  try {
    return value.attr("__dlpack__")(py::arg("max_version") = py::make_tuple(1, 1), **arguments);
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_TypeError)) throw;
  }
  return value.attr("__dlpack__")(**arguments);
}

template <typename Managed>
Array take(const py::object& capsule, const char* name, const char* used_name) {
  auto* tensor = static_cast<Managed*>(PyCapsule_GetPointer(capsule.ptr(), name));
  if (tensor == nullptr) throw py::error_already_set();
  PyCapsule_SetName(capsule.ptr(), used_name);
  return Array::from_dlpack(tensor);
}

/// Whether the producer's elements are on a GPU that can be used, once they are complete there.
bool is_on_gpu(py::handle value, const std::string& what) {
  if (!py::hasattr(value, "__dlpack_device__")) return false;
  const py::tuple place(value.attr("__dlpack_device__")());
  const int device = py::cast<int>(place[0]);
  if (device == kDLCPU || device == kDLCUDAHost || device == kDLROCMHost) return false;
  const bool is_usable =
      device == kDLCUDA && tenon_device_synchronize(py::cast<int>(place[1])) == TENON_OK;
  TENON_USER_CHECK(is_usable, TargetError, "E0925", what, " is on DLPack device type ", device,
                   device == kDLCUDA
                       ? detail::concat(", which cannot be used: ", tenon_last_error())
                       : ", expected one in host memory",
                   "\n  hint: copy it to the CPU first");
  return true;
}

Array from_dlpack_object(py::handle value, const std::string& what) {
  const bool on_gpu = is_on_gpu(value, what);
  const py::object capsule = dlpack_capsule(value, on_gpu);
  if (on_gpu) {
    const py::tuple place(value.attr("__dlpack_device__")());
    throw_if_error(tenon_device_synchronize(py::cast<int>(place[1])));
  }
  if (PyCapsule_IsValid(capsule.ptr(), "dltensor_versioned") != 0) {
    return take<DLManagedTensorVersioned>(capsule, "dltensor_versioned", "used_dltensor_versioned");
  }
  return take<DLManagedTensor>(capsule, "dltensor", "used_dltensor");
}

}  // namespace

bool view_numpy(PyObject* object, NumpyView* view) {
  if (!is_numpy_array(object)) return false;
  const auto& array = *reinterpret_cast<const NumpyArray*>(object);
  constexpr int kNeeded = NumpyApi::NPY_ARRAY_C_CONTIGUOUS_ | NumpyApi::NPY_ARRAY_ALIGNED_;
  if ((array.flags & kNeeded) != kNeeded) return false;
  const std::optional<DType> dtype = dtype_of(descr_of(array));
  if (!dtype) return false;
  static_assert(sizeof(ssize_t) == sizeof(std::int64_t));
  view->tensor = {array.data,
                  {kDLCPU, 0},
                  array.nd,
                  to_dl_dtype(*dtype),
                  reinterpret_cast<std::int64_t*>(array.dimensions),
                  nullptr,
                  0};
  view->is_writable = (array.flags & NumpyApi::NPY_ARRAY_WRITEABLE_) != 0;
  return true;
}

Array to_array(py::handle value, const std::string& what) {
  if (py::isinstance<Array>(value)) return py::cast<Array>(value);
  if (is_numpy_array(value.ptr())) return from_numpy(value, what);
  if (py::hasattr(value, "__dlpack__")) return from_dlpack_object(value, what);
  detail::raise<DTypeError>(
      "E0512", detail::concat(what, " should be an array, got ",
                              py::cast<std::string>(py::repr(py::type::of(value))),
                              "\n  hint: make one with numpy.asarray(values, \"float32\")"));
}

}  // namespace tenon::python
