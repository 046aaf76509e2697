#include "tenon/driver/cuda.h"

#include <pybind11/stl.h>

#include <cstdint>
#include <string>

#include "bindings.h"
#include "runtime/cuda_places.h"

namespace tenon::python {
namespace {

py::dict to_dict(const CudaKernelResources& kernel) {
  py::dict entries;
  entries["registers"] = kernel.registers;
  entries["shared_bytes"] = kernel.shared_bytes;
  entries["local_bytes"] = kernel.local_bytes;
  entries["param_bytes"] = kernel.param_bytes;
  entries["constant_bytes"] = kernel.constant_bytes;
  entries["max_threads"] = kernel.max_threads;
  entries["spill_store_bytes"] = kernel.spill_store_bytes;
  entries["spill_load_bytes"] = kernel.spill_load_bytes;
  return entries;
}

py::dict kernels_of(const Cubin& cubin) {
  py::dict kernels;
  for (const CudaKernelResources& kernel : cubin.kernels) {
    kernels[py::str(kernel.name)] = to_dict(kernel);
  }
  return kernels;
}

py::bytes to_bytes(const Cubin& cubin) {
  return {reinterpret_cast<const char*>(cubin.bytes.data()), cubin.bytes.size()};
}

Cubin compile(const std::string& source, const std::string& arch, int max_registers,
              bool use_cache) {
  CudaCompileOptions options;
  options.max_registers = max_registers;
  const py::gil_scoped_release released;
  return build_cubin(source, arch, options, use_cache);
}

}  // namespace

void bind_cuda(py::module_& module) {
  py::class_<Cubin>(module, "Cubin")
      .def_readonly("arch", &Cubin::arch)
      .def_property_readonly("bytes", &to_bytes)
      .def_property_readonly("kernels", &kernels_of)
      .def_readonly("log", &Cubin::log)
      .def_readonly("seconds", &Cubin::seconds)
      .def_readonly("is_from_cache", &Cubin::is_from_cache);
  module.def("compile_cuda", &compile, py::arg("source"), py::arg("arch"), py::kw_only(),
             py::arg("max_registers") = 0, py::arg("use_cache") = true);
  module.def("set_cuda_package_folders",
             [](const std::string& folders) { set_cuda_package_folders(folders.c_str()); });
}

}  // namespace tenon::python
