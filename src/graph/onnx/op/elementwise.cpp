// Arithmetic, comparisons, logic and bits.

#include <algorithm>
#include <cmath>
#include <limits>

#include "graph/onnx/tools.h"
#include "tenon/ir/builder.h"
#include "tenon/te/expr.h"
#include "tenon/te/tensor.h"

namespace tenon::onnx {
namespace {

constexpr Support kNative = Support::kNative;
constexpr Support kDecomposed = Support::kDecomposed;

/// Where one size is another one up to a bound (a slice of a table of positions), the operands fit
/// up to that bound: the network takes no more.
void require_equal(const NodeView& n, const Expr& a, const Expr& b) {
  const auto* bounded = a.as<BinaryNode>();
  if (bounded == nullptr || bounded->op != BinaryOp::kMin) return;
  if (graph::same_extent(bounded->a, b)) n.require_not_negative(bounded->b - b);
  if (graph::same_extent(bounded->b, b)) n.require_not_negative(bounded->a - b);
}

void require_sizes_that_fit(const NodeView& n, const std::vector<Value>& x) {
  for (std::size_t d = 1; d <= std::min(x[0]->shape.size(), x[1]->shape.size()); ++d) {
    const Expr &a = *(x[0]->shape.end() - static_cast<std::ptrdiff_t>(d)),
               &b = *(x[1]->shape.end() - static_cast<std::ptrdiff_t>(d));
    if (is_int(a, 1) || is_int(b, 1) || graph::same_extent(a, b)) continue;
    require_equal(n, a, b);
    require_equal(n, b, a);
  }
}

/// Both operands. Before opset 7 the second is repeated on request only, and `axis` says at which
/// dimension of the first it begins.
std::vector<Value> operands(const NodeView& n) {
  std::vector<Value> x = n.all();
  if (x.size() != 2) n.invalid(detail::concat("expected 2 inputs, got ", x.size()));
  const std::size_t rank = x[0]->shape.size();
  if (n.version() < 7 && n.int_attr("broadcast", 0) != 0 && n.has_attr("axis")) {
    const auto axis = static_cast<std::size_t>(normal_axis(n, n.int_attr("axis"), rank));
    if (axis + x[1]->shape.size() > rank) n.invalid("the second input does not fit behind 'axis'");
    std::vector<Expr> shape = x[1]->shape;
    shape.resize(rank - axis, imm(1));
    x[1] = reshape(x[1], shape);
  }
  require_sizes_that_fit(n, x);
  return x;
}

void check_number(const NodeView& n, std::size_t i) {
  if (n.in(i)->dtype.is_bool()) n.invalid("expected numbers, got bool");
}

/// The operator of the graph that has that name.
#define TENON_BINARY_OP(function, name) \
  std::vector<Value> function(const NodeView& n) { return {op(name, operands(n))}; }
TENON_BINARY_OP(convert_add, "add")
TENON_BINARY_OP(convert_sub, "sub")
TENON_BINARY_OP(convert_mul, "mul")
TENON_BINARY_OP(convert_equal, "equal")
TENON_BINARY_OP(convert_less, "less")
TENON_BINARY_OP(convert_less_equal, "less_equal")
TENON_BINARY_OP(convert_greater, "greater")
TENON_BINARY_OP(convert_greater_equal, "greater_equal")
TENON_BINARY_OP(convert_and, "logical_and")
TENON_BINARY_OP(convert_or, "logical_or")
TENON_BINARY_OP(convert_xor, "not_equal")
TENON_BINARY_OP(convert_bit_and, "bitwise_and")
TENON_BINARY_OP(convert_bit_or, "bitwise_or")
TENON_BINARY_OP(convert_bit_xor, "bitwise_xor")
#undef TENON_BINARY_OP

#define TENON_UNARY_OP(function, name) \
  std::vector<Value> function(const NodeView& n) { return {op(name, {n.in(0)})}; }
TENON_UNARY_OP(convert_exp, "exp")
TENON_UNARY_OP(convert_log, "log")
TENON_UNARY_OP(convert_not, "logical_not")
TENON_UNARY_OP(convert_sqrt, "sqrt")
TENON_UNARY_OP(convert_bit_not, "bitwise_not")
TENON_UNARY_OP(convert_neg, "neg")
#undef TENON_UNARY_OP

/// Operators that give integers as they are.
template <const char* name>
std::vector<Value> rounded(const NodeView& n) {
  if (!n.in(0)->dtype.is_float()) return {n.in(0)};
  return {op(name, {n.in(0)})};
}
constexpr char kFloor[] = "floor", kCeil[] = "ceil", kRound[] = "round";

std::vector<Value> convert_abs(const NodeView& n) {
  const Value& x = n.in(0);
  const bool is_unsigned = x->dtype.is_int() && !x->dtype.is_signed_int();
  return {is_unsigned ? x : op("abs", {x})};
}

Expr one(DType t) { return const_like(t, 1); }

/// The remainder of floor division is not zero and has another sign than the quotient's truncation
/// leaves: the two divisions differ.
Expr rounds_up(const Expr& a, const Expr& b) {
  const Expr rest = te::binary(BinaryOp::kFloorMod, a, b);
  return logical_and(ne(rest, zero(rest->dtype)), ne(lt(a, zero(a->dtype)), lt(b, zero(b->dtype))));
}

/// Floats divide; integers truncate, and give 0 where they are divided by 0.
std::vector<Value> convert_div(const NodeView& n) {
  const std::vector<Value> x = operands(n);
  if (x[0]->dtype.is_float()) return {op("div", x)};
  return {pointwise("div", x, [](const std::vector<Expr>& e) {
    Expr quotient = te::binary(BinaryOp::kFloorDiv, e[0], e[1]);
    if (!e[0]->dtype.is_signed_int()) return quotient;
    return te::select(rounds_up(e[0], e[1]), quotient + one(quotient->dtype), quotient);
  })};
}

/// x * 2^power, exact where the result is a number.
Expr scaled(Expr x, int power) {
  for (; power > 0; power -= 1000)
    x = x * float_imm(kFloat64, std::ldexp(1.0, std::min(power, 1000)));
  return x;
}

/// x - trunc(x / y) * y as C's fmod, exact: the quotient is found 52 bits at a time, from above.
/// float64.
Expr exact_fmod(const Expr& x, const Expr& y, int num_bits) {
  const Expr a = unary(UnaryOp::kAbs, x), b = unary(UnaryOp::kAbs, y);
  const Expr nothing = zero(kFloat64);
  Expr rest = a;
  for (int power = num_bits / 52 * 52; power >= 0; power -= 52) {
    const Expr step = scaled(b, power);
    const Expr quotient = unary(UnaryOp::kTrunc, rest / step);
    Expr next = fma(-quotient, step, rest);  // exact, and within one step of the remainder
    next = select(lt(next, nothing), next + step, next);
    next = select(ge(next, step), next - step, next);
    rest = select(le(step, rest), next, rest);
  }
  const Expr is_defined =
      logical_and(lt(a, float_imm(kFloat64, std::numeric_limits<double>::infinity())),
                  gt(b, nothing));  // false for NaN as well
  const Expr nan = float_imm(kFloat64, std::numeric_limits<double>::quiet_NaN());
  const Expr signed_rest = select(lt(x, nothing), -rest, rest);
  return select(logical_or(is_defined, ne(x, x)),
                select(lt(a, b), x, select(ne(y, y), y, signed_rest)), nan);
}

std::vector<Value> convert_mod(const NodeView& n) {
  const std::vector<Value> x = operands(n);
  const DType t = x[0]->dtype;
  if (x[1]->dtype != t) n.invalid("the operands have different dtypes");
  const bool is_fmod = n.int_attr("fmod", 0) != 0;
  if (t.is_float()) {
    if (!is_fmod) n.invalid("the remainder of floats needs fmod = 1");
    // Exponents of x and y differ by at most so much.
    const int num_bits = t == kFloat64 ? 2098 : t == DType::float_(16) ? 40 : 277;
    return {pointwise("fmod", x, [&](const std::vector<Expr>& e) {
      return cast(t, exact_fmod(cast(kFloat64, e[0]), cast(kFloat64, e[1]), num_bits));
    })};
  }
  return {pointwise("mod", x, [&](const std::vector<Expr>& e) {
    Expr rest = te::binary(BinaryOp::kFloorMod, e[0], e[1]);
    if (!is_fmod || !t.is_signed_int()) return rest;
    return te::select(rounds_up(e[0], e[1]), rest - e[1], rest);
  })};
}

/// base ** exponent as a product: no power with an exponent above 63 fits, except those of 0, 1
/// and -1. A negative exponent gives 1 / base ** -exponent without its fraction.
Expr integer_power(const Expr& base, const Expr& exponent) {
  const DType t = base->dtype, e = exponent->dtype;
  const IterVar k = te::reduce_axis(imm(64), "k");
  const Expr power = te::prod(base, {k}, lt(cast(e, k.var), exponent), t);
  const bool has_sign = t.is_signed_int();
  const Expr minus_one = int_imm(t, -1);
  const Expr is_odd = ne(binary(BinaryOp::kBitAnd, exponent, one(e)), zero(e));
  const Expr is_minus_one = has_sign ? eq(base, minus_one) : bool_imm(false);
  const Expr inverse = select(eq(base, one(t)), one(t), zero(t));
  const Expr known = e.is_signed_int() ? select(lt(exponent, zero(e)), inverse, power) : power;
  return select(is_minus_one, select(is_odd, minus_one, one(t)), known);
}

Expr power_of_integer(const Expr& base, const Expr& exponent) {
  if (exponent->dtype.is_int()) return integer_power(base, exponent);
  // The float function may end just below a whole number.
  const Expr y = cast(kFloat64, exponent);
  const Expr limit = float_imm(kFloat64, 2147483648.0);
  const Expr is_whole =
      logical_and(eq(unary(UnaryOp::kFloor, y), y), lt(unary(UnaryOp::kAbs, y), limit));
  return select(is_whole, integer_power(base, cast(kInt32, y)),
                cast(base->dtype, te::math("pow", {cast(kFloat64, base), y})));
}

Expr power_of_float(const Expr& base, const Expr& exponent) {
  const DType t = base->dtype, e = exponent->dtype;
  if (e == t) return te::math("pow", {base, exponent});
  const bool is_wide = t == kFloat64 || e == kFloat64 || (e.is_int() && e.bits >= 32);
  const DType wide = is_wide ? kFloat64 : kFloat32;
  return cast(t, te::math("pow", {cast(wide, base), cast(wide, exponent)}));
}

/// The result has the dtype of the base. Exponents that are often written need no function.
std::vector<Value> convert_pow(const NodeView& n) {
  const std::vector<Value> x = operands(n);
  check_number(n, 0);
  check_number(n, 1);
  const bool is_float = x[0]->dtype.is_float();
  if (is_float && x[1]->shape.size() <= x[0]->shape.size() &&
      is_int(product(x[1]->shape, 0, x[1]->shape.size()), 1)) {
    std::optional<double> exponent;
    if (const auto known = n.known(1); known && known->size() == 1) {
      if (const auto* f = (*known)[0].as<FloatImmNode>()) exponent = f->value;
      if (const auto i = as_int((*known)[0])) exponent = static_cast<double>(*i);
    }
    if (exponent == 1) return {x[0]};
    if (exponent == 2) return {op("mul", {x[0], x[0]})};
    if (exponent == 3) {
      return {
          pointwise("cube", {x[0]}, [](const std::vector<Expr>& e) { return e[0] * e[0] * e[0]; })};
    }
    if (exponent == 0.5) return {op("sqrt", {x[0]})};
  }
  return {pointwise("pow", x, [&](const std::vector<Expr>& e) {
    return is_float ? power_of_float(e[0], e[1]) : power_of_integer(e[0], e[1]);
  })};
}

std::vector<Value> convert_reciprocal(const NodeView& n) {
  return {op("div", {scalar(n.in(0)->dtype, 1), n.in(0)})};
}

/// NaN stays, and so do zeros of both signs.
std::vector<Value> convert_sign(const NodeView& n) {
  check_number(n, 0);
  return {pointwise("sign", {n.in(0)}, [](const std::vector<Expr>& e) {
    const DType t = e[0]->dtype;
    const bool is_signed = t.is_float() || t.is_signed_int();
    const Expr rest = is_signed ? select(lt(e[0], zero(t)), -one(t), e[0]) : e[0];
    return select(gt(e[0], zero(t)), one(t), rest);
  })};
}

/// Several operands, joined from the left.
Value joined(const NodeView& n, const char* name) {
  const std::vector<Value> x = n.all();
  if (x.empty()) n.invalid("expected at least 1 input");
  Value all = x[0];
  for (std::size_t i = 1; i < x.size(); ++i) all = op(name, {all, x[i]});
  return all;
}
std::vector<Value> convert_sum(const NodeView& n) { return {joined(n, "add")}; }
std::vector<Value> convert_max(const NodeView& n) { return {joined(n, "maximum")}; }
std::vector<Value> convert_min(const NodeView& n) { return {joined(n, "minimum")}; }
std::vector<Value> convert_mean(const NodeView& n) {
  const Value sum = joined(n, "add");
  if (n.num_inputs() == 1) return {sum};
  return {op("div", {sum, scalar(sum->dtype, static_cast<double>(n.num_inputs()))})};
}

std::vector<Value> convert_where(const NodeView& n) { return {op("where", n.all())}; }

std::vector<Value> convert_bit_shift(const NodeView& n) {
  const std::string direction = n.string_attr("direction", "");
  if (direction != "LEFT" && direction != "RIGHT")
    n.invalid("'direction' should be LEFT or RIGHT, got '" + direction + "'");
  return {op(direction == "LEFT" ? "shift_left" : "shift_right", n.all())};
}

std::vector<Value> convert_is_nan(const NodeView& n) {
  return {op("not_equal", {n.in(0), n.in(0)})};
}

std::vector<Value> convert_is_inf(const NodeView& n) {
  const DType t = n.in(0)->dtype;
  if (!t.is_float()) n.invalid("expected floats, got " + to_string(t));
  const bool takes_negative = n.int_attr("detect_negative", 1) != 0;
  const bool takes_positive = n.int_attr("detect_positive", 1) != 0;
  return {pointwise("is_inf", {n.in(0)}, [&](const std::vector<Expr>& e) {
    const Expr inf = const_like(e[0]->dtype, std::numeric_limits<double>::infinity());
    const Expr above = takes_positive ? eq(e[0], inf) : bool_imm(false);
    return logical_or(takes_negative ? eq(e[0], -inf) : bool_imm(false), above);
  })};
}

}  // namespace

std::vector<Conversion> elementwise_conversions() {
  return {
      {"Abs", 1, kNative, convert_abs},
      {"Add", 1, kNative, convert_add},
      {"And", 1, kNative, convert_and},
      {"BitShift", 11, kNative, convert_bit_shift},
      {"BitwiseAnd", 18, kNative, convert_bit_and},
      {"BitwiseNot", 18, kNative, convert_bit_not},
      {"BitwiseOr", 18, kNative, convert_bit_or},
      {"BitwiseXor", 18, kNative, convert_bit_xor},
      {"Ceil", 1, kNative, rounded<kCeil>},
      {"Div", 1, kNative, convert_div},
      {"Equal", 1, kNative, convert_equal},
      {"Exp", 1, kNative, convert_exp},
      {"Floor", 1, kNative, rounded<kFloor>},
      {"Greater", 1, kNative, convert_greater},
      {"GreaterOrEqual", 12, kNative, convert_greater_equal},
      {"IsInf", 10, kNative, convert_is_inf},
      {"IsNaN", 9, kNative, convert_is_nan},
      {"Less", 1, kNative, convert_less},
      {"LessOrEqual", 12, kNative, convert_less_equal},
      {"Log", 1, kNative, convert_log},
      {"Max", 1, kNative, convert_max},
      {"Mean", 1, kDecomposed, convert_mean, "", "Sum and Div"},
      {"Min", 1, kNative, convert_min},
      {"Mod", 10, kNative, convert_mod},
      {"Mul", 1, kNative, convert_mul},
      {"Neg", 1, kNative, convert_neg},
      {"Not", 1, kNative, convert_not},
      {"Or", 1, kNative, convert_or},
      {"Pow", 1, kNative, convert_pow},
      {"Reciprocal", 1, kNative, convert_reciprocal},
      {"Round", 11, kNative, rounded<kRound>},
      {"Sign", 9, kNative, convert_sign},
      {"Sqrt", 1, kNative, convert_sqrt},
      {"Sub", 1, kNative, convert_sub},
      {"Sum", 1, kNative, convert_sum},
      {"Where", 9, kNative, convert_where},
      {"Xor", 1, kNative, convert_xor},
  };
}

}  // namespace tenon::onnx
