#include "tenon/driver/device_kernel.h"

#include <pybind11/stl.h>

#include "bindings.h"
#include "call_executable.h"
#include "kernel.h"
#include "tenon/ir/thread.h"
#include "tenon/rules/default_schedule.h"
#include "tenon/runtime/device.h"

namespace tenon::python {
namespace {

struct DeviceKernel {
  DeviceKernelCode code;
  Executable executable;
  ResultShapes shapes;
  std::string schedule;  ///< where it comes from
};

/// `schedule_by_default`: `source` has no schedule yet, unless its loops are bound already.
DeviceKernel build(const Function& source, const Target& target, bool schedule_by_default,
                   bool verify) {
  const py::gil_scoped_release released;
  const bool is_plain =
      schedule_by_default && source->level == Level::kBlock && !has_thread_loops(source);
  Function f = source;
  DeviceKernel kernel;
  kernel.schedule = "the caller's";
  if (is_plain) {
    ChosenSchedule chosen = choose_schedule(source, target);
    f = chosen.schedule.function();
    kernel.schedule = std::move(chosen.source);
  }
  BuildOptions options;
  options.lower.verify = verify;
  options.poll = &poll_signals;
  kernel.code = compile_device_kernel(f, target, options);
  kernel.executable = make_executable(kernel.code);
  kernel.shapes = result_shapes(f);
  return kernel;
}

py::object call(const DeviceKernel& kernel, const py::args& arguments, const py::object& out) {
  std::int32_t count = 0;
  throw_if_error(tenon_device_count(&count));  // says what is missing, before arguments are read
  const auto* tuple = reinterpret_cast<PyTupleObject*>(arguments.ptr());
  return call_executable(kernel.executable, kernel.shapes,
                         {tuple->ob_item, static_cast<std::size_t>(PyTuple_GET_SIZE(tuple))},
                         out.is_none() ? nullptr : out.ptr());
}

py::list launches_of(const DeviceKernel& kernel) {
  py::list out;
  const CudaModule& module = kernel.code.module;
  for (std::size_t i = 0; i < module.kernels.size(); ++i) {
    const CudaKernel& k = module.kernels[i];
    const CudaKernelResources& r = kernel.code.resources(i);
    py::dict entry;
    entry["name"] = k.name;
    entry["block"] = py::make_tuple(k.block[0], k.block[1], k.block[2]);
    entry["shared_bytes"] = k.static_shared_bytes + k.dynamic_shared_bytes;
    entry["registers"] = r.registers;
    entry["local_bytes"] = r.local_bytes;
    entry["spill_bytes"] = r.spill_store_bytes;
    entry["is_contraction"] = k.has_fma;
    out.append(entry);
  }
  return out;
}

}  // namespace

void bind_device_kernel(py::module_& module) {
  using Released = py::call_guard<py::gil_scoped_release>;
  py::class_<DeviceKernel>(module, "DeviceKernel", "Kernels for a GPU; call it with arrays.",
                           py::is_final())
      .def_property_readonly("name", [](const DeviceKernel& k) { return k.code.source->name; })
      .def_property_readonly("function", [](const DeviceKernel& k) { return k.code.source; })
      .def_property_readonly("loops", [](const DeviceKernel& k) { return k.code.function; })
      .def_property_readonly("target", [](const DeviceKernel& k) { return k.code.target; })
      .def_property_readonly("launches", &launches_of)
      .def(
          "cuda_source", [](const DeviceKernel& k) { return k.code.module.source; },
          "The CUDA C++ of all kernels.")
      .def(
          "ptx",
          [](const DeviceKernel& k) {
            return cuda_ptx(k.code.module.source, k.code.target.gpu.arch);
          },
          Released(), "The PTX that NVRTC makes of it.")
      .def(
          "report", [](const DeviceKernel& k) { return report(k.code, k.schedule); },
          "What was compiled, and what each kernel takes of a multiprocessor.")
      .def(
          "plan_bytes",
          [](const DeviceKernel& k) {
            const std::vector<std::uint8_t> bytes = k.executable.plan_bytes();
            return py::bytes(reinterpret_cast<const char*>(bytes.data()), bytes.size());
          },
          "The plan with its code and constants, which the runtime alone can run.")
      .def("__call__", &call, py::kw_only(), py::arg("out") = py::none())
      .def("__repr__", [](const DeviceKernel& k) {
        return "<tenon.DeviceKernel " + k.code.source->name + ">";
      });
  module.def("build_device_kernel", &build);
}

}  // namespace tenon::python
