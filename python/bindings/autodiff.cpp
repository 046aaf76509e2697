#include "tenon/autodiff/autodiff.h"

#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include "bindings.h"
#include "operand.h"
#include "tenon/autodiff/mirror_schedule.h"
#include "user_line.h"

namespace tenon::python {
namespace {

using Guard = py::call_guard<UserLine>;

/// None stands for a null tensor.
std::vector<te::Tensor> to_tensors(const py::sequence& tensors) {
  std::vector<te::Tensor> out;
  for (const py::handle t : tensors)
    out.push_back(t.is_none() ? te::Tensor() : py::cast<te::Tensor>(t));
  return out;
}

py::list from_tensors(const std::vector<te::Tensor>& tensors) {
  py::list out;
  for (const te::Tensor& t : tensors) out.append(t ? py::cast(t) : py::none());
  return out;
}

using PythonRule = std::function<py::sequence(const te::Tensor&, const te::Tensor&)>;

te::Tensor with_vjp(const te::Tensor& tensor, const py::sequence& inputs, PythonRule rule) {
  const auto pull_back = [rule = std::move(rule)](const te::Tensor& output,
                                                  const te::Tensor& cotangent) {
    return to_tensors(rule(output, cotangent));
  };
  return autodiff::with_vjp(tensor, to_tensors(inputs), pull_back);
}

py::tuple vmap(const py::sequence& outputs, const py::sequence& inputs,
               const std::vector<bool>& is_batched, const py::object& extent) {
  const autodiff::Batched batched =
      autodiff::vmap(to_tensors(outputs), to_tensors(inputs), is_batched, to_sizes(extent)[0]);
  return py::make_tuple(from_tensors(batched.inputs), from_tensors(batched.outputs));
}

}  // namespace

void bind_autodiff(py::module_& module) {
  module.def(
      "vjp",
      [](const py::sequence& outputs, const py::sequence& inputs, const py::sequence& cotangents) {
        return from_tensors(
            autodiff::vjp(to_tensors(outputs), to_tensors(inputs), to_tensors(cotangents)));
      },
      Guard());
  module.def(
      "jvp",
      [](const py::sequence& outputs, const py::sequence& inputs, const py::sequence& tangents) {
        return from_tensors(
            autodiff::jvp(to_tensors(outputs), to_tensors(inputs), to_tensors(tangents)));
      },
      Guard());
  module.def("vmap", &vmap, Guard());
  module.def("stop_gradient", &autodiff::stop_gradient, Guard());
  module.def("with_vjp", &with_vjp, Guard());
  module.def("mirror_schedule", [](const Schedule& forward, const Function& derivative,
                                   const Target& target) {
    autodiff::MirroredSchedule out = autodiff::mirror_schedule(forward, derivative, target);
    return py::make_tuple(std::move(out.schedule), out.report);
  });
}

}  // namespace tenon::python
