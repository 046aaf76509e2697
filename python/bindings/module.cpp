#include <pybind11/pybind11.h>

namespace py = pybind11;

PYBIND11_MODULE(_core, module) {
  module.doc() = "The compiler behind the tenon package; use tenon, not this module.";
  module.attr("__version__") = TENON_VERSION;
}
