#include "codegen/expr_operands.h"

#include "tenon/ir/visit.h"

namespace tenon::codegen {

void add_operands(const ExprNode& n, std::vector<const ExprNode*>* out) {
  visit_expr(n, [&](const auto& node) {
    for_each_field(node, [&](const auto& f, const auto& value) {
      using T = std::decay_t<decltype(value)>;
      if constexpr (std::is_same_v<T, Expr>) {
        if (value && f.role == FieldRole::kUse) out->push_back(value.get());
      } else if constexpr (std::is_same_v<T, std::vector<Expr>>) {
        for (const Expr& e : value) out->push_back(e.get());
      }
    });
  });
}

bool is_lazy_logic(const ExprNode& n) {
  const auto* binary = n.kind == NodeKind::kBinary ? static_cast<const BinaryNode*>(&n) : nullptr;
  return binary != nullptr && (binary->op == BinaryOp::kAnd || binary->op == BinaryOp::kOr);
}

bool EffectFinder::operator()(const ExprNode* root) {
  std::vector<Pending> stack = {{root, 0}};
  std::vector<const ExprNode*> operands;
  while (!stack.empty()) {
    const ExprNode* node = stack.back().node;
    if (known_.count(node) != 0) {
      stack.pop_back();
      continue;
    }
    operands.clear();
    add_operands(*node, &operands);
    if (stack.back().stage++ == 0) {
      for (const ExprNode* operand : operands) stack.push_back({operand, 0});
      continue;
    }
    bool effects = node->kind == NodeKind::kLoad || node->kind == NodeKind::kCall;
    for (const ExprNode* operand : operands) effects |= known_.at(operand);
    known_[node] = effects;
    stack.pop_back();
  }
  return known_.at(root);
}

}  // namespace tenon::codegen
