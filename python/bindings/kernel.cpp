#include "kernel.h"

#include <pybind11/stl.h>

#include <chrono>
#include <utility>

#include "bindings.h"
#include "tenon/codegen/llvm.h"
#include "tenon/ir/builder.h"
#include "tenon/rules/default_schedule.h"

namespace tenon::python {

ResultShapes result_shapes(const Function& f) {
  ResultShapes result;
  for (const Buffer& output : f->outputs) {
    Shape shape;
    for (const Expr& size : output->shape) {
      if (!as_int(size)) return {};
      shape.push_back(*as_int(size));
    }
    result.shapes.push_back(std::move(shape));
  }
  result.known = true;
  return result;
}

namespace {

/// `verify` checks the program after each pass.
BuildOptions options_for(bool verify) {
  BuildOptions options;
  options.lower.verify = verify;
  options.codegen.verify_llvm = verify;
  options.poll = &poll_signals;
  return options;
}

/// What follows from a kernel's source once it is compiled.
void finish(Kernel* kernel, CompiledKernel compiled, bool is_compared) {
  kernel->is_compared = is_compared;
  kernel->shapes = result_shapes(kernel->source);
  kernel->compiled = std::move(compiled);
  kernel->executable = make_executable(kernel->compiled);
}

/// `schedule_by_default`: `f` has no schedule yet.
Kernel build_kernel(const Function& f, const Target& target, bool schedule_by_default, bool verify,
                    bool is_compared) {
  const py::gil_scoped_release released;
  Kernel kernel;
  kernel.source = f;
  kernel.schedule = "the caller's";
  if (schedule_by_default && f->level == Level::kBlock) {
    ChosenSchedule chosen = choose_schedule(f, target);
    kernel.source = chosen.schedule.function();
    kernel.schedule = std::move(chosen.source);
  }
  finish(&kernel, compile_kernel(kernel.source, target, options_for(verify)), is_compared);
  return kernel;
}

/// `conditions`: of all variants but the last.
std::vector<Variant> variants_of(const std::vector<Expr>& conditions,
                                 const std::vector<Function>& functions) {
  std::vector<Variant> variants;
  for (std::size_t i = 0; i < functions.size(); ++i)
    variants.push_back({i < conditions.size() ? conditions[i] : nullptr, functions[i]});
  return variants;
}

/// One kernel of several schedules of `f`; `text` shows the tree.
Kernel build_variants(const Function& f, const std::vector<Expr>& conditions,
                      const std::vector<Function>& functions, const std::string& text,
                      const Target& target, bool verify, bool is_compared) {
  const py::gil_scoped_release released;
  Kernel kernel;
  kernel.source = f;
  kernel.schedule = text;
  finish(&kernel,
         compile_kernel(f, variants_of(conditions, functions), target, options_for(verify)),
         is_compared);
  return kernel;
}

Function lower_variants_of(const Function& f, const std::vector<Expr>& conditions,
                           const std::vector<Function>& functions) {
  return lower_variants(f, variants_of(conditions, functions));
}

std::span<PyObject* const> items_of(PyObject* tuple) {
  return {reinterpret_cast<PyTupleObject*>(tuple)->ob_item,
          static_cast<std::size_t>(PyTuple_GET_SIZE(tuple))};
}

PyObject* out_argument(const Kernel& kernel, PyObject* named) {
  if (named == nullptr || PyDict_GET_SIZE(named) == 0) return nullptr;
  static PyObject* const name = PyUnicode_InternFromString("out");
  PyObject* out = PyDict_GetItemWithError(named, name);
  if (out == nullptr || PyDict_GET_SIZE(named) != 1) {
    throw py::type_error(kernel.executable.name() + " takes arrays by position, and out=");
  }
  return out;
}

/// `kernel(*arrays, out=None)`. In place of a bound method: its dispatch would cost more than a
/// small kernel.
PyObject* call_kernel(PyObject* self, PyObject* arguments, PyObject* named) {
  try {
    const auto* kernel = static_cast<const Kernel*>(
        reinterpret_cast<py::detail::instance*>(self)->simple_value_holder[0]);
    if (kernel == nullptr) throw py::type_error("a kernel is made by tenon.build");
    py::object result = call_executable(kernel->executable, kernel->shapes, items_of(arguments),
                                        out_argument(*kernel, named));
    if (kernel->is_compared) {
      compare_with_interpreter(*kernel, to_inputs(kernel->executable, items_of(arguments)), result);
    }
    return result.release().ptr();
  } catch (...) {
    py::detail::try_translate_exceptions();
    return nullptr;
  }
}

/// Seconds per call, one value for each of `num_samples` runs of at least `sample_seconds`.
std::vector<double> sample(const Executable& executable, const std::vector<Array>& inputs,
                           int num_samples, double sample_seconds) {
  using Clock = std::chrono::steady_clock;
  std::vector<Array> results = executable.call(inputs);
  const auto run_for = [&](std::int64_t calls) {
    const auto start = Clock::now();
    for (std::int64_t i = 0; i < calls; ++i) executable.call_into(inputs, results);
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  std::int64_t calls = 1;
  while (run_for(calls) < sample_seconds && calls < (std::int64_t{1} << 30)) calls *= 2;
  std::vector<double> samples;
  for (int i = 0; i < num_samples; ++i)
    samples.push_back(run_for(calls) / static_cast<double>(calls));
  return samples;
}

py::object time_kernel(const Kernel& kernel, const py::args& arguments, int num_samples,
                       double sample_seconds) {
  const std::vector<Array> inputs = to_inputs(kernel.executable, items_of(arguments.ptr()));
  std::vector<double> samples;
  {
    const py::gil_scoped_release released;
    samples = sample(kernel.executable, inputs, num_samples, sample_seconds);
  }
  return py::module_::import("tenon._timing").attr("summarize")(samples);
}

std::string llvm_text(const Kernel& kernel) {
  return llvm_ir(std::span(&kernel.compiled.function, 1), kernel.compiled.target);
}
std::string assembly_text(const Kernel& kernel) {
  return assembly(std::span(&kernel.compiled.function, 1), kernel.compiled.target);
}

}  // namespace

void bind_kernel(py::module_& module) {
  const auto make_callable = [](PyHeapTypeObject* type) { type->ht_type.tp_call = &call_kernel; };
  using Released = py::call_guard<py::gil_scoped_release>;
  py::class_<Kernel>(module, "Kernel", "Compiled code; call it with arrays.",
                     py::custom_type_setup(make_callable), py::is_final())
      .def_property_readonly("name", [](const Kernel& k) { return k.executable.name(); })
      .def_property_readonly("function", [](const Kernel& k) { return k.source; })
      .def_property_readonly("loops", [](const Kernel& k) { return k.compiled.function; })
      .def_property_readonly("target", [](const Kernel& k) { return k.compiled.target; })
      .def("llvm_ir", &llvm_text, Released(), "The optimised LLVM IR.")
      .def("assembly", &assembly_text, Released(), "The machine code, as text.")
      .def("report", &report, "What was compiled, and what became of it.")
      .def("time", &time_kernel, py::kw_only(), py::arg("num_samples") = 20,
           py::arg("sample_seconds") = 0.005)
      .def("__repr__",
           [](const Kernel& k) { return "<tenon.Kernel " + k.executable.name() + ">"; });
  module.def("build", &build_kernel);
  module.def("build_variants", &build_variants);
  module.def("lower_variants", &lower_variants_of, Released());
  module.def("narrowed", &narrowed);
}

}  // namespace tenon::python
