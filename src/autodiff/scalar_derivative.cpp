#include "autodiff/scalar_derivative.h"

#include <cmath>
#include <numbers>

#include "tenon/ir/builder.h"
#include "tenon/ir/structural.h"
#include "tenon/ir/visit.h"

namespace tenon::autodiff {
namespace {

using Kind = Partial::Kind;

bool is_one(const Expr& e) {
  const auto* c = e.as<FloatImmNode>();
  return c != nullptr && c->value == 1.0;
}

Expr constant(const Expr& like, double value) { return const_like(like->dtype, value); }

/// exp(-x * x / 2) / sqrt(2 pi), the density of the normal distribution.
Expr normal_density(const Expr& x) {
  const Expr exponent = x * x * constant(x, -0.5);
  return call(x->dtype, "exp", {exponent}) *
         constant(x, 0.5 * std::numbers::inv_sqrtpi * std::numbers::sqrt2);
}

/// The derivative of x * (1 + erf(x / sqrt 2)) / 2.
Expr gelu_derivative(const Expr& x) {
  const Expr scaled = x * constant(x, 0.5 * std::numbers::sqrt2);
  const Expr cumulative = (call(x->dtype, "erf", {scaled}) + constant(x, 1)) * constant(x, 0.5);
  return cumulative + x * normal_density(x);
}

/// The derivative of x * (1 + tanh(u)) / 2, u = sqrt(2 / pi) (x + 0.044715 x^3).
Expr gelu_tanh_derivative(const Expr& x) {
  constexpr double kCubic = 0.044715;
  const double scale = std::numbers::sqrt2 * std::numbers::inv_sqrtpi;
  const Expr square = x * x;
  const Expr inner = x * (constant(x, scale) + square * constant(x, scale * kCubic));
  const Expr slope = constant(x, scale) + square * constant(x, 3 * scale * kCubic);
  const Expr t = call(x->dtype, "tanh", {inner});
  const Expr one = constant(x, 1);
  return (one + t) * constant(x, 0.5) + x * (one - t * t) * slope * constant(x, 0.5);
}

std::vector<Partial> partials_of_pow(const CallNode& n, const Expr& result) {
  const Expr& x = n.args[0];
  const Expr& y = n.args[1];
  const Expr zero_value = constant(x, 0), one = constant(x, 1);
  std::vector<Partial> out;
  if (const auto* c = y.as<FloatImmNode>(); c != nullptr && c->value == 2) {
    out.push_back({x, Kind::kTimes, x + x});
  } else {
    // x ** 0 is 1 everywhere, also at 0 where x ** -1 is infinite.
    const Expr slope = y * call(n.dtype, "pow", {x, y - one});
    out.push_back({x, Kind::kTimes, select(eq(y, zero_value), zero_value, slope)});
  }
  // The limit at x = 0 for positive y.
  const Expr slope = result * call(n.dtype, "log", {x});
  out.push_back({y, Kind::kTimes, select(eq(x, zero_value), zero_value, slope)});
  return out;
}

std::vector<Partial> partials_of_call(const CallNode& n, const Expr& y) {
  if (!n.dtype.is_float() || n.args.empty()) return {};
  const Expr& x = n.args[0];
  const auto f = [&](const char* name) { return call(n.dtype, name, {x}); };
  const auto scaled_by = [&](const Expr& factor) {
    return std::vector<Partial>{{x, Kind::kTimes, factor}};
  };
  const Expr one = constant(x, 1);
  if (n.name == "exp") return scaled_by(y);
  if (n.name == "log") return {{x, Kind::kOver, x}};
  if (n.name == "tanh") return scaled_by(one - y * y);
  if (n.name == "sigmoid") return scaled_by(y * (one - y));
  if (n.name == "sin") return scaled_by(f("cos"));
  if (n.name == "cos") return scaled_by(-f("sin"));
  if (n.name == "rsqrt") return scaled_by(y * y * y * constant(x, -0.5));
  if (n.name == "softplus") return scaled_by(f("sigmoid"));
  if (n.name == "erf") {
    return scaled_by(call(n.dtype, "exp", {-(x * x)}) * constant(x, 2 * std::numbers::inv_sqrtpi));
  }
  if (n.name == "gelu") return scaled_by(gelu_derivative(x));
  if (n.name == "gelu_tanh") return scaled_by(gelu_tanh_derivative(x));
  if (n.name == "pow") return partials_of_pow(n, y);
  detail::raise<GradientError>("E0161",
                               detail::concat("the function '", n.name, "' has no derivative",
                                              n.span ? "\n  at: " + n.span.str() : std::string()));
}

std::vector<Partial> partials_of_unary(const UnaryNode& n, const Expr& y) {
  const Expr& x = n.a;
  switch (n.op) {
    case UnaryOp::kNeg:
      return {{x, Kind::kNegate}};
    case UnaryOp::kAbs: {
      const Expr nothing = constant(x, 0);
      const Expr sign =
          select(gt(x, nothing), constant(x, 1), select(lt(x, nothing), constant(x, -1), nothing));
      return {{x, Kind::kTimes, sign}};
    }
    case UnaryOp::kSqrt:
      return {{x, Kind::kTimes, constant(x, 0.5) / y}};
    case UnaryOp::kNot:
    case UnaryOp::kBitNot:
    case UnaryOp::kFloor:
    case UnaryOp::kCeil:
    case UnaryOp::kTrunc:
    case UnaryOp::kRound:
      return {};
  }
  TENON_CHECK(false, "unary operation ", static_cast<int>(n.op));
  return {};
}

std::vector<Partial> partials_of_binary(const BinaryNode& n, const Expr& y) {
  const Expr& a = n.a;
  const Expr& b = n.b;
  switch (n.op) {
    case BinaryOp::kAdd:
      return {{a, Kind::kSame}, {b, Kind::kSame}};
    case BinaryOp::kSub:
      return {{a, Kind::kSame}, {b, Kind::kNegate}};
    case BinaryOp::kMul:
      return {{a, Kind::kTimes, b}, {b, Kind::kTimes, a}};
    case BinaryOp::kDiv:
      return {{a, Kind::kOver, b}, {b, Kind::kTimes, -(y / b)}};
    case BinaryOp::kMin:
      return {{a, Kind::kWhenTrue, le(a, b)}, {b, Kind::kWhenFalse, le(a, b)}};
    case BinaryOp::kMax:
      return {{a, Kind::kWhenTrue, ge(a, b)}, {b, Kind::kWhenFalse, ge(a, b)}};
    case BinaryOp::kFloorDiv:
    case BinaryOp::kFloorMod:
    case BinaryOp::kBitAnd:
    case BinaryOp::kBitOr:
    case BinaryOp::kBitXor:
    case BinaryOp::kShl:
    case BinaryOp::kShr:
    case BinaryOp::kEq:
    case BinaryOp::kNe:
    case BinaryOp::kLt:
    case BinaryOp::kLe:
    case BinaryOp::kGt:
    case BinaryOp::kGe:
    case BinaryOp::kAnd:
    case BinaryOp::kOr:
      return {};
  }
  TENON_CHECK(false, "binary operation ", static_cast<int>(n.op));
  return {};
}

}  // namespace

std::vector<Partial> partials(const Expr& operation, const Expr& result) {
  if (!operation->dtype.is_float()) return {};
  using Partials = std::vector<Partial>;
  return visit_expr(
      *operation,
      Overloaded{
          [&](const UnaryNode& n) { return partials_of_unary(n, result); },
          [&](const BinaryNode& n) { return partials_of_binary(n, result); },
          [&](const CallNode& n) { return partials_of_call(n, result); },
          [](const SelectNode& n) {
            return Partials{{n.true_value, Kind::kWhenTrue, n.condition},
                            {n.false_value, Kind::kWhenFalse, n.condition}};
          },
          [](const CastNode& n) {
            return n.value->dtype.is_float() ? Partials{{n.value, Kind::kCast}} : Partials{};
          },
          [](const FmaNode& n) {
            return Partials{{n.a, Kind::kTimes, n.b}, {n.b, Kind::kTimes, n.a}, {n.c, Kind::kSame}};
          },
          [](const ExprNode&) { return Partials{}; },
      });
}

bool is_zero(const Expr& e) {
  const auto* c = e.as<FloatImmNode>();
  return c != nullptr && c->value == 0.0 && !std::signbit(c->value);
}

Expr times(const Expr& a, const Expr& b) { return is_one(a) ? b : is_one(b) ? a : a * b; }

Expr add_terms(const Expr& a, const Expr& b) { return !a ? b : !b ? a : a + b; }

namespace {

/// Where an expression is evaluated that selects mask; null for everywhere.
Expr mask_of(const Expr& e) {
  const auto* s = e.as<SelectNode>();
  if (s == nullptr || is_zero(s->true_value) == is_zero(s->false_value)) return nullptr;
  const bool when_true = is_zero(s->false_value);
  const Expr inner = mask_of(when_true ? s->true_value : s->false_value);
  const Expr condition = when_true ? s->condition : logical_not(s->condition);
  return inner ? logical_and(condition, inner) : condition;
}

/// Both masked by the same condition alone: the masked values.
bool share_mask(const Expr& a, const Expr& b) {
  const auto* s = a.as<SelectNode>();
  const auto* t = b.as<SelectNode>();
  return s != nullptr && t != nullptr && is_zero(s->false_value) && is_zero(t->false_value) &&
         structural_equal(s->condition, t->condition);
}

}  // namespace

Expr add_masked(const Expr& a, const Expr& b) {
  if (!a || !b) return a ? a : b;
  if (share_mask(a, b)) {
    const auto& s = *a.as<SelectNode>();
    return select(s.condition, add_masked(s.true_value, b.as<SelectNode>()->true_value),
                  s.false_value);
  }
  const Expr in_a = mask_of(a), in_b = mask_of(b);
  if (!in_a || !in_b) return a + b;
  return select(logical_or(in_a, in_b), a + b, zero(a->dtype));
}

namespace {

Expr apply(const Partial& partial, const Expr& g, DType dtype) {
  // What a select masks stays masked: nothing is multiplied with its zero.
  if (const auto* s = g.as<SelectNode>(); s != nullptr && partial.kind != Kind::kSame) {
    const auto inner = [&](const Expr& e) {
      return is_zero(e) ? zero(partial.kind == Kind::kCast ? dtype : e->dtype)
                        : apply(partial, e, dtype);
    };
    if (is_zero(s->true_value) || is_zero(s->false_value))
      return select(s->condition, inner(s->true_value), inner(s->false_value));
  }
  switch (partial.kind) {
    case Kind::kSame:
      return g;
    case Kind::kNegate:
      return -g;
    case Kind::kTimes:
      return times(g, partial.value);
    case Kind::kOver:
      return g / partial.value;
    case Kind::kWhenTrue:
      return select(partial.value, g, zero(g->dtype));
    case Kind::kWhenFalse:
      return select(partial.value, zero(g->dtype), g);
    case Kind::kCast:
      return cast(dtype, g);
  }
  TENON_CHECK(false, "partial ", static_cast<int>(partial.kind));
  return nullptr;
}

}  // namespace

Expr pull_back(const Partial& partial, const Expr& cotangent) {
  const DType dtype = partial.operand->dtype;
  return apply(partial, cotangent, dtype.bits == 16 ? kFloat32 : dtype);
}

Expr push_forward(const Partial& partial, const Expr& tangent, DType dtype) {
  return apply(partial, tangent, dtype);
}

}  // namespace tenon::autodiff
