#include "tenon/schedule/schedule.h"

#include <pybind11/stl.h>

#include <string>

#include "bindings.h"
#include "operand.h"
#include "primitive_call.h"
#include "tenon/ir/print.h"
#include "user_line.h"

namespace tenon::python {
namespace {

void bind_handles(py::module_& module) {
  py::class_<LoopRef>(module, "Loop",
                      "A loop of a scheduled function, valid until a primitive consumes it.")
      .def_property_readonly("name", &LoopRef::name)
      .def("__eq__",
           [](const LoopRef& a, const py::object& b) {
             return py::isinstance<LoopRef>(b) && a.var.same_as(py::cast<LoopRef>(b).var);
           })
      .def("__hash__", [](const LoopRef& a) { return std::hash<const void*>()(a.var.get()); })
      .def("__str__", &LoopRef::name)
      .def("__repr__", [](const LoopRef& a) { return "<tenon.Loop " + a.name() + ">"; });
  py::class_<Decision>(module, "Decision", "A choice that a sample of a schedule met.")
      .def_readonly("name", &Decision::name)
      .def_property_readonly("kind", [](const Decision& d) { return to_string(d.kind); })
      .def_readonly("options", &Decision::options)
      .def_property_readonly("preferred", [](const Decision& d) { return d.options[d.preferred]; })
      .def_property_readonly("value", [](const Decision& d) { return d.options[d.chosen]; })
      .def("__repr__", [](const Decision& d) {
        std::string text;
        for (const std::int64_t v : d.options[d.chosen])
          text += (text.empty() ? "" : ", ") + std::to_string(v);
        return "<tenon.Decision " + d.name + " = [" + text + "]>";
      });
  py::class_<BlockRef>(module, "Block", "A block of a scheduled function.")
      .def_readonly("name", &BlockRef::name)
      .def("__eq__",
           [](const BlockRef& a, const py::object& b) {
             return py::isinstance<BlockRef>(b) && a.name == py::cast<BlockRef>(b).name;
           })
      .def("__hash__", [](const BlockRef& a) { return std::hash<std::string>()(a.name); })
      .def("__str__", [](const BlockRef& a) { return a.name; })
      .def("__repr__", [](const BlockRef& a) { return "<tenon.Block " + a.name + ">"; });
}

std::string block_name(const py::object& block) {
  if (py::isinstance<BlockRef>(block)) return py::cast<BlockRef>(block).name;
  TENON_USER_CHECK(py::isinstance<py::str>(block), ScheduleError, "E0245",
                   "loops: the argument 'block' should be a block or its name");
  return py::cast<std::string>(block);
}

Schedule make_schedule(const Function& f) {
  TENON_USER_CHECK(f->level == Level::kBlock, ScheduleError, "E0246", "function '", f->name,
                   "' is at level ", to_string(f->level), " and has no blocks to schedule");
  return Schedule(f);
}

/// One method for each registered primitive.
void bind_primitives(py::class_<Schedule>& cls) {
  for (const Primitive* p : primitives()) {
    const auto call = [p](Schedule& s, const py::args& positional, const py::kwargs& named) {
      return from_value(s.apply(p->name, named_arguments(*p, positional, named), user_span()));
    };
    cls.def(p->name, call, documentation(*p).c_str());
  }
}

}  // namespace

void bind_schedule(py::module_& module) {
  bind_handles(module);
  py::class_<Schedule> cls(module, "Schedule",
                           "A function and the steps that rewrite it; each step is checked.");
  cls.def(py::init(&make_schedule), py::arg("function"))
      .def(
          "loops",
          [](const Schedule& s, const py::object& b) {
            return s.loops(block_name(b), user_span());
          },
          py::arg("block"), "The loops around a block, outermost first.")
      .def(
          "block",
          [](const Schedule& s, const std::string& name) { return s.block(name, user_span()); },
          py::arg("name"), "The handle of a block.")
      .def("blocks", &Schedule::blocks, "All blocks in program order.")
      .def(
          "copy", [](const Schedule& s) { return Schedule(s); },
          "An independent schedule in the same state.")
      .def("use_decisions", &Schedule::use_decisions, py::arg("values"),
           "What later samples take, by name: lists of numbers. Names that nobody asks for are "
           "ignored.")
      .def_property_readonly("decisions", &Schedule::decisions,
                             "The decisions that samples took so far.")
      .def_property_readonly("trace", &Schedule::trace, "The steps so far, as data.")
      .def_property_readonly("function", &Schedule::function, "The function as it is now.")
      .def("__str__", [](const Schedule& s) { return print(s.function()); })
      .def("__repr__",
           [](const Schedule& s) { return "<tenon.Schedule of " + s.function()->name + ">"; });
  bind_primitives(cls);
}

}  // namespace tenon::python
