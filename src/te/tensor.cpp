#include "tenon/te/tensor.h"

#include <algorithm>
#include <array>
#include <unordered_set>

#include "te/reduction.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon::te {
namespace {

std::string describe_shape(const std::vector<Expr>& shape) {
  std::string out = "[";
  for (const Expr& e : shape) {
    if (out.size() > 1) out += ", ";
    const auto* v = e.as<VarNode>();
    const auto known = as_int(e);
    out += known ? std::to_string(*known) : v != nullptr ? v->name : std::string("?");
  }
  return out + "]";
}

bool depends_on_data(const Expr& e) {
  bool found = false;
  post_order_visit(e, [&](const Node& n) { found |= n.kind == NodeKind::kLoad; });
  return found;
}

bool is_index(const VarNode& v) { return v.symbol == nullptr; }

void check_shape(const std::vector<Expr>& shape, const std::string& name) {
  for (std::size_t d = 0; d < shape.size(); ++d) {
    TENON_USER_CHECK(shape[d]->dtype == kInt64, ShapeError, "E0403", "dimension ", d,
                     " of tensor '", name, "' has dtype ", to_string(shape[d]->dtype),
                     ", expected int64");
    TENON_USER_CHECK(as_int(shape[d]).value_or(0) >= 0, ShapeError, "E0401", "dimension ", d,
                     " of tensor '", name, "' is ", as_int(shape[d]).value_or(0),
                     ", expected at least 0");
    TENON_USER_CHECK(!depends_on_data(shape[d]) && !uses_var(shape[d], is_index), ShapeError,
                     "E0404", "dimension ", d, " of tensor '", name,
                     "' depends on data or on an index\n  hint: sizes are made of integers and "
                     "te.symbol");
  }
}

std::string axis_name(std::size_t d, std::size_t rank) {
  constexpr std::array kNames = {"i", "j", "k", "l"};
  return rank <= kNames.size() ? kNames[d] : "ax" + std::to_string(d);
}

/// Every reduction axis is used inside its own reduction only.
class ReductionScopes : public Walker {
 public:
  explicit ReductionScopes(const std::vector<IterVar>& axes) {
    for (const IterVar& axis : axes) known_.insert(axis.var.get());
  }

 protected:
  using Walker::visit;
  void visit(const ReduceNode& n) override {
    for (const IterVar& axis : n.axes) known_.insert(axis.var.get());
    clear_visited();
    walk(n);
    for (const IterVar& axis : n.axes) known_.erase(axis.var.get());
    clear_visited();
  }
  void visit(const LetNode& n) override {
    known_.insert(n.var.get());
    walk(n);
  }
  void visit(const VarNode& n) override {
    TENON_USER_CHECK(known_.count(&n) != 0 || n.symbol != nullptr, ExpressionError, "E0103",
                     "axis '", n.name,
                     "' is used outside its reduction (or belongs to another tensor)",
                     "\n  hint: a reduction axis may be used only inside te.sum(..., axis=", n.name,
                     ") and the like");
  }

 private:
  std::unordered_set<const ExprNode*> known_;
};

}  // namespace

Tensor as_tensor(const Buffer& buffer) { return dynamic_cast<const TensorNode*>(buffer.get()); }

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
    vars.push_back(var(d < axis_names.size() ? axis_names[d] : axis_name(d, shape.size())));
    node->axes.push_back({vars.back(), {imm(0), shape[d]}, IterKind::kSpatial});
  }
  node->shape = std::move(shape);
  node->body = fcompute(vars);
  TENON_CHECK(node->body, "compute '", node->name, "' without a body");
  node->dtype = node->body->dtype;
  ReductionScopes{node->axes}(node->body);
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
