#include "tenon/te/tensor.h"

#include <algorithm>
#include <array>
#include <unordered_set>

#include "te/checks.h"
#include "te/reduction.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon::te {
const char* to_string(ScatterMode mode) {
  constexpr std::array kText = {"set", "add", "mul", "min", "max"};
  return kText[static_cast<std::size_t>(mode)];
}

Tensor as_tensor(const Buffer& buffer) { return dynamic_cast<const TensorNode*>(buffer.get()); }

std::vector<Tensor> operands_of(const Tensor& tensor) {
  std::vector<Tensor> found;
  std::unordered_set<const BufferNode*> seen;
  const auto add = [&](const Tensor& t) {
    if (t && seen.insert(t.get()).second) found.push_back(t);
  };
  const auto add_loads = [&](const Expr& e) {
    post_order_visit(e, [&](const Node& n) {
      if (n.kind == NodeKind::kLoad) add(as_tensor(static_cast<const LoadNode&>(n).buffer));
    });
  };
  if (tensor->body) add_loads(tensor->body);
  if (tensor->scan) {
    for (const Tensor& t : tensor->scan->init) add(t);
    for (const Tensor& t : tensor->scan->operands) add(t);
  }
  add(tensor->init);
  for (const Expr& index : tensor->indices) add_loads(index);
  add(tensor->updates);
  return found;
}

Expr symbol(std::string name, std::int64_t min, std::optional<std::int64_t> max,
            std::int64_t multiple_of) {
  TENON_USER_CHECK(min >= 0 && multiple_of >= 1 && (!max || *max >= min), ExpressionError, "E0110",
                   "symbol '", name, "' has the range min=", min,
                   ", max=", max ? std::to_string(*max) : "None", ", multiple_of=", multiple_of,
                   "; expected 0 <= min <= max and multiple_of >= 1");
  Expr v = make<VarNode>(kInt64, std::move(name));
  const_cast<VarNode*>(v.as<VarNode>())->symbol =  // nobody else has seen it yet
      std::make_shared<const SymbolRange>(SymbolRange{min, max, multiple_of});
  return v;
}

Tensor placeholder(std::vector<Expr> shape, DType dtype, std::string name,
                   std::vector<Expr> strides) {
  check_shape(shape, name);
  TENON_USER_CHECK(strides.empty() || strides.size() == shape.size(), ShapeError, "E0402",
                   "placeholder '", name, "' has shape ", describe_shape(shape), " but ",
                   strides.size(), " strides");
  auto* node = new TensorNode;
  Tensor t(node);
  node->name = std::move(name);
  node->dtype = dtype;
  node->shape = std::move(shape);
  node->strides = std::move(strides);
  node->span = SpanScope::current();
  return t;
}

Tensor compute(std::vector<Expr> shape,
               const std::function<Expr(const std::vector<Expr>&)>& fcompute, std::string name,
               std::vector<std::string> axis_names) {
  check_shape(shape, name);
  auto* node = new TensorNode;
  Tensor t(node);
  node->kind = TensorKind::kCompute;
  node->name = std::move(name);
  node->span = SpanScope::current();
  std::vector<Expr> vars;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    vars.push_back(var(d < axis_names.size() ? axis_names[d] : default_axis_name(d, shape.size())));
    node->axes.push_back({vars.back(), {imm(0), shape[d]}, IterKind::kSpatial});
  }
  node->shape = std::move(shape);
  node->body = fcompute(vars);
  TENON_CHECK(node->body, "compute '", node->name, "' without a body");
  node->dtype = node->body->dtype;
  check_axes(node->axes, node->body);
  return t;
}

IterVar reduce_axis(const Expr& extent, std::string name) {
  return reduce_axis(Range{imm(0), extent}, std::move(name));
}

IterVar reduce_axis(const Range& domain, std::string name) {
  TENON_USER_CHECK(domain.extent->dtype == kInt64 && domain.min->dtype == kInt64, DTypeError,
                   "E0506", "reduction axis '", name, "' has an extent of dtype ",
                   to_string(domain.extent->dtype), ", expected int64");
  return {var(std::move(name)), domain, IterKind::kReduction};
}

