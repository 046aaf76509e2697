#include "te/reduction.h"

#include <algorithm>
#include <set>

#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon::te {
namespace {

bool is_narrow(DType t) { return t.is_float() && t.bits == 16; }

/// Rebuilds narrow arithmetic in float32.
class Widen : public Mutator {
 public:
  /// The value as float32 when it is narrow.
  Expr wide(const Expr& e) {
    if (!is_narrow(e->dtype)) return (*this)(e);
    const bool leaf = e.as<LoadNode>() != nullptr || e.as<CastNode>() != nullptr ||
                      e.as<ReinterpretNode>() != nullptr || e.as<VarNode>() != nullptr ||
                      e.as<ReduceNode>() != nullptr;
    if (leaf) return cast(kFloat32, (*this)(e));
    if (const auto* c = e.as<FloatImmNode>()) return float_imm(kFloat32, c->value);
    return (*this)(e);  // arithmetic: comes back as float32
  }

 protected:
  using Mutator::rewrite;
  Expr rewrite(const UnaryNode& n) override {
    return is_narrow(n.dtype) ? unary(n.op, wide(n.a)) : rebuild(n);
  }
  Expr rewrite(const BinaryNode& n) override {
    return is_narrow(n.a->dtype) ? binary(n.op, wide(n.a), wide(n.b)) : rebuild(n);
  }
  Expr rewrite(const FmaNode& n) override {
    return is_narrow(n.dtype) ? fma(wide(n.a), wide(n.b), wide(n.c)) : rebuild(n);
  }
  Expr rewrite(const SelectNode& n) override {
    if (!is_narrow(n.dtype)) return rebuild(n);
    return select((*this)(n.condition), wide(n.true_value), wide(n.false_value));
  }
  Expr rewrite(const CallNode& n) override {
    if (!is_narrow(n.dtype)) return rebuild(n);
    std::vector<Expr> args;
    for (const Expr& a : n.args) args.push_back(wide(a));
    return call(kFloat32, n.name, std::move(args));
  }
  Expr rewrite(const CastNode& n) override {
    if (!is_narrow(n.value->dtype)) return rebuild(n);
    return cast(n.dtype, wide(n.value));
  }
};

/// The factors of a product, also under an exact cast, or nothing.
std::vector<Expr> product_factors(const Expr& e) {
  if (const auto* b = e.as<BinaryNode>(); b != nullptr && b->op == BinaryOp::kMul)
    return {b->a, b->b};
  if (const auto* c = e.as<CastNode>()) {
    const DType from = c->value->dtype;
    const bool exact = from.is_float() && c->dtype.is_float() && c->dtype.bits > from.bits;
    if (!exact) return {};
    std::vector<Expr> factors = product_factors(c->value);
    for (Expr& f : factors) f = cast(c->dtype, f);
    return factors;
  }
  return {};
}

bool uses(const Expr& e, const ExprNode* variable) {
  return uses_var(e, [&](const VarNode& v) { return &v == variable; });
}

}  // namespace

DType accumulator_dtype(ReduceOp op, DType source) {
  if (op == ReduceOp::kMin || op == ReduceOp::kMax) return source;
  if (is_narrow(source)) return kFloat32;
  if (source.is_int() && source.bits < 32) return kInt32;
  return source;
}

DType promote_for_sum(DType source, DType result) {
  const bool same_sort = source.is_float() == result.is_float() && source.code == result.code;
  return same_sort && result.bits > source.bits ? result : source;
}

Expr widen_narrow_floats(const Expr& e) {
  Widen widen;
  return widen.wide(e);
}

Expr reduction_step(const ReduceNode& reduce, const Expr& accumulator) {
  Expr next;
  const std::vector<Expr> factors = product_factors(reduce.source);
  if (reduce.op == ReduceOp::kSum && !factors.empty() && reduce.dtype.is_float()) {
    next = fma(factors[0], factors[1], accumulator);
  } else {
    next = make<BinaryNode>(combiner(reduce.op), accumulator, reduce.source);
  }
  return reduce.condition ? select(reduce.condition, next, accumulator) : next;
}

namespace {

/// What one load of the summed expression uses.
struct Operand {
  const LoadNode* load;
  std::set<const ExprNode*> spatial;
  bool is_reduced = false;  ///< a reduction axis is in its indices
};

std::vector<Operand> operands_of(const ReduceNode& reduce, const std::vector<IterVar>& spatial) {
  std::vector<Operand> operands;
  const auto collect = [&](const Node& n) {
    if (n.kind != NodeKind::kLoad) return;
    Operand operand{static_cast<const LoadNode*>(&n), {}, false};
    const auto uses_axis = [&](const IterVar& axis) {
      return std::any_of(operand.load->indices.begin(), operand.load->indices.end(),
                         [&](const Expr& index) { return uses(index, axis.var.get()); });
    };
    operand.is_reduced = std::any_of(reduce.axes.begin(), reduce.axes.end(), uses_axis);
    for (const IterVar& axis : spatial) {
      if (uses_axis(axis)) operand.spatial.insert(axis.var.get());
    }
    operands.push_back(std::move(operand));
  };
  post_order_visit(reduce.source, collect);
  if (reduce.condition) post_order_visit(reduce.condition, collect);  // as if it were a select
  return operands;
}

/// How many of the last reduction axes are the last indices of the load, in the same order.
int trailing_axes(const LoadNode& l, const std::vector<IterVar>& axes) {
  std::size_t count = 0;
  while (count < axes.size() && count < l.indices.size() &&
         l.indices[l.indices.size() - 1 - count].same_as(axes[axes.size() - 1 - count].var))
    ++count;
  return static_cast<int>(count);
}

}  // namespace

ReductionOrder reduction_order(const ReduceNode& reduce, const std::vector<IterVar>& spatial) {
  const bool order_matters =
      reduce.dtype.is_float() && (reduce.op == ReduceOp::kSum || reduce.op == ReduceOp::kProd);
  if (!order_matters) return {};
  ReductionOrder chain{"chain", 0};
  const std::vector<Operand> operands = operands_of(reduce, spatial);
  int row_axes = 0;
  for (const Operand& a : operands) {
    for (const Operand& b : operands) {
      const auto lacks = [](const Operand& x, const Operand& y) {
        return std::any_of(x.spatial.begin(), x.spatial.end(),
                           [&](const ExprNode* v) { return y.spatial.count(v) == 0; });
      };
      if (lacks(a, b) && lacks(b, a)) return chain;
    }
    if (!a.is_reduced) continue;
    const int trailing = trailing_axes(*a.load, reduce.axes);
    if (trailing == 0) return chain;
    row_axes = row_axes == 0 ? trailing : std::min(row_axes, trailing);
  }
  return row_axes == 0 ? chain : ReductionOrder{"row", row_axes};
}

}  // namespace tenon::te
