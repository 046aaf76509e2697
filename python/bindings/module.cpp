#include "bindings.h"
#include "tenon/runtime/executable.h"

PYBIND11_MODULE(_core, module) {
  namespace bindings = tenon::python;
  module.doc() = "The compiler behind the tenon package; use tenon, not this module.";
  module.attr("__version__") = TENON_VERSION;
  bindings::bind_errors(module);
  bindings::bind_expr(module);
  bindings::bind_te(module);
  bindings::bind_autodiff(module);
  bindings::bind_function(module);
  bindings::bind_trace(module);
  bindings::bind_schedule(module);
  bindings::bind_target(module);
  bindings::bind_array(module);
  bindings::bind_interpret(module);
  bindings::bind_kernel(module);
  bindings::bind_config(module);
  bindings::bind_cuda(module);
  bindings::bind_device_kernel(module);
  bindings::bind_graph(module);
  bindings::bind_loaded_model(module);
  bindings::bind_onnx(module);
  bindings::bind_library(module);
  bindings::bind_tuning(module);
  tenon::install_interrupt_handler();
}
