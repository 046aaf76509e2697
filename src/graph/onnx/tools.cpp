#include "graph/onnx/tools.h"

#include <algorithm>

#include "tenon/graph/expression.h"
#include "tenon/ir/analyzer.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/simplify.h"
#include "tenon/ir/visit.h"
#include "tenon/te/expr.h"
#include "tenon/te/tensor.h"

namespace tenon::onnx {
namespace {

constexpr std::size_t kMaxRank = 64;

void bind_symbols(Analyzer* analyzer, const Expr& e) {
  uses_var(e, [&](const VarNode& x) {
    if (x.symbol != nullptr)
      analyzer->bind(Symbol{Expr(&x), x.symbol->min, x.symbol->max, x.symbol->multiple_of});
    return false;
  });
}

}  // namespace

Value cast_to(const Value& x, DType dtype) {
  return x->dtype == dtype ? x : op("cast", {x}, {{"dtype", dtype}});
}

Value scalar(DType dtype, double value) { return graph::number(dtype, value); }

Value int_vector(const std::vector<std::int64_t>& values) {
  const std::int64_t size = static_cast<std::int64_t>(values.size());
  return graph::make_constant(
      Array::from_values<std::int64_t>(std::span(&size, 1), kInt64, values));
}

Value reshape(const Value& x, const std::vector<Expr>& shape) {
  return graph::same_shape(x->shape, shape) ? x : op("reshape", {x}, {{"shape", shape}});
}

Value transpose(const Value& x, const std::vector<std::int64_t>& axes) {
  return std::is_sorted(axes.begin(), axes.end()) ? x : op("transpose", {x}, {{"axes", axes}});
}

Value broadcast(const Value& x, const std::vector<Expr>& shape) {
  return graph::same_shape(x->shape, shape) ? x : op("broadcast_to", {x}, {{"shape", shape}});
}

Value reversed(const Value& x) {
  std::vector<Expr> begins(x->shape.size(), imm(0));
  std::vector<std::int64_t> steps(x->shape.size(), 1);
  begins[0] = x->shape[0] - imm(1);
  steps[0] = -1;
  return op("slice", {x}, {{"begins", begins}, {"extents", x->shape}, {"steps", steps}});
}

Value along_axis(const Value& x, std::size_t axis, const std::function<Value(const Value&)>& f) {
  std::vector<std::int64_t> axes;
  for (std::size_t d = 0; d < x->shape.size(); ++d) axes.push_back(static_cast<std::int64_t>(d));
  std::swap(axes[axis], axes.back());
  return transpose(f(transpose(x, axes)), axes);
}

std::vector<Expr> broadcast_shape(const std::vector<std::vector<Expr>>& shapes) {
  std::size_t rank = 0;
  for (const auto& s : shapes) rank = std::max(rank, s.size());
  std::vector<Expr> result(rank, imm(1));
  for (const auto& s : shapes) {
    for (std::size_t d = 0; d < s.size(); ++d) {
      Expr& extent = result[rank - s.size() + d];
      if (is_int(s[d], 1) || graph::same_extent(extent, s[d])) continue;
      TENON_USER_CHECK(is_int(extent, 1), ShapeError, "E0888",
                       "the shapes cannot be broadcast to each other");
      extent = s[d];
    }
  }
  return result;
}

Value computed(
    const std::string& name, const std::vector<Value>& inputs, const std::vector<Expr>& shape,
    const std::function<Expr(const std::vector<Expr>& at, const graph::ElementReader& read)>& f) {
  std::vector<te::Tensor> placeholders;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    placeholders.push_back(
        te::placeholder(inputs[i]->shape, inputs[i]->dtype, "x" + std::to_string(i)));
  const graph::ElementReader read = [&](std::size_t i, const graph::Indices& at) {
    return te::read(placeholders[i], at);
  };
  std::vector<Expr> sizes;
  for (const Expr& e : shape) sizes.push_back(simplify(e));
  const te::Tensor result =
      te::compute(sizes, [&](const std::vector<Expr>& at) { return f(at, read); }, name);
  return graph::make_expression(name, inputs, placeholders, {result})[0];
}

Value pointwise(const std::string& name, const std::vector<Value>& inputs,
                const std::function<Expr(const std::vector<Expr>&)>& f) {
  std::vector<std::vector<Expr>> shapes;
  for (const Value& x : inputs) shapes.push_back(x->shape);
  const std::vector<Expr> shape = broadcast_shape(shapes);
  return computed(name, inputs, shape,
                  [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                    std::vector<Expr> elements;
                    for (std::size_t i = 0; i < inputs.size(); ++i) {
                      const std::vector<Expr>& own = inputs[i]->shape;
                      graph::Indices place;
                      for (std::size_t d = 0; d < own.size(); ++d) {
                        const std::size_t to = shape.size() - own.size() + d;
                        const bool is_repeated = is_int(own[d], 1) && !is_int(shape[to], 1);
                        place.push_back(is_repeated ? imm(0) : at[to]);
                      }
                      elements.push_back(read(i, place));
                    }
                    return f(elements);
                  });
}

DType sum_dtype(DType dtype) { return dtype.is_float() && dtype.bits < 32 ? kFloat32 : dtype; }

Value reduce(const std::string& name, const Value& x, const std::vector<std::int64_t>& axes,
             bool keeps) {
  if (axes.empty()) return x;
  Value y = op(name, {x}, {{"axes", axes}});
  if (!keeps) return y;
  std::vector<Expr> shape = x->shape;
  for (const std::int64_t axis : axes) shape[static_cast<std::size_t>(axis)] = imm(1);
  return reshape(y, shape);
}

std::int64_t normal_axis(const NodeView& n, std::int64_t axis, std::size_t rank) {
  const auto size = static_cast<std::int64_t>(rank);
  if (axis < -size || axis >= size)
    n.invalid(detail::concat("axis ", axis, " is out of range for ", size, " dimensions"));
  return axis < 0 ? axis + size : axis;
}

std::vector<std::int64_t> normal_axes(const NodeView& n, const std::vector<std::int64_t>& axes,
                                      std::size_t rank) {
  std::vector<std::int64_t> normal;
  for (const std::int64_t axis : axes) {
    normal.push_back(normal_axis(n, axis, rank));
    if (std::count(normal.begin(), normal.end(), normal.back()) > 1)
      n.invalid(detail::concat("axis ", axis, " is given twice"));
  }
  return normal;
}

Value condition_scalar(const NodeView& n, const Value& v, const std::string& what) {
  const bool is_one = v->shape.empty() || (v->shape.size() == 1 && is_int(v->shape[0], 1));
  if (!is_one || !v->dtype.is_bool())
    n.invalid(what + " should be one bool, got " + graph::type_str(*v));
  return reshape(v, {});
}

Value bool_scalar(bool value) {
  Array a = Array::empty({}, kBoolType);
  a.mutable_data<bool>()[0] = value;
  return graph::make_constant(a);
}

void check_rank(const NodeView& n, std::size_t rank) {
  if (rank > kMaxRank)
    n.unsupported(detail::concat("a result of ", rank, " dimensions, at most ", kMaxRank));
}

std::vector<std::int64_t> axes_of(const NodeView& n, std::size_t i, const std::string& name,
                                  std::size_t rank) {
  if (n.has(i)) return normal_axes(n, n.ints(i), rank);
  if (n.has_attr(name)) return normal_axes(n, n.ints_attr(name), rank);
  std::vector<std::int64_t> all;
  for (std::size_t d = 0; d < rank; ++d) all.push_back(static_cast<std::int64_t>(d));
  return all;
}

Expr simplify_size(const Expr& e) {
  if (as_int(e)) return e;
  Analyzer analyzer;
  bind_symbols(&analyzer, e);
  return analyzer.simplify(e);
}

bool holds(const Expr& condition) {
  if (const auto known = as_int(condition)) return *known != 0;
  Analyzer analyzer;
  bind_symbols(&analyzer, condition);
  return analyzer.can_prove(condition);
}

Expr wrapped_index(const Expr& index, const Expr& extent) {
  Expr i = te::cast(kInt64, index);
  if (!index->dtype.is_signed_int()) return i;
  return te::select(lt(i, imm(0)), i + extent, i);
}

Expr product(const std::vector<Expr>& sizes, std::size_t begin, std::size_t end) {
  const auto at = [&](std::size_t d) { return sizes.begin() + static_cast<std::ptrdiff_t>(d); };
  return simplify(graph::product({at(begin), at(end)}));
}

}  // namespace tenon::onnx
