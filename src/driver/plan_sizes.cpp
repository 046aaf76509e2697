#include "tenon/driver/plan_sizes.h"

#include <optional>

#include "tenon/ir/visit.h"
#include "tenon/support/stack.h"

namespace tenon {
namespace {

class SizeWriter {
 public:
  SizeWriter(PlanProgram* program, const SymbolRegisters& symbols)
      : program_(program), memo_(symbols) {}

  PlanRegister write(const Expr& e) {
    const auto it = memo_.find(e.get());
    if (it != memo_.end()) return it->second;
    const PlanRegister reg = with_stack([&] { return write_node(e); });
    memo_[e.get()] = reg;
    return reg;
  }

 private:
  PlanRegister write_node(const Expr& e) {
    if (const auto* n = e.as<IntImmNode>()) return program_->constant(n->value);
    if (const auto* n = e.as<BinaryNode>()) return write_binary(*n);
    if (const auto* n = e.as<SelectNode>()) {
      return program_->select(write(n->condition), write(n->true_value), write(n->false_value));
    }
    if (const auto* n = e.as<LetNode>()) {
      memo_[n->var.get()] = write(n->value);
      return write(n->body);
    }
    const auto* n = e.as<UnaryNode>();
    if (n != nullptr && n->op == UnaryOp::kNot) {
      return program_->binary(PlanOp::kEqual, write(n->a), program_->constant(0));
    }
    if (n != nullptr && n->op == UnaryOp::kNeg) {
      return program_->sub(program_->constant(0), write(n->a));
    }
    const auto* v = e.as<VarNode>();
    TENON_CHECK(false, "a size is computed from ",
                v != nullptr ? "the unknown variable '" + v->name + "'" : to_string(e->kind));
    return 0;
  }

  PlanRegister write_binary(const BinaryNode& n) {
    const PlanRegister a = write(n.a), b = write(n.b);
    switch (n.op) {
      case BinaryOp::kAdd:
        return program_->add(a, b);
      case BinaryOp::kSub:
        return program_->sub(a, b);
      case BinaryOp::kMul:
        return program_->mul(a, b);
      case BinaryOp::kFloorDiv:
        return program_->floordiv(a, b);
      case BinaryOp::kFloorMod:
        return program_->floormod(a, b);
      case BinaryOp::kMin:
      case BinaryOp::kAnd:
        return program_->min(a, b);
      case BinaryOp::kMax:
      case BinaryOp::kOr:
        return program_->max(a, b);
      case BinaryOp::kEq:
        return program_->binary(PlanOp::kEqual, a, b);
      case BinaryOp::kNe:
        return program_->binary(PlanOp::kNotEqual, a, b);
      case BinaryOp::kLt:
        return program_->binary(PlanOp::kLess, a, b);
      case BinaryOp::kLe:
        return program_->binary(PlanOp::kLessEqual, a, b);
      case BinaryOp::kGt:
        return program_->binary(PlanOp::kLess, b, a);
      case BinaryOp::kGe:
        return program_->binary(PlanOp::kLessEqual, b, a);
      case BinaryOp::kDiv:
      case BinaryOp::kBitAnd:
      case BinaryOp::kBitOr:
      case BinaryOp::kBitXor:
      case BinaryOp::kShl:
      case BinaryOp::kShr:
        break;
    }
    TENON_CHECK(false, "a size is computed by ", to_string(n.op));
    return 0;
  }

  PlanProgram* program_;
  SymbolRegisters memo_;
};

}  // namespace

PlanRegister add_size(PlanProgram* program, const Expr& e, const SymbolRegisters& symbols) {
  return SizeWriter(program, symbols).write(e);
}

std::vector<PlanRegister> add_sizes(PlanProgram* program, const std::vector<Expr>& shape,
                                    const SymbolRegisters& symbols) {
  std::vector<PlanRegister> registers;
  SizeWriter writer(program, symbols);
  for (const Expr& e : shape) registers.push_back(writer.write(e));
  return registers;
}

}  // namespace tenon
