#pragma once

/// The parts of the extension module, one function per file.

#include <pybind11/pybind11.h>

namespace tenon::python {

namespace py = pybind11;

/// Raises KeyboardInterrupt (or what the handler of a signal raises) if Ctrl-C was pressed: for
/// BuildOptions::poll, without the GIL.
void poll_signals();
/// Lets C++ exceptions arrive as the classes of tenon.errors.
void bind_errors(py::module_& module);
void bind_expr(py::module_& module);
void bind_te(py::module_& module);
void bind_function(py::module_& module);
void bind_schedule(py::module_& module);
void bind_target(py::module_& module);
void bind_array(py::module_& module);
void bind_autodiff(py::module_& module);
void bind_interpret(py::module_& module);
void bind_trace(py::module_& module);
/// Values of networks, and networks.
void bind_graph(py::module_& module);
/// ONNX models.
void bind_onnx(py::module_& module);
void bind_kernel(py::module_& module);
/// Shared libraries of networks.
void bind_library(py::module_& module);
/// Models in shared libraries.
void bind_loaded_model(py::module_& module);
void bind_config(py::module_& module);
void bind_cuda(py::module_& module);
/// What `tn.build` makes for a GPU.
void bind_device_kernel(py::module_& module);
/// Records of measured schedules.
void bind_tuning(py::module_& module);

}  // namespace tenon::python
