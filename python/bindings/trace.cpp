#include "tenon/schedule/trace.h"

#include <pybind11/stl.h>

#include "bindings.h"
#include "tenon/schedule/schedule.h"

namespace tenon::python {

void bind_trace(py::module_& module) {
  py::class_<Trace>(module, "Trace",
                    "The steps of a schedule, as data that replays on other functions.")
      .def_static("from_json", &Trace::from_json, py::arg("text"),
                  "The trace that `to_json` wrote.")
      .def("to_json", &Trace::to_json, "JSON, one step a line.")
      .def("to_python", &Trace::to_python,
           "A Python program that applies the steps to a schedule `s`.")
      .def(
          "replay", [](const Trace& t, Schedule& s) { t.replay(&s); }, py::arg("schedule"),
          "Applies the steps to a fresh schedule of another function.")
      .def_property_readonly("reassociates", &Trace::reassociates)
      .def("__len__", [](const Trace& t) { return t.steps.size(); })
      .def("__str__", &Trace::to_python)
      .def("__repr__", [](const Trace& t) {
        return detail::concat("<tenon.Trace of ", t.steps.size(), " steps>");
      });
}

}  // namespace tenon::python
