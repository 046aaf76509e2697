#include "tenon/graph/onnx.h"

#include <pybind11/stl.h>

#include <optional>
#include <string>

#include "array_from_python.h"
#include "bindings.h"
#include "graph_value.h"
#include "tenon/graph/onnx_writer.h"
#include "text.h"

namespace tenon::python {
namespace {

using graph::OnnxModel;
using graph::OnnxOptions;

OnnxOptions to_options(const py::dict& values, std::map<std::string, std::int64_t> sizes,
                       std::map<std::string, std::vector<std::int64_t>> shapes) {
  OnnxOptions options;
  for (const auto& [name, value] : values)
    options.values[py::cast<std::string>(name)] = to_array(value);
  options.sizes = std::move(sizes);
  options.shapes = std::move(shapes);
  return options;
}

/// Pieces of a file: bytes, or arrays, whose memory is written as it is.
py::list to_pieces(const std::vector<graph::OnnxBytes>& pieces) {
  py::list all;
  for (const graph::OnnxBytes& piece : pieces) {
    if (piece.bytes.empty()) {
      all.append(py::cast(piece.array));
    } else {
      all.append(py::bytes(piece.bytes));
    }
  }
  return all;
}

py::tuple write_onnx(const std::vector<GraphValue>& inputs, const std::vector<GraphValue>& outputs,
                     const std::string& name, std::vector<std::string> input_names,
                     std::vector<std::string> output_names, const std::string& data_file) {
  graph::OnnxWriteOptions options;
  options.name = name;
  options.input_names = std::move(input_names);
  options.output_names = std::move(output_names);
  options.data_file = data_file;
  const graph::OnnxFiles files = graph::write_onnx(to_values(inputs), to_values(outputs), options);
  return py::make_tuple(to_pieces(files.model), to_pieces(files.data));
}

}  // namespace

void bind_onnx(py::module_& module) {
  module.def("write_onnx", &write_onnx, py::arg("inputs"), py::arg("outputs"), py::arg("name"),
             py::arg("input_names"), py::arg("output_names"), py::arg("data_file"));
  module.def(
      "constant_bytes",
      [](const std::vector<GraphValue>& outputs) {
        return graph::constant_bytes(to_values(outputs));
      },
      py::arg("outputs"));
  py::class_<graph::OnnxNetwork>(module, "OnnxNetwork")
      .def_readonly("name", &graph::OnnxNetwork::name)
      .def_readonly("output_names", &graph::OnnxNetwork::output_names)
      .def_readonly("needed_values", &graph::OnnxNetwork::needed_values)
      .def_property_readonly("inputs",
                             [](const graph::OnnxNetwork& n) { return from_values(n.inputs); })
      .def_property_readonly("outputs",
                             [](const graph::OnnxNetwork& n) { return from_values(n.outputs); });
  py::class_<OnnxModel>(module, "OnnxModel")
      .def_static("open", &OnnxModel::open, py::arg("path"),
                  py::arg("external_data_root") = std::nullopt)
      .def_static(
          "parse",
          [](const py::bytes& bytes, const std::string& name,
             const std::optional<std::string>& root) {
            return OnnxModel::parse(bytes, name, root);
          },
          py::arg("bytes"), py::arg("name"), py::arg("external_data_root") = std::nullopt)
      .def(
          "network",
          [](const OnnxModel& m, const py::dict& values, std::map<std::string, std::int64_t> sizes,
             std::map<std::string, std::vector<std::int64_t>> shapes) {
            return m.network(to_options(values, std::move(sizes), std::move(shapes)));
          },
          py::arg("values"), py::arg("sizes"), py::arg("shapes"))
      .def(
          "check",
          [](const OnnxModel& m, const py::dict& values, std::map<std::string, std::int64_t> sizes,
             std::map<std::string, std::vector<std::int64_t>> shapes) {
            py::list rows;
            for (const auto& r : m.check(to_options(values, std::move(sizes), std::move(shapes)))) {
              rows.append(py::make_tuple(r.domain, r.name, r.version, r.count, r.status,
                                         to_text(r.reason)));
            }
            return rows;
          },
          py::arg("values"), py::arg("sizes"), py::arg("shapes"))
      .def_property_readonly("name", &OnnxModel::name)
      .def_property_readonly("input_names", &OnnxModel::input_names);
}

}  // namespace tenon::python
