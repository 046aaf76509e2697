#include "tenon/te/expr.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "tenon/ir/builder.h"

namespace tenon::te {
namespace {

constexpr std::array<std::string_view, 12> kMath = {"cos",       "erf", "exp",      "gelu",
                                                    "gelu_tanh", "log", "pow",      "rsqrt",
                                                    "sigmoid",   "sin", "softplus", "tanh"};

void promote_operands(Expr* a, Expr* b) {
  if ((*a)->dtype.is_bool() && (*b)->dtype.is_bool()) return;
  const DType t = promote((*a)->dtype, (*b)->dtype);
  *a = tenon::cast(t, *a);
  *b = tenon::cast(t, *b);
}

void check_operand_dtype(BinaryOp op, DType t) {
  const bool wants_bool = op == BinaryOp::kAnd || op == BinaryOp::kOr;
  const bool wants_int = op == BinaryOp::kFloorDiv || op == BinaryOp::kFloorMod ||
                         (op >= BinaryOp::kBitAnd && op <= BinaryOp::kShr);
  const bool comparison = op == BinaryOp::kEq || op == BinaryOp::kNe;
  TENON_USER_CHECK(!wants_bool || t.is_bool(), DTypeError, "E0504", "'", to_string(op),
                   "' needs bool operands, got ", to_string(t),
                   "\n  hint: compare first, as in te.all(i > 0, i < n)");
  TENON_USER_CHECK(!wants_int || t.is_int(), DTypeError, "E0504", "'", to_string(op),
                   "' needs integer operands, got ", to_string(t),
                   t.is_float() ? "\n  hint: use te.floor(a / b) for floats" : "");
  TENON_USER_CHECK(op != BinaryOp::kDiv || t.is_float(), DTypeError, "E0504",
                   "'/' needs float operands, got ", to_string(t),
                   "\n  hint: use '//' for integers, or te.cast to a float dtype first");
  TENON_USER_CHECK(!t.is_bool() || wants_bool || comparison, DTypeError, "E0504", "'",
                   to_string(op),
                   "' needs numbers, got bool\n  hint: convert with te.cast, or use te.select");
}

}  // namespace

Expr binary(BinaryOp op, const Expr& a, const Expr& b) {
  Expr x = a, y = b;
  promote_operands(&x, &y);
  check_operand_dtype(op, x->dtype);
  return tenon::binary(op, x, y);
}

Expr unary(UnaryOp op, const Expr& a) {
  const DType t = a->dtype;
  const bool fits = op == UnaryOp::kNot      ? t.is_bool()
                    : op == UnaryOp::kBitNot ? t.is_int()
                    : op >= UnaryOp::kSqrt   ? t.is_float()
                                             : !t.is_bool();
  TENON_USER_CHECK(fits, DTypeError, "E0504", "'", to_string(op), "' does not take ", to_string(t));
  return tenon::unary(op, a);
}

Expr cast(DType dtype, const Expr& value) { return tenon::cast(dtype, value); }

Expr select(const Expr& condition, const Expr& t, const Expr& f) {
  TENON_USER_CHECK(condition->dtype.is_bool(), DTypeError, "E0504",
                   "the condition of select has dtype ", to_string(condition->dtype),
                   ", expected bool");
  Expr x = t, y = f;
  promote_operands(&x, &y);
  return tenon::select(condition, x, y);
}

bool is_math_function(const std::string& name) {
  return std::find(kMath.begin(), kMath.end(), name) != kMath.end();
}

Expr math(const std::string& name, std::vector<Expr> args) {
  TENON_CHECK(is_math_function(name) && args.size() == (name == "pow" ? 2U : 1U), name, " of ",
              args.size());
  if (name == "pow") promote_operands(&args[0], &args[1]);
  const DType t = args[0]->dtype;
  TENON_USER_CHECK(t.is_float(), DTypeError, "E0505", "'", name, "' needs a float operand, got ",
                   to_string(t), "\n  hint: convert with te.cast(x, \"float32\")");
  return call(t, name, std::move(args));
}

}  // namespace tenon::te
