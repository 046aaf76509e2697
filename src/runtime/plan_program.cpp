#include "tenon/runtime/plan.h"
#include "tenon/support/error.h"

namespace tenon {
namespace {

using plan_format::Instruction;

bool same(const Instruction& x, const Instruction& y) {
  return x.op == y.op && x.a == y.a && x.b == y.b && x.c == y.c && x.imm == y.imm;
}

/// The value of an operation on constants; false where it overflows (then the runtime reports it).
bool fold(PlanOp op, std::int64_t a, std::int64_t b, std::int64_t* out) {
  switch (op) {
    case PlanOp::kAdd:
      return !__builtin_add_overflow(a, b, out);
    case PlanOp::kSub:
      return !__builtin_sub_overflow(a, b, out);
    case PlanOp::kMul:
      return !__builtin_mul_overflow(a, b, out);
    case PlanOp::kMin:
      *out = a < b ? a : b;
      return true;
    case PlanOp::kMax:
      *out = a > b ? a : b;
      return true;
    case PlanOp::kLess:
      *out = a < b;
      return true;
    case PlanOp::kLessEqual:
      *out = a <= b;
      return true;
    case PlanOp::kEqual:
      *out = a == b;
      return true;
    case PlanOp::kNotEqual:
      *out = a != b;
      return true;
    case PlanOp::kFloorDiv:
      if (a < 0 || b <= 0) return false;
      *out = a / b;
      return true;
    case PlanOp::kFloorMod:
      if (a < 0 || b <= 0) return false;
      *out = a % b;
      return true;
    case PlanOp::kConstant:
    case PlanOp::kDim:
    case PlanOp::kSelect:
      return false;
  }
  return false;
}

}  // namespace

PlanRegister PlanProgram::emit(const Instruction& instruction) {
  for (std::size_t i = 0; i < instructions_.size(); ++i) {
    if (same(instructions_[i], instruction)) return static_cast<PlanRegister>(i);
  }
  instructions_.push_back(instruction);
  return static_cast<PlanRegister>(instructions_.size() - 1);
}

bool PlanProgram::is_constant(PlanRegister reg, std::int64_t* value) const {
  *value = instructions_.at(reg).imm;
  return instructions_[reg].op == static_cast<std::uint32_t>(PlanOp::kConstant);
}

PlanRegister PlanProgram::constant(std::int64_t value) {
  return emit({static_cast<std::uint32_t>(PlanOp::kConstant), 0, 0, 0, value});
}

PlanRegister PlanProgram::dim(std::uint32_t input, std::uint32_t axis) {
  return emit({static_cast<std::uint32_t>(PlanOp::kDim), input, axis, 0, 0});
}

PlanRegister PlanProgram::binary(PlanOp op, PlanRegister a, PlanRegister b) {
  TENON_CHECK(op != PlanOp::kConstant && op != PlanOp::kDim && op != PlanOp::kSelect,
              "not a binary operation of the plan");
  std::int64_t x = 0;
  std::int64_t y = 0;
  std::int64_t folded = 0;
  const bool constant_a = is_constant(a, &x);
  const bool constant_b = is_constant(b, &y);
  if (constant_a && constant_b && fold(op, x, y, &folded)) return constant(folded);
  if (op == PlanOp::kAdd && constant_b && y == 0) return a;
  if (op == PlanOp::kAdd && constant_a && x == 0) return b;
  if ((op == PlanOp::kMul || op == PlanOp::kFloorDiv) && constant_b && y == 1) return a;
  if (op == PlanOp::kMul && constant_a && x == 1) return b;
  return emit({static_cast<std::uint32_t>(op), a, b, 0, 0});
}

PlanRegister PlanProgram::select(PlanRegister condition, PlanRegister a, PlanRegister b) {
  std::int64_t value = 0;
  if (is_constant(condition, &value)) return value != 0 ? a : b;
  return emit({static_cast<std::uint32_t>(PlanOp::kSelect), condition, a, b, 0});
}

PlanRegister PlanProgram::round_up(PlanRegister a, std::int64_t multiple) {
  TENON_CHECK(multiple > 0, "round_up to a multiple of ", multiple);
  const PlanRegister m = constant(multiple);
  return mul(floordiv(add(a, constant(multiple - 1)), m), m);
}

PlanRegister PlanProgram::bytes_of(const std::vector<PlanRegister>& dims, int element_bytes) {
  PlanRegister bytes = constant(element_bytes);
  for (const PlanRegister d : dims) bytes = mul(bytes, d);
  return bytes;
}

}  // namespace tenon
