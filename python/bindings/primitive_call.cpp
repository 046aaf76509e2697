#include "primitive_call.h"

#include <pybind11/stl.h>

#include <optional>

#include "operand.h"
#include "tenon/ir/builder.h"
#include "tenon/support/error.h"

namespace tenon::python {
namespace {

namespace py = pybind11;

bool is_integer(py::handle value) {
  return PyIndex_Check(value.ptr()) && !PyBool_Check(value.ptr());
}

/// Nothing for one beyond 64 bits.
std::optional<std::int64_t> to_integer(py::handle value) {
  const py::int_ number(py::reinterpret_borrow<py::object>(value));
  int overflow = 0;
  const std::int64_t result = PyLong_AsLongLongAndOverflow(number.ptr(), &overflow);
  return overflow == 0 ? std::optional(result) : std::nullopt;
}

ScheduleValue to_factors(py::handle values) {
  if (!py::isinstance<py::sequence>(values)) return {};
  Factors factors;
  for (const py::handle value : values) {
    if (!value.is_none() && (!is_integer(value) || !to_integer(value))) return {};
    factors.push_back(value.is_none() ? std::nullopt : to_integer(value));
  }
  return factors;
}

ScheduleValue to_loops(py::handle values) {
  if (!py::isinstance<py::sequence>(values)) return {};
  std::vector<LoopRef> loops;
  for (const py::handle value : values) {
    if (!py::isinstance<LoopRef>(value)) return {};
    loops.push_back(py::cast<LoopRef>(value));
  }
  return loops;
}

/// Calls `lambda i, j: (j, i)` with one variable for each of its parameters.
ScheduleValue to_index_map(py::handle function) {
  if (!PyCallable_Check(function.ptr()) || !py::hasattr(function, "__code__")) return {};
  const py::object code = function.attr("__code__");
  const py::list names(code.attr("co_varnames"));
  IndexMap map;
  py::tuple arguments(py::cast<std::size_t>(code.attr("co_argcount")));
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    map.vars.push_back(var(py::cast<std::string>(names[i])));
    arguments[i] = py::cast(map.vars.back());
  }
  map.results = to_sizes(function(*arguments));
  return map;
}

ScheduleValue to_value(ParameterKind kind, py::handle value) {
  if (kind == ParameterKind::kFactors) return to_factors(value);
  if (kind == ParameterKind::kIndexMap) return to_index_map(value);
  if (py::isinstance<LoopRef>(value)) return py::cast<LoopRef>(value);
  if (kind == ParameterKind::kLoops) return to_loops(value);
  if (py::isinstance<BlockRef>(value)) return py::cast<BlockRef>(value);
  if (py::isinstance<py::str>(value)) return py::cast<std::string>(value);
  if (is_integer(value)) {
    const std::optional<std::int64_t> number = to_integer(value);
    return number ? ScheduleValue(*number) : ScheduleValue();
  }
  if (py::isinstance<py::float_>(value)) return py::cast<double>(value);
  return {};
}

/// All positional arguments from `first` on, or the one list that they are.
ScheduleValue rest(const Parameter& parameter, const py::args& positional, std::size_t first) {
  const bool is_list =
      positional.size() == first + 1 && !py::isinstance<LoopRef>(positional[first]);
  if (is_list) return to_value(parameter.kind, positional[first]);
  return to_value(
      parameter.kind,
      positional[py::slice(static_cast<py::ssize_t>(first), std::nullopt, std::nullopt)]);
}

}  // namespace

NamedArguments named_arguments(const Primitive& primitive, const py::args& positional,
                               const py::kwargs& named) {
  NamedArguments arguments;
  std::size_t used = 0;
  for (const Parameter& p : primitive.parameters) {
    const bool is_named = named.contains(p.name);
    if (is_named) arguments.emplace_back(p.name, to_value(p.kind, named[p.name]));
    if (used == positional.size()) continue;
    TENON_USER_CHECK(!is_named, ScheduleError, "E0244", primitive.name, ": the argument '", p.name,
                     "' is given twice");
    arguments.emplace_back(
        p.name, p.variadic ? rest(p, positional, used) : to_value(p.kind, positional[used]));
    used = p.variadic ? positional.size() : used + 1;
  }
  TENON_USER_CHECK(used == positional.size(), ScheduleError, "E0244", primitive.name,
                   ": takes at most ", used, " positional arguments, got ", positional.size());
  for (const auto& [key, value] : named) {
    const auto name = py::cast<std::string>(key);
    bool known = false;
    for (const Parameter& p : primitive.parameters) known = known || name == p.name;
    if (!known) arguments.emplace_back(name, ScheduleValue());
  }
  return arguments;
}

py::object from_value(const ScheduleValue& value) {
  if (const auto* loop = std::get_if<LoopRef>(&value)) return py::cast(*loop);
  if (const auto* block = std::get_if<BlockRef>(&value)) return py::cast(*block);
  if (const auto* loops = std::get_if<std::vector<LoopRef>>(&value)) return py::cast(*loops);
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return py::int_(*integer);
  if (const auto* factors = std::get_if<Factors>(&value)) return py::cast(*factors);
  return py::none();
}

std::string documentation(const Primitive& primitive) {
  std::string parameters, requirements;
  for (const Parameter& p : primitive.parameters) {
    if (!parameters.empty()) parameters += ", ";
    parameters += (p.variadic ? "*" : "") + std::string(p.name);
    if (p.default_text != nullptr) parameters += detail::concat("=", p.default_text);
  }
  for (std::size_t i = 0; i < primitive.requirements.size(); ++i) {
    requirements += detail::concat("\n    (", i + 1, ") ", primitive.requirements[i]);
  }
  const std::string rules = requirements.empty() ? "" : "\n\nRequires:" + requirements;
  return detail::concat(primitive.name, "(", parameters, ")\n\n", primitive.summary, rules);
}

}  // namespace tenon::python
