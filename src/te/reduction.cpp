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
                      e.as<ReinterpretNode>() != nullptr || e.as<VarNode>() != nullptr;
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

std::string reduction_order(const ReduceNode& reduce, const std::vector<IterVar>& spatial) {
  const bool order_matters =
      reduce.dtype.is_float() && (reduce.op == ReduceOp::kSum || reduce.op == ReduceOp::kProd);
  if (!order_matters) return "";
  const ExprNode* innermost = reduce.axes.back().var.get();
  std::vector<std::set<const ExprNode*>> axes_of_operands;
  bool last_everywhere = true;
  post_order_visit(reduce.source, [&](const Node& n) {
    if (n.kind != NodeKind::kLoad) return;
    const auto& access = static_cast<const LoadNode&>(n);
    const auto uses_any = [&](const IterVar& axis) {
      return std::any_of(access.indices.begin(), access.indices.end(),
                         [&](const Expr& index) { return uses(index, axis.var.get()); });
    };
    if (!std::any_of(reduce.axes.begin(), reduce.axes.end(), uses_any)) return;
    last_everywhere = last_everywhere && access.indices.back().get() == innermost;
    std::set<const ExprNode*> operand;
    for (const IterVar& axis : spatial) {
      if (uses_any(axis)) operand.insert(axis.var.get());
    }
    axes_of_operands.push_back(std::move(operand));
  });
  if (axes_of_operands.empty() || !last_everywhere) return "chain";
  for (const auto& a : axes_of_operands) {
    for (const auto& b : axes_of_operands) {
      const bool a_only =
          std::any_of(a.begin(), a.end(), [&](const ExprNode* v) { return b.count(v) == 0; });
      const bool b_only =
          std::any_of(b.begin(), b.end(), [&](const ExprNode* v) { return a.count(v) == 0; });
      if (a_only && b_only) return "chain";
    }
  }
  return "row";
}

}  // namespace tenon::te
