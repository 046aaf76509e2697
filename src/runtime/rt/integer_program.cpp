#include "runtime/rt/context.h"
#include "runtime/rt/message.h"

namespace tenon::rt {
namespace {

using plan_format::Instruction;
using plan_format::Op;

/// Rounds towards minus infinity; 0 for b == 0; INT64_MIN / -1 wraps, as everywhere in Tenon.
std::int64_t floor_div(std::int64_t a, std::int64_t b) {
  if (b == 0) return 0;
  if (b == -1) return static_cast<std::int64_t>(0 - static_cast<std::uint64_t>(a));
  const std::int64_t quotient = a / b;
  return (a % b != 0 && (a < 0) != (b < 0)) ? quotient - 1 : quotient;
}

std::int64_t floor_mod(std::int64_t a, std::int64_t b) {
  if (b == 0 || b == -1) return 0;
  const std::int64_t rest = a % b;
  return (rest != 0 && (rest < 0) != (b < 0)) ? rest + b : rest;
}

/// One instruction; false when it overflows.
bool evaluate(const Instruction& in, const std::int64_t* r, const DLTensor* inputs,
              std::int64_t* out) {
  switch (static_cast<Op>(in.op)) {
    case Op::kConstant:
      *out = in.imm;
      return true;
    case Op::kDim:
      *out = inputs[in.a].shape[in.b];
      return true;
    case Op::kAdd:
      return !__builtin_add_overflow(r[in.a], r[in.b], out);
    case Op::kSub:
      return !__builtin_sub_overflow(r[in.a], r[in.b], out);
    case Op::kMul:
      return !__builtin_mul_overflow(r[in.a], r[in.b], out);
    case Op::kFloorDiv:
      *out = floor_div(r[in.a], r[in.b]);
      return true;
    case Op::kFloorMod:
      *out = floor_mod(r[in.a], r[in.b]);
      return true;
    case Op::kMin:
      *out = r[in.a] < r[in.b] ? r[in.a] : r[in.b];
      return true;
    case Op::kMax:
      *out = r[in.a] > r[in.b] ? r[in.a] : r[in.b];
      return true;
    case Op::kLess:
      *out = r[in.a] < r[in.b];
      return true;
    case Op::kLessEqual:
      *out = r[in.a] <= r[in.b];
      return true;
    case Op::kEqual:
      *out = r[in.a] == r[in.b];
      return true;
    case Op::kNotEqual:
      *out = r[in.a] != r[in.b];
      return true;
    case Op::kSelect:
      *out = r[in.a] != 0 ? r[in.b] : r[in.c];
      return true;
  }
  return false;
}

}  // namespace

tenon_status run_program(tenon_context& context, const DLTensor* inputs) {
  const tenon_model& m = *context.model;
  for (std::size_t i = 0; i < m.program.size(); ++i) {
    if (!evaluate(m.program[i], context.registers.data(), inputs, &context.registers[i])) {
      return fail(TENON_ERROR_SHAPE, "E0458",
                  "%.*s: a size computed from the inputs' shapes does not fit 64 bits",
                  TENON_PLAN_STRING(&m, m.info.name));
    }
  }
  return TENON_OK;
}

}  // namespace tenon::rt
