#include "tenon/ir/interpret.h"

#include <pybind11/stl.h>

#include <algorithm>

#include "array_from_python.h"
#include "bindings.h"
#include "interpret_arrays.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/lower.h"
#include "tenon/ir/simplify.h"
#include "tenon/ir/visit.h"

namespace tenon::python {
namespace {

std::vector<Array> inputs_of(const Function& f, const py::args& values) {
  TENON_USER_CHECK(values.size() == f->inputs.size(), ShapeError, "E0470", f->name, " takes ",
                   f->inputs.size(), " arrays, got ", values.size());
  std::vector<Array> arrays;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const Array array = to_array(values[i]);
    arrays.push_back(f->inputs[i]->strides.empty() ? array.contiguous() : array);
  }
  return arrays;
}

/// The symbols' values: as given, the others from the inputs whose dimensions they are.
VarMap bind_symbols(const Function& f, const std::vector<Array>& inputs, const SymbolSizes& sizes) {
  VarMap values;
  for (const auto& [name, size] : sizes) {
    const auto symbol =
        std::find_if(f->symbols.begin(), f->symbols.end(),
                     [&name = name](const Symbol& s) { return s.var.as<VarNode>()->name == name; });
    TENON_USER_CHECK(symbol != f->symbols.end(), ShapeError, "E0474", f->name,
                     " has no symbolic size '", name, "'");
    values.emplace(symbol->var.as<VarNode>(), imm(size));
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::vector<Expr>& shape = f->inputs[i]->shape;
    TENON_USER_CHECK(static_cast<std::size_t>(inputs[i].rank()) == shape.size(), ShapeError,
                     "E0471", f->name, ": input '", f->inputs[i]->name, "' has ", inputs[i].rank(),
                     " dimensions, expected ", shape.size());
    for (std::size_t d = 0; d < shape.size(); ++d) {
      if (shape[d].as<VarNode>() != nullptr)
        values.emplace(shape[d].as<VarNode>(), imm(inputs[i].shape()[d]));
    }
  }
  for (const Symbol& s : f->symbols) {
    TENON_USER_CHECK(values.count(s.var.as<VarNode>()) != 0, ShapeError, "E0474", "the size '",
                     s.var.as<VarNode>()->name, "' of ", f->name,
                     " is no dimension of an input: loops have flat inputs\n  hint: pass sizes={\"",
                     s.var.as<VarNode>()->name, "\": ...}");
  }
  return values;
}

Array result_for(const BufferNode& output, const VarMap& symbols) {
  Shape shape;
  for (const Expr& size : output.shape) {
    const std::optional<std::int64_t> value = as_int(simplify(substitute(size, symbols)));
    TENON_CHECK(value, "the size of output '", output.name, "' is not known");
    shape.push_back(*value);
  }
  return Array::empty(shape, output.dtype);
}

ArrayView view_of(const Array& array) {
  return {const_cast<void*>(array.raw()), array.dtype(),
          Shape(array.shape().begin(), array.shape().end())};
}

py::object interpret_function(const Function& f, const py::args& values, const SymbolSizes& sizes) {
  const std::vector<Array> inputs = inputs_of(f, values);
  std::vector<Array> results;
  {
    const py::gil_scoped_release released;
    results = interpret_arrays(f, inputs, sizes);
  }
  return results.size() == 1 ? py::cast(results[0]) : py::object(py::tuple(py::cast(results)));
}

}  // namespace

std::vector<Array> interpret_arrays(const Function& f, const std::vector<Array>& inputs,
                                    const SymbolSizes& sizes) {
  const VarMap symbols = bind_symbols(f, inputs, sizes);
  InterpretOptions options;
  for (const Symbol& s : f->symbols)
    options.symbols.push_back(*as_int(symbols.at(s.var.as<VarNode>())));
  std::vector<Array> results;
  std::vector<ArrayView> views;
  for (const Array& array : inputs) views.push_back(view_of(array));
  for (const Buffer& output : f->outputs) {
    results.push_back(result_for(*output, symbols));
    views.push_back(view_of(results.back()));
  }
  interpret(f, views, options).check();
  return results;
}

void bind_interpret(py::module_& module) {
  module.def("interpret", &interpret_function, py::arg("function"),
             py::arg("sizes") = SymbolSizes());
  module.def(
      "lower", [](const Function& f) { return lower(f); },
      py::call_guard<py::gil_scoped_release>());
}

}  // namespace tenon::python
