#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "array_from_python.h"
#include "bindings.h"
#include "call_executable.h"
#include "dtype.h"
#include "graph_value.h"
#include "operand.h"
#include "tenon/graph/compile.h"
#include "tenon/graph/control.h"
#include "tenon/graph/expression.h"
#include "tenon/graph/random.h"
#include "tenon/graph/transform.h"
#include "tenon/graph/value.h"
#include "tenon/ir/builder.h"
#include "tenon/runtime/device.h"
#include "user_line.h"

namespace tenon::python {

using graph::Value;

std::vector<Value> to_values(const std::vector<GraphValue>& values) {
  std::vector<Value> result;
  for (const GraphValue& v : values) result.push_back(v.value);
  return result;
}

std::vector<GraphValue> from_values(const std::vector<Value>& values) {
  std::vector<GraphValue> result;
  for (const Value& v : values) result.push_back({v});
  return result;
}

namespace {

/// Attributes have their Python type: bool, int, float, str, list of int as axes, tuple as sizes;
/// dtypes under the key "dtype".
graph::OpAttrs to_attrs(const py::dict& attributes) {
  graph::OpAttrs attrs;
  for (const auto& [key, value] : attributes) {
    const auto name = py::cast<std::string>(key);
    if (name == "dtype") {
      attrs[name] = py::cast<DType>(value);
    } else if (py::isinstance<py::bool_>(value)) {
      attrs[name] = py::cast<bool>(value);
    } else if (py::isinstance<py::int_>(value)) {
      attrs[name] = py::cast<std::int64_t>(value);
    } else if (py::isinstance<py::float_>(value)) {
      attrs[name] = py::cast<double>(value);
    } else if (py::isinstance<py::str>(value)) {
      attrs[name] = py::cast<std::string>(value);
    } else if (py::isinstance<py::list>(value)) {
      attrs[name] = py::cast<std::vector<std::int64_t>>(value);
    } else {
      attrs[name] = to_sizes(value);
    }
  }
  return attrs;
}

std::vector<Value> to_optional(const std::vector<std::optional<GraphValue>>& values) {
  std::vector<Value> result;
  for (const auto& v : values) result.push_back(v ? v->value : nullptr);
  return result;
}

std::vector<std::optional<GraphValue>> from_optional(const std::vector<Value>& values) {
  std::vector<std::optional<GraphValue>> result;
  for (const Value& v : values) result.push_back(v ? std::optional(GraphValue{v}) : std::nullopt);
  return result;
}

/// Values, and for each whether it has the leading dimension of the batch.
py::tuple vmap(const std::vector<GraphValue>& outputs, const std::vector<GraphValue>& inputs,
               const std::vector<GraphValue>& batches, const std::vector<bool>& is_batched,
               const py::object& extent) {
  std::vector<bool> is_result_batched;
  const std::vector<Value> made =
      graph::vmap(to_values(outputs), to_values(inputs), to_values(batches), is_batched,
                  to_sizes(extent)[0], &is_result_batched);
  return py::make_tuple(from_values(made), is_result_batched);
}

/// `rule(residuals, cotangent)` returns a value or None for each argument.
GraphValue custom_vjp(const GraphValue& result, const std::vector<GraphValue>& arguments,
                      const std::vector<GraphValue>& residuals, const py::function& rule) {
  // The last copy may go away while the GIL is released.
  const std::shared_ptr<py::function> kept(new py::function(rule), [](py::function* f) {
    const py::gil_scoped_acquire acquired;
    delete f;
  });
  auto gradient = std::make_shared<graph::CustomGradient>();
  gradient->vjp = [kept](const std::vector<Value>& given, const Value& cotangent) {
    return to_optional(py::cast<std::vector<std::optional<GraphValue>>>(
        (*kept)(from_values(given), GraphValue{cotangent})));
  };
  return {graph::make_custom_vjp(result.value, to_values(arguments), to_values(residuals),
                                 std::move(gradient))};
}

graph::CompiledNetwork compile(const std::vector<GraphValue>& inputs,
                               const std::vector<GraphValue>& outputs, const std::string& name,
                               const Target& target, bool verify,
                               std::vector<std::pair<std::size_t, std::size_t>> in_place,
                               std::vector<std::string> result_names,
                               const std::string& libraries) {
  const std::vector<Value> in = to_values(inputs), out = to_values(outputs);
  graph::CompileOptions options;
  options.in_place = std::move(in_place);
  options.result_names = std::move(result_names);
  options.verify = verify;
  options.libraries = libraries == "always" ? graph::Libraries::kAlways
                      : libraries == "auto" ? graph::Libraries::kAuto
                                            : graph::Libraries::kNever;
  options.poll = [] {
    const py::gil_scoped_acquire acquired;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  };
  const py::gil_scoped_release released;
  return graph::compile(in, out, name, target, options);
}

py::object call(const graph::CompiledNetwork& network, const py::args& arguments,
                const py::object& out) {
  if (!network.launches.empty()) {
    std::int32_t count = 0;
    throw_if_error(tenon_device_count(&count));  // says what is missing, before arguments are read
  }
  const auto* items = reinterpret_cast<PyTupleObject*>(arguments.ptr())->ob_item;
  return call_executable(network.executable, {}, {items, arguments.size()}, out.ptr());
}

/// Trips: the most iterations, and a scalar value that may say less.
std::vector<GraphValue> make_loop(const std::string& op, const py::object& count,
                                  const std::optional<GraphValue>& limit, bool is_reverse,
                                  const std::vector<std::string>& names,
                                  const std::vector<std::vector<GraphValue>>& operands,
                                  const GraphValue& iteration,
                                  const std::vector<std::vector<GraphValue>>& inputs,
                                  const std::optional<GraphValue>& condition,
                                  const std::vector<std::vector<GraphValue>>& outputs) {
  graph::LoopParts parts;
  parts.op = op;
  parts.count = to_expr(count);
  if (limit) parts.limit = limit->value;
  parts.is_reverse = is_reverse;
  parts.names = names;
  parts.init = to_values(operands.at(0));
  parts.stacked = to_values(operands.at(1));
  parts.iteration = iteration.value;
  parts.states = to_values(inputs.at(0));
  parts.slices = to_values(inputs.at(1));
  if (condition) parts.condition = condition->value;
  parts.next = to_values(outputs.at(0));
  parts.results = to_values(outputs.at(1));
  return from_values(graph::make_loop(parts));
}

std::vector<GraphValue> make_if(const GraphValue& predicate,
                                const std::vector<GraphValue>& operands,
                                const std::vector<std::vector<GraphValue>>& inputs,
                                const std::vector<std::vector<GraphValue>>& outputs,
                                std::uint64_t serial) {
  const auto branch = [&](std::size_t i) {
    return graph::SubGraph{to_values(inputs.at(i)), to_values(outputs.at(i))};
  };
  return from_values(
      graph::make_if(predicate.value, to_values(operands), branch(0), branch(1), serial));
}

py::list call_details(const graph::CompiledNetwork& network) {
  py::list result;
  for (const graph::KernelCall& c : network.calls) {
    py::list inputs;
    for (const graph::KernelOperand& o : c.inputs) {
      inputs.append(py::dict(py::arg("from") = o.from, py::arg("name") = o.name,
                             py::arg("type") = o.type, py::arg("call") = o.call));
    }
    result.append(py::dict(py::arg("name") = c.name, py::arg("operators") = c.operators,
                           py::arg("result") = c.result, py::arg("code") = c.code,
                           py::arg("depth") = c.depth, py::arg("line") = c.line,
                           py::arg("inputs") = inputs, py::arg("outputs") = c.outputs));
  }
  return result;
}

py::list rewrites_of(const graph::CompiledNetwork& network) {
  py::list result;
  for (const graph::Rewrite& r : network.rewrites)
    result.append(py::make_tuple(r.pass, r.node, r.line, r.action, r.reason,
                                 r.call < 0 ? py::none() : py::object(py::int_(r.call))));
  return result;
}

/// (kernel call in front of which it stands, depth, text) of each branch and loop.
py::list regions_of(const graph::CompiledNetwork& network) {
  py::list result;
  for (const graph::RegionReport& r : network.regions)
    result.append(py::make_tuple(r.first_call, r.depth, r.text));
  return result;
}

py::list arguments_of(const graph::CompiledNetwork& network, bool is_result) {
  py::list result;
  for (const graph::ArgumentReport& a : is_result ? network.results : network.inputs)
    result.append(py::make_tuple(a.name, a.dtype, a.dims));
  return result;
}

py::dict memory_of(const graph::CompiledNetwork& network, const std::vector<Shape>& shapes) {
  const graph::MemoryLayout layout = network.memory(shapes);
  py::list blocks;
  for (const graph::MemoryBlock& b : layout.blocks)
    blocks.append(py::make_tuple(b.offset, b.bytes, b.first, b.last));
  return py::dict(py::arg("arena_bytes") = layout.arena_bytes,
                  py::arg("scratch_bytes") = layout.scratch_bytes, py::arg("blocks") = blocks);
}

/// (operations, bytes read, bytes written) of each kernel call.
py::list costs_of(const graph::CompiledNetwork& network, const std::vector<Shape>& shapes) {
  py::list result;
  for (const graph::KernelCost& c : network.costs(shapes))
    result.append(py::make_tuple(c.operations, c.bytes_read, c.bytes_written));
  return result;
}

/// For each run: nanoseconds, and (calls, nanoseconds) of each kernel call (none without steps).
py::list profile_network(const graph::CompiledNetwork& network, const py::args& arguments,
                         int num_runs, bool with_steps) {
  const auto* items = reinterpret_cast<PyTupleObject*>(arguments.ptr())->ob_item;
  const std::vector<Array> inputs = to_inputs(network.executable, {items, arguments.size()});
  std::vector<RunProfile> runs;
  {
    const py::gil_scoped_release released;
    std::vector<Array> results = network.executable.call(inputs);
    runs = network.executable.profile(inputs, results, num_runs, with_steps);
  }
  py::list result;
  for (const RunProfile& run : runs) {
    py::list calls;
    for (const graph::KernelCall& c : network.calls) {
      if (!with_steps) break;
      calls.append(py::make_tuple(run.steps[c.step].calls, run.steps[c.step].nanoseconds));
    }
    result.append(py::make_tuple(run.nanoseconds, calls));
  }
  return result;
}

py::list calls_of(const graph::CompiledNetwork& network) {
  py::list result;
  for (const graph::KernelCall& c : network.calls)
    result.append(py::make_tuple(c.name, c.operators, c.result, c.code));
  return result;
}

}  // namespace

namespace {

/// (seed, stream, step)
using RandomSource = std::tuple<GraphValue, std::uint32_t, GraphValue>;

graph::RandomSource source_of(const RandomSource& source) {
  const auto& [seed, stream, step] = source;
  return {seed.value, stream, step.value};
}

void bind_random(py::module_& module) {
  module.def(
      "graph_random_uniform",
      [](const RandomSource& source, const py::object& shape, DType dtype, double low,
         double high) {
        return GraphValue{
            graph::random_uniform(source_of(source), to_sizes(shape), dtype, low, high)};
      },
      py::call_guard<UserLine>());
  module.def(
      "graph_random_normal",
      [](const RandomSource& source, const py::object& shape, DType dtype, double mean,
         double std) {
        return GraphValue{
            graph::random_normal(source_of(source), to_sizes(shape), dtype, mean, std)};
      },
      py::call_guard<UserLine>());
  module.def(
      "graph_bernoulli",
      [](const RandomSource& source, const GraphValue& p) {
        return GraphValue{graph::bernoulli(source_of(source), p.value)};
      },
      py::call_guard<UserLine>());
  module.def(
      "graph_dropout_mask",
      [](const RandomSource& source, const py::object& shape, double rate) {
        return GraphValue{graph::dropout_mask(source_of(source), to_sizes(shape), rate)};
      },
      py::call_guard<UserLine>());
}

}  // namespace

void bind_graph(py::module_& module) {
  py::class_<GraphValue>(module, "GraphValue")
      .def_property_readonly("shape",
                             [](const GraphValue& v) { return from_sizes(v.value->shape); })
      .def_property_readonly("dtype", [](const GraphValue& v) { return v.value->dtype; })
      .def_property_readonly("op", [](const GraphValue& v) { return v.value->op; })
      .def_property_readonly("name", [](const GraphValue& v) { return v.value->name; })
      .def_property_readonly("inputs",
                             [](const GraphValue& v) { return from_values(v.value->inputs); })
      .def_property_readonly("line", [](const GraphValue& v) { return v.value->span.str(); })
      .def_property_readonly(
          "identity",
          [](const GraphValue& v) { return reinterpret_cast<std::uintptr_t>(v.value.get()); })
      .def("__str__", [](const GraphValue& v) { return graph::type_str(*v.value); });
  module.def("graph_input", [](const py::object& shape, DType dtype, std::string name) {
    return GraphValue{graph::make_input(to_sizes(shape), dtype, std::move(name))};
  });
  module.def("graph_constant", [](const py::object& array, const std::string& name) {
    return GraphValue{graph::make_constant(to_array(array), name)};
  });
  module.def(
      "graph_op",
      [](const std::string& op, const std::vector<GraphValue>& inputs, const py::dict& attributes) {
        return GraphValue{graph::make_op(op, to_values(inputs), to_attrs(attributes))};
      },
      py::call_guard<UserLine>());
  bind_random(module);
  module.def(
      "graph_expression",
      [](const std::string& name, const std::vector<GraphValue>& inputs,
         const std::vector<te::Tensor>& placeholders, const std::vector<te::Tensor>& outputs) {
        return from_values(graph::make_expression(name, to_values(inputs), placeholders, outputs));
      },
      py::call_guard<UserLine>());
  module.def(
      "graph_scheduled",
      [](const std::string& name, const std::vector<GraphValue>& inputs,
         const std::vector<te::Tensor>& placeholders, const te::Tensor& output,
         const Function& function, const std::vector<te::Tensor>& function_inputs) {
        return GraphValue{graph::make_scheduled(name, to_values(inputs), placeholders, output,
                                                function, function_inputs)};
      },
      py::call_guard<UserLine>());
  module.def(
      "graph_vjp",
      [](const std::vector<GraphValue>& outputs, const std::vector<GraphValue>& inputs,
         const std::vector<std::optional<GraphValue>>& cotangents) {
        return from_optional(
            graph::vjp(to_values(outputs), to_values(inputs), to_optional(cotangents)));
      },
      py::call_guard<UserLine>());
  module.def(
      "graph_jvp",
      [](const std::vector<GraphValue>& outputs, const std::vector<GraphValue>& inputs,
         const std::vector<std::optional<GraphValue>>& tangents) {
        return from_optional(
            graph::jvp(to_values(outputs), to_values(inputs), to_optional(tangents)));
      },
      py::call_guard<UserLine>());
  module.def("graph_vmap", &vmap, py::call_guard<UserLine>());
  module.def("graph_replace",
             [](const std::vector<GraphValue>& outputs, const std::vector<GraphValue>& inputs,
                const std::vector<GraphValue>& replacements) {
               return from_values(graph::replace_inputs(to_values(outputs), to_values(inputs),
                                                        to_values(replacements)));
             });
  module.def("graph_operators", &graph::operator_names);
  module.def("graph_custom_vjp", &custom_vjp);
  module.def("graph_loop", &make_loop, py::call_guard<UserLine>());
  module.def("graph_if", &make_if, py::call_guard<UserLine>());
  module.def("graph_serial", &graph::ValueNode::next_serial);
  module.def("same_extent", [](const py::object& a, const py::object& b) {
    return graph::same_extent(to_expr(a), to_expr(b));
  });
  py::class_<graph::CompiledNetwork>(module, "CompiledNetwork")
      .def("__call__", &call, py::arg("out") = py::none())
      .def("report", &graph::CompiledNetwork::report)
      .def("workspace_bytes", &graph::CompiledNetwork::workspace_bytes)
      .def("memory", &memory_of, py::arg("shapes"))
      .def("costs", &costs_of, py::arg("shapes"))
      .def("profile", &profile_network, py::kw_only(), py::arg("num_runs"), py::arg("with_steps"))
      .def("arguments", &arguments_of, py::arg("is_result"))
      .def_property_readonly("name",
                             [](const graph::CompiledNetwork& n) { return n.executable.name(); })
      .def_property_readonly("calls", &calls_of)
      .def_property_readonly("call_details", &call_details)
      .def_property_readonly("rewrites", &rewrites_of)
      .def_property_readonly("regions", &regions_of)
      .def_property_readonly("functions",
                             [](const graph::CompiledNetwork& n) { return n.source.functions; })
      .def_readonly("schedules", &graph::CompiledNetwork::schedules)
      .def_readonly("target", &graph::CompiledNetwork::target)
      .def("plan_bytes",
           [](const graph::CompiledNetwork& n) {
             const std::vector<std::uint8_t> bytes = n.executable.plan_bytes();
             return py::bytes(reinterpret_cast<const char*>(bytes.data()), bytes.size());
           })
      .def_readonly("num_compiled", &graph::CompiledNetwork::num_compiled)
      .def_readonly("num_from_cache", &graph::CompiledNetwork::num_from_cache)
      .def_readonly("compile_seconds", &graph::CompiledNetwork::seconds)
      .def_property_readonly("seconds", [](const graph::CompiledNetwork& n) {
        return py::dict(py::arg("schedule") = n.schedule_seconds,
                        py::arg("kernels") = n.kernel_seconds,
                        py::arg("constants") = n.constant_seconds);
      });
  module.def("compile_graph", &compile, py::arg("inputs"), py::arg("outputs"), py::arg("name"),
             py::arg("target"), py::arg("verify"),
             py::arg("in_place") = std::vector<std::pair<std::size_t, std::size_t>>(),
             py::arg("result_names") = std::vector<std::string>(), py::arg("libraries") = "never");
}

}  // namespace tenon::python
