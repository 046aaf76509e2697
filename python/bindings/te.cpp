#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include "bindings.h"
#include "dtype.h"
#include "operand.h"
#include "tenon/te/arg_reduction.h"
#include "tenon/te/expr.h"
#include "tenon/te/philox.h"
#include "tenon/te/scan.h"
#include "tenon/te/scatter.h"
#include "tenon/te/tensor.h"
#include "user_line.h"

namespace tenon::python {
namespace {

using Guard = py::call_guard<UserLine>;

te::Tensor compute(const py::object& shape, const py::function& fcompute, std::string name,
                   std::vector<std::string> axis_names) {
  const auto element = [&](const std::vector<Expr>& axes) {
    py::tuple arguments(axes.size());
    for (std::size_t i = 0; i < axes.size(); ++i) arguments[i] = py::cast(axes[i]);
    return to_expr(fcompute(*arguments));
  };
  return te::compute(to_sizes(shape), element, std::move(name), std::move(axis_names));
}

te::ScatterMode to_scatter_mode(const std::string& text) {
  using te::ScatterMode;
  for (const ScatterMode mode : {ScatterMode::kSet, ScatterMode::kAdd, ScatterMode::kMul,
                                 ScatterMode::kMin, ScatterMode::kMax}) {
    if (text == te::to_string(mode)) return mode;
  }
  detail::raise<ExpressionError>(
      "E0113", "scatter: mode should be 'set', 'add', 'mul', 'min' or 'max', got '" + text + "'");
}

te::Tensor scatter(const te::Tensor& init, const py::object& indices, const te::Tensor& updates,
                   const std::string& mode, std::string name) {
  const te::ScatterMode how = to_scatter_mode(mode);
  if (py::isinstance<py::function>(indices)) {
    const auto places = [&](const std::vector<Expr>& position) {
      py::tuple arguments(position.size());
      for (std::size_t d = 0; d < position.size(); ++d) arguments[d] = py::cast(position[d]);
      return to_sizes(indices(*arguments));
    };
    return te::scatter(init, te::PlaceFunction(places), updates, how, std::move(name));
  }
  std::vector<te::Tensor> tensors;
  const bool is_list = py::isinstance<py::list>(indices) || py::isinstance<py::tuple>(indices);
  for (const py::handle t : is_list ? indices : py::object(py::make_tuple(indices))) {
    TENON_USER_CHECK(py::isinstance<te::Tensor>(t), ExpressionError, "E0114", "scatter '", name,
                     "': indices should be tensors or a function, got ",
                     py::cast<std::string>(py::repr(t)));
    tensors.push_back(py::cast<te::Tensor>(t));
  }
  return te::scatter(init, tensors, updates, how, std::move(name));
}

/// Tensors out of one, or a list or tuple of them.
std::vector<te::Tensor> to_tensors(const py::object& value, const std::string& what) {
  std::vector<te::Tensor> tensors;
  const bool is_list = py::isinstance<py::list>(value) || py::isinstance<py::tuple>(value);
  for (const py::handle t : is_list ? value : py::object(py::make_tuple(value))) {
    TENON_USER_CHECK(py::isinstance<te::Tensor>(t), ExpressionError, "E0118", what,
                     " should be tensors, got ", py::cast<std::string>(py::repr(t)));
    tensors.push_back(py::cast<te::Tensor>(t));
  }
  return tensors;
}

std::vector<te::Tensor> scan(const py::object& steps, const py::object& init,
                             const py::function& step, const std::string& name) {
  const auto next = [&](const Expr& t, const std::vector<te::Tensor>& states) {
    py::tuple arguments(states.size() + 1);
    arguments[0] = py::cast(t);
    for (std::size_t s = 0; s < states.size(); ++s) arguments[s + 1] = py::cast(states[s]);
    return to_tensors(step(*arguments), "the states after a step of scan '" + name + "'");
  };
  return te::scan(to_sizes(steps).at(0), to_tensors(init, "the init of scan '" + name + "'"), next,
                  name);
}

std::vector<IterVar> to_axes(const py::object& axis) {
  std::vector<IterVar> axes;
  if (py::isinstance<ReduceAxis>(axis)) {
    axes.push_back(py::cast<ReduceAxis>(axis).iter);
    return axes;
  }
  for (const py::handle a : py::isinstance<py::sequence>(axis) ? axis : py::make_tuple(axis)) {
    TENON_USER_CHECK(py::isinstance<ReduceAxis>(a), ExpressionError, "E0133",
                     "axis= takes axes made by te.reduce_axis, got ",
                     py::cast<std::string>(py::repr(a)));
    axes.push_back(py::cast<ReduceAxis>(a).iter);
  }
  return axes;
}

Expr reduce(const std::string& kind, const py::object& source, const py::object& axis,
            const py::object& where, std::optional<DType> dtype) {
  const Expr value = to_expr(source);
  const Expr condition = where.is_none() ? Expr() : to_expr(where);
  if (kind == "sum") return te::sum(value, to_axes(axis), condition, dtype);
  if (kind == "prod") return te::prod(value, to_axes(axis), condition, dtype);
  if (kind == "min") return te::min(value, to_axes(axis), condition);
  if (kind == "any_of") return te::any_of(value, to_axes(axis), condition);
  if (kind == "all_of") return te::all_of(value, to_axes(axis), condition);
  return te::max(value, to_axes(axis), condition);
}

Expr arg_reduce(const std::string& kind, const py::object& source, const py::object& axis,
                const py::object& where) {
  const std::vector<IterVar> axes = to_axes(axis);
  TENON_USER_CHECK(axes.size() == 1, ExpressionError, "E0115", "te.", kind, " takes one axis, got ",
                   axes.size());
  const Expr condition = where.is_none() ? Expr() : to_expr(where);
  return kind == "argmax" ? te::argmax(to_expr(source), axes[0], condition)
                          : te::argmin(to_expr(source), axes[0], condition);
}

Expr select(const py::object& condition, const py::object& t, const py::object& f) {
  const auto [x, y] = to_operands(t, f);
  return te::select(to_expr(condition), x, y);
}

Expr math(const std::string& name, const py::args& values) {
  if (values.size() == 1) return te::math(name, {to_expr(values[0])});
  const auto [x, y] = to_operands(values[0], values[1]);
  return te::math(name, {x, y});
}

Expr binary(BinaryOp op, const py::object& a, const py::object& b) {
  const auto [x, y] = to_operands(a, b);
  return te::binary(op, x, y);
}

ReduceAxis reduce_axis(const py::object& domain, const std::string& name) {
  if (!py::isinstance<py::sequence>(domain))
    return ReduceAxis(te::reduce_axis(to_sizes(domain)[0], name));
  const std::vector<Expr> ends = to_sizes(domain);
  TENON_USER_CHECK(ends.size() == 2, ExpressionError, "E0134", "reduce_axis '", name,
                   "' takes an extent or a pair (min, extent), got ", ends.size(), " values");
  return ReduceAxis(te::reduce_axis(Range{ends[0], ends[1]}, name));
}

Expr constant_of(const py::object& value, DType dtype) {
  TENON_USER_CHECK(is_number(value), ExpressionError, "E0131", "te.const takes a number, got ",
                   py::cast<std::string>(py::repr(value)));
  return constant(value, dtype);
}

void bind_tensor(py::module_& module) {
  py::class_<te::Tensor> cls(module, "TensorExpr",
                             "A tensor of an expression: a placeholder or a computed one.");
  cls.def(
      "__getitem__",
      [](const te::Tensor& t, const py::object& i) { return te::read(t, to_sizes(i)); }, Guard());
  cls.attr("__iter__") = py::none();
  cls.attr("__array_ufunc__") = py::none();
  cls.def_property_readonly("shape", [](const te::Tensor& t) { return from_sizes(t->shape); });
  cls.def_property_readonly("dtype", [](const te::Tensor& t) { return t->dtype; });
  cls.def_property_readonly("name", [](const te::Tensor& t) { return t->name; });
  cls.def_property_readonly("op", [](const te::Tensor& t) {
    switch (t->kind) {
      case te::TensorKind::kPlaceholder:
        return "placeholder";
      case te::TensorKind::kCompute:
        return "compute";
      case te::TensorKind::kScatter:
        return "scatter";
      case te::TensorKind::kScan:
        return "scan";
      case te::TensorKind::kState:
        break;
    }
    return "state";
  });
  cls.def("__hash__", [](const te::Tensor& t) { return std::hash<const void*>()(t.get()); });
  cls.def("__eq__", [](const te::Tensor& a, const py::object& b) {
    return py::isinstance<te::Tensor>(b) && a.same_as(py::cast<te::Tensor>(b));
  });
}

void bind_element_functions(py::module_& module) {
  module.def("math", &math, Guard());
  module.def("select", &select, Guard());
  module.def("cast", [](const py::object& x, DType t) { return te::cast(t, to_expr(x)); }, Guard());
  module.def("const", &constant_of, Guard());
  module.def(
      "minimum", [](py::object a, py::object b) { return binary(BinaryOp::kMin, a, b); }, Guard());
  module.def(
      "maximum", [](py::object a, py::object b) { return binary(BinaryOp::kMax, a, b); }, Guard());
  module.def(
      "logical_and", [](py::object a, py::object b) { return binary(BinaryOp::kAnd, a, b); },
      Guard());
  module.def(
      "logical_or", [](py::object a, py::object b) { return binary(BinaryOp::kOr, a, b); },
      Guard());
  const auto unary = [&](const char* name, UnaryOp op) {
    module.def(name, [op](const py::object& x) { return te::unary(op, to_expr(x)); }, Guard());
  };
  unary("logical_not", UnaryOp::kNot);
  unary("abs", UnaryOp::kAbs);
  unary("sqrt", UnaryOp::kSqrt);
  unary("floor", UnaryOp::kFloor);
  unary("ceil", UnaryOp::kCeil);
  unary("trunc", UnaryOp::kTrunc);
  unary("round", UnaryOp::kRound);
}

}  // namespace

void bind_te(py::module_& module) {
  bind_tensor(module);
  bind_element_functions(module);
  module.def(
      "placeholder",
      [](const py::object& shape, DType dtype, std::string name, const py::object& strides) {
        return te::placeholder(to_sizes(shape), dtype, std::move(name),
                               strides.is_none() ? std::vector<Expr>() : to_sizes(strides));
      },
      Guard());
  module.def("compute", &compute, Guard());
  module.def("scatter", &scatter, Guard());
  module.def("scan", &scan, Guard());
  module.def("last_state", &te::last_state, Guard());
  module.def("cumsum", &te::cumsum, Guard());
  module.def("philox4x32", &te::philox4x32, Guard());
  module.def("reduce_axis", &reduce_axis, Guard());
  module.def("reduce", &reduce, Guard());
  module.def("arg_reduce", &arg_reduce, Guard());
  module.def("symbol", &te::symbol, Guard());
  module.def("function", &te::function, Guard());
}

}  // namespace tenon::python
