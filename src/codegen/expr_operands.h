#pragma once

/// What every emitter asks of an expression before it decides on an order of evaluation.

#include <unordered_map>
#include <vector>

#include "tenon/ir/expr.h"

namespace tenon::codegen {

/// A node whose value is wanted; `stage` counts the visits.
struct Pending {
  const ExprNode* node;
  int stage;
};

/// Appends the operands of a node, definitions left out.
void add_operands(const ExprNode& n, std::vector<const ExprNode*>* out);

/// Whether the second operand of an `and` or `or` may not be evaluated.
bool is_lazy_logic(const ExprNode& n);

/// Says of expressions whether evaluating them loads or calls: what a branch that is not taken may
/// not do. Remembers every node that it saw, which has to live as long.
class EffectFinder {
 public:
  bool operator()(const ExprNode* root);

 private:
  std::unordered_map<const ExprNode*, bool> known_;
};

}  // namespace tenon::codegen
