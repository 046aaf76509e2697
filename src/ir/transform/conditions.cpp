#include "ir/transform/conditions.h"

#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

void collect(const Expr& e, std::vector<Expr>* out) {
  const auto* b = e.as<BinaryNode>();
  if (b == nullptr || b->op != BinaryOp::kAnd) {
    out->push_back(e);
    return;
  }
  collect(b->a, out);
  collect(b->b, out);
}

}  // namespace

std::vector<Expr> conjuncts(const Expr& condition) {
  std::vector<Expr> out;
  if (condition) collect(condition, &out);
  return out;
}

Expr conjunction(const std::vector<Expr>& conditions) {
  Expr all;
  for (const Expr& c : conditions) all = and_predicate(all, c);
  return all;
}

Expr slack_of(const Expr& condition) {
  const auto* b = condition.as<BinaryNode>();
  if (b == nullptr || b->a->dtype != kInt64) return nullptr;
  if (b->op == BinaryOp::kLt) return b->b - b->a - 1;
  if (b->op == BinaryOp::kLe) return b->b - b->a;
  if (b->op == BinaryOp::kGt) return b->a - b->b - 1;
  if (b->op == BinaryOp::kGe) return b->a - b->b;
  return nullptr;
}

bool reads_memory(const Expr& e) {
  bool found = false;
  post_order_visit(
      e, [&](const Node& n) { found |= n.kind == NodeKind::kLoad || n.kind == NodeKind::kCall; });
  return found;
}

bool uses(const Expr& e, const Expr& variable) {
  return uses_var(e, [&](const VarNode& v) { return &v == variable.get(); });
}

}  // namespace tenon