Expr read(const Tensor& tensor, const std::vector<Expr>& indices) {
  const std::size_t rank = tensor->shape.size();
  TENON_USER_CHECK(indices.size() == rank, ExpressionError, "E0102", "tensor '", tensor->name,
                   "' of shape ", describe_shape(tensor->shape), " was indexed with ",
                   indices.size(), " indices, expected ", rank);
  std::vector<Expr> out;
  Expr predicate;
  for (std::size_t d = 0; d < rank; ++d) {
    TENON_USER_CHECK(indices[d]->dtype.is_int(), DTypeError, "E0503", "index ", d, " of tensor '",
                     tensor->name, "' has dtype ", to_string(indices[d]->dtype),
                     ", expected an integer");
    Expr index = tenon::cast(kInt64, indices[d]);
    const auto known = as_int(index);
    const auto extent = as_int(tensor->shape[d]);
    TENON_USER_CHECK(!known || (*known >= 0 && (!extent || *known < *extent)), IndexError, "E0601",
                     "index ", known.value_or(0), " is out of range for dimension ", d,
                     " of tensor '", tensor->name, "' with shape ", describe_shape(tensor->shape));
    if (depends_on_data(index)) {
      index = call(kInt64, "checked_index", {index, tensor->shape[d], imm(-1)});
      predicate = and_predicate(predicate, ge(index, imm(0)));
    }
    out.push_back(std::move(index));
  }
  return load(tensor, std::move(out), predicate);
}

namespace {

/// Whether `e` holds a reduction over `axis`.
bool is_reduced_over(const Expr& e, const Expr& axis) {
  bool found = false;
  post_order_visit(e, [&](const Node& n) {
    if (n.kind != NodeKind::kReduce) return;
    for (const IterVar& a : static_cast<const ReduceNode&>(n).axes) {
      found = found || a.var.same_as(axis);
    }
  });
  return found;
}

Expr reduce(ReduceOp op, const Expr& source, std::vector<IterVar> axes, const Expr& where,
            std::optional<DType> dtype) {
  TENON_USER_CHECK(!axes.empty(), ExpressionError, "E0107", "te.", to_string(op),
                   " needs at least one reduction axis");
  for (const IterVar& axis : axes) {
    TENON_USER_CHECK(axis.kind == IterKind::kReduction, ExpressionError, "E0108", "te.",
                     to_string(op), " reduces over axes made by te.reduce_axis");
    const auto is_axis = [&](const IterVar& other) { return other.var.same_as(axis.var); };
    TENON_USER_CHECK(std::count_if(axes.begin(), axes.end(), is_axis) == 1, ExpressionError,
                     "E0109", "te.", to_string(op), " is given axis '",
                     axis.var.as<VarNode>()->name, "' twice");
    TENON_USER_CHECK(!is_reduced_over(source, axis.var), ExpressionError, "E0109", "te.",
                     to_string(op), " over axis '", axis.var.as<VarNode>()->name,
                     "' contains a reduction over the same axis\n  hint: make a second axis with "
                     "te.reduce_axis");
  }
  TENON_USER_CHECK(!source->dtype.is_bool(), DTypeError, "E0504", "te.", to_string(op),
                   " needs numbers, got bool\n  hint: convert with te.cast(x, \"int32\")");
  const DType result = dtype.value_or(source->dtype);
  const DType accumulator =
      accumulator_dtype(op, dtype ? promote_for_sum(source->dtype, *dtype) : source->dtype);
  Expr reduced = make<ReduceNode>(op, std::move(axes),
                                  tenon::cast(accumulator, widen_narrow_floats(source)), where);
  return tenon::cast(result, reduced);
}

}  // namespace

Expr sum(const Expr& source, std::vector<IterVar> axes, const Expr& where,
         std::optional<DType> dtype) {
  return reduce(ReduceOp::kSum, source, std::move(axes), where, dtype);
}

Expr prod(const Expr& source, std::vector<IterVar> axes, const Expr& where,
          std::optional<DType> dtype) {
  return reduce(ReduceOp::kProd, source, std::move(axes), where, dtype);
}

Expr min(const Expr& source, std::vector<IterVar> axes, const Expr& where) {
  return reduce(ReduceOp::kMin, source, std::move(axes), where, std::nullopt);
}

Expr max(const Expr& source, std::vector<IterVar> axes, const Expr& where) {
  return reduce(ReduceOp::kMax, source, std::move(axes), where, std::nullopt);
}

}  // namespace tenon::te
