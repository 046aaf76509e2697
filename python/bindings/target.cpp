#include "tenon/runtime/target.h"

#include "bindings.h"
#include "dtype.h"

namespace tenon::python {

void bind_target(py::module_& module) {
  py::class_<Target>(module, "Target", "What kernels are compiled for.")
      .def(py::init([](const std::string& text) { return Target::parse(text); }),
           py::arg("text") = "cpu")
      .def(
          "register_tile",
          [](const Target& t, DType dtype) {
            const RegisterTile tile = t.register_tile(dtype);
            return py::make_tuple(tile.rows, tile.columns);
          },
          py::arg("dtype"))
      .def("vector_lanes", &Target::vector_lanes, py::arg("dtype"))
      .def_property_readonly("kind", [](const Target& t) { return t.is_gpu() ? "cuda" : "cpu"; })
      .def_property_readonly("mcpu", [](const Target& t) { return t.mcpu; })
      .def_property_readonly("attributes", &Target::attributes)
      .def_property_readonly("num_vector_registers",
                             [](const Target& t) { return t.num_vector_registers; })
      .def_property_readonly(
          "cache_bytes",
          [](const Target& t) { return py::make_tuple(t.l1_bytes, t.l2_bytes, t.l3_bytes); })
      .def_property_readonly("vector_bytes", [](const Target& t) { return t.vector_bytes; })
      .def_property_readonly("num_cores", [](const Target& t) { return t.num_cores; })
      .def_property_readonly("runs_on_host", &Target::runs_on_host)
      .def_property_readonly(
          "gpu",
          [](const Target& t) -> py::object {
            if (!t.is_gpu()) return py::none();
            const GpuFeatures& g = t.gpu;
            py::dict out;
            out["arch"] = g.arch;
            out["capability"] = g.capability;
            out["num_sms"] = g.num_sms;
            out["shared_bytes_per_sm"] = g.shared_bytes_per_sm;
            out["shared_bytes_per_block"] = g.shared_bytes_per_block;
            out["static_shared_bytes_per_block"] = g.static_shared_bytes_per_block;
            out["threads_per_block"] = g.threads_per_block;
            out["threads_per_sm"] = g.threads_per_sm;
            out["registers_per_sm"] = g.registers_per_sm;
            out["registers_per_thread"] = g.registers_per_thread;
            out["warp_size"] = g.warp_size;
            return out;
          },
          "Limits of a GPU by name; None for a CPU.")
      .def("__eq__",
           [](const Target& t, const py::object& o) {
             return py::isinstance<Target>(o) && t == py::cast<Target>(o);
           })
      .def("__hash__", [](const Target& t) { return std::hash<std::string>()(t.str()); })
      .def("__str__", &Target::str)
      .def("__repr__", [](const Target& t) { return "tenon.Target(\"" + t.str() + "\")"; });
}

}  // namespace tenon::python
