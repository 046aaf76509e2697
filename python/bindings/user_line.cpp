#include "user_line.h"

#include <pybind11/pybind11.h>

#include <string>
#include <string_view>

namespace tenon::python {
namespace {

namespace py = pybind11;

/// The folder of the package, with a slash at its end.
const std::string& package_folder() {
  static const std::string folder = [] {
    const py::object paths = py::module_::import("tenon").attr("__path__");
    return py::cast<std::string>(py::list(paths)[0]) + "/";
  }();
  return folder;
}

std::string_view file_of(const PyCodeObject* code) {
  Py_ssize_t size = 0;
  const char* text = PyUnicode_AsUTF8AndSize(code->co_filename, &size);
  if (text == nullptr) {
    PyErr_Clear();
    return {};
  }
  return {text, static_cast<std::size_t>(size)};
}

}  // namespace

Span user_span() {
  py::object frame =
      py::reinterpret_borrow<py::object>(reinterpret_cast<PyObject*>(PyEval_GetFrame()));
  while (frame) {
    auto* raw = reinterpret_cast<PyFrameObject*>(frame.ptr());
    const py::object code =
        py::reinterpret_steal<py::object>(reinterpret_cast<PyObject*>(PyFrame_GetCode(raw)));
    const std::string_view file = file_of(reinterpret_cast<PyCodeObject*>(code.ptr()));
    // On the command line there is no line of a user's.
    if (file.starts_with(package_folder() + "cli/")) return {};
    if (!file.starts_with(package_folder())) {
      return Span(std::string(file), PyFrame_GetLineNumber(raw));
    }
    frame = py::reinterpret_steal<py::object>(reinterpret_cast<PyObject*>(PyFrame_GetBack(raw)));
  }
  return {};
}

}  // namespace tenon::python
