#include "tenon/ir/function.h"

#include <pybind11/stl.h>

#include "bindings.h"
#include "dtype.h"
#include "operand.h"
#include "tenon/ir/parse.h"
#include "tenon/ir/print.h"
#include "tenon/ir/structural.h"
#include "tenon/ir/verify.h"

namespace tenon::python {
namespace {

/// ("A", (512, 512), "float32") for each.
py::list describe(const std::vector<Buffer>& buffers) {
  py::list result;
  for (const Buffer& b : buffers)
    result.append(py::make_tuple(b->name, from_sizes(b->shape), b->dtype));
  return result;
}

/// Text that parses may still break rules: then it is the user's.
Function parse(const std::string& text) {
  Function f = parse_function(text);
  const std::vector<Violation> violations = find_violations(f);
  TENON_USER_CHECK(violations.empty(), ExpressionError, "E0124", "the program breaks rule '",
                   violations[0].rule, "': ", violations[0].message);
  return f;
}

}  // namespace

void bind_function(py::module_& module) {
  py::class_<Function>(module, "Function",
                       "A program over buffers: what is scheduled, interpreted and compiled.")
      .def("__str__", [](const Function& f) { return print(f); })
      .def("__repr__",
           [](const Function& f) {
             return detail::concat("<tenon.Function ", f->name, " of ", f->inputs.size(),
                                   " inputs, ", f->outputs.size(), " outputs>");
           })
      .def("__eq__",
           [](const Function& f, const py::object& other) {
             return py::isinstance<Function>(other) &&
                    structural_equal(f, py::cast<Function>(other));
           })
      .def("__hash__", [](const Function& f) { return structural_hash(f); })
      .def_property_readonly("name", [](const Function& f) { return f->name; })
      .def_property_readonly("inputs", [](const Function& f) { return describe(f->inputs); })
      .def_property_readonly("outputs", [](const Function& f) { return describe(f->outputs); });
  module.def("parse", &parse);
}

}  // namespace tenon::python
