#include "tenon/autodiff/autodiff.h"

#include <pybind11/stl.h>

#include "bindings.h"
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
}

}  // namespace tenon::python
