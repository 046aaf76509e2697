#pragma once

/// Calls of registered schedule primitives from Python: arguments, results and documentation by the
/// registration.

#include <pybind11/pybind11.h>

#include <string>

#include "tenon/schedule/schedule.h"

namespace tenon::python {

/// The arguments of a call, by the names of the parameters. ScheduleError [E0244] for too many
/// positional ones, or one given twice; values of a wrong kind become "nothing", which the schedule
/// refuses by name.
NamedArguments named_arguments(const Primitive& primitive, const pybind11::args& positional,
                               const pybind11::kwargs& named);
/// Handles, lists of handles, or None.
pybind11::object from_value(const ScheduleValue& value);
/// The docstring: signature, summary, numbered requirements.
std::string documentation(const Primitive& primitive);

}  // namespace tenon::python
