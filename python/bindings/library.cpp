#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "bindings.h"
#include "tenon/graph/export.h"

namespace tenon::python {
namespace {

/// Returns the names of the levels.
std::vector<std::string> export_library(const graph::CompiledNetwork& network,
                                        const std::string& path, const std::string& name,
                                        const std::vector<LevelName>& levels,
                                        const std::string& runtime_object, bool verify) {
  graph::ExportOptions options;
  options.name = name;
  options.levels = in_order_of_choice(levels);
  options.runtime_object = runtime_object;
  options.producer = std::string("tenon ") + TENON_VERSION;
  options.verify = verify;
  options.poll = poll_signals;
  std::vector<std::string> names;
  for (const LevelName& level : options.levels) names.push_back(level.name);
  const py::gil_scoped_release released;
  graph::export_library(network, path, options);
  return names;
}

}  // namespace

void bind_library(py::module_& module) {
  py::class_<LevelName>(module, "Level")
      .def(py::init(&parse_level), py::arg("text"))
      .def_readonly("name", &LevelName::name)
      .def_readonly("target", &LevelName::target);
  module.def("check_model_name", &check_model_name, py::arg("name"));
  module.def("export_library", &export_library, py::arg("network"), py::arg("path"),
             py::arg("name"), py::arg("levels"), py::arg("runtime_object"), py::arg("verify"));
}

}  // namespace tenon::python
