// Activations: one function of an element, with constants.

#include <limits>

#include "graph/onnx/tools.h"
#include "tenon/ir/builder.h"
#include "tenon/te/expr.h"

namespace tenon::onnx {
namespace {

constexpr Support kNative = Support::kNative;

/// One expression of the elements of the only operand.
std::vector<Value> of_element(const NodeView& n, const char* name,
                              const std::function<Expr(const Expr&)>& f) {
  const DType t = n.in(0)->dtype;
  const bool takes_integers = n.node().op_type == "Shrink";
  if (!t.is_float() && !(takes_integers && t.is_int()))
    n.invalid("expected floats, got " + to_string(t));
  return {pointwise(name, {n.in(0)}, [&](const std::vector<Expr>& x) { return f(x[0]); })};
}

/// An attribute as a constant of the dtype of `x`.
Expr constant(const NodeView& n, const Expr& x, const char* attr, double otherwise) {
  return const_like(x->dtype, n.float_attr(attr, otherwise));
}

Expr number(const Expr& x, double value) { return const_like(x->dtype, value); }
Expr is_negative(const Expr& x) { return lt(x, zero(x->dtype)); }

/// exp(x) - 1 for x <= 0 without cancellation: 2 t / (1 - t), t = tanh(x / 2).
Expr exp_minus_1(const Expr& x) {
  const Expr t = te::math("tanh", {x * number(x, 0.5)});
  return number(x, 2) * t / (number(x, 1) - t);
}

Expr limited(const Expr& x, double low, double high) {
  return max(number(x, low), min(number(x, high), x));
}

#define TENON_FUNCTION(function, name) \
  std::vector<Value> function(const NodeView& n) { return {op(name, {n.in(0)})}; }
TENON_FUNCTION(convert_relu, "relu")
TENON_FUNCTION(convert_sigmoid, "sigmoid")
TENON_FUNCTION(convert_softplus, "softplus")
#undef TENON_FUNCTION

std::vector<Value> convert_leaky_relu(const NodeView& n) {
  return of_element(n, "leaky_relu", [&](const Expr& x) {
    return select(is_negative(x), x * constant(n, x, "alpha", 0.01), x);
  });
}

std::vector<Value> convert_elu(const NodeView& n) {
  return of_element(n, "elu", [&](const Expr& x) {
    return select(is_negative(x), constant(n, x, "alpha", 1) * exp_minus_1(x), x);
  });
}

std::vector<Value> convert_selu(const NodeView& n) {
  // The defaults of opset 1 differ in the last digits.
  const double alpha = n.version() < 6 ? 1.6732 : 1.67326319217681884765625;
  const double gamma = n.version() < 6 ? 1.0507 : 1.05070102214813232421875;
  return of_element(n, "selu", [&](const Expr& x) {
    return constant(n, x, "gamma", gamma) *
           select(is_negative(x), constant(n, x, "alpha", alpha) * exp_minus_1(x), x);
  });
}

std::vector<Value> convert_celu(const NodeView& n) {
  if (n.float_attr("alpha", 1) == 0) n.invalid("'alpha' should not be 0");
  const bool is_usual = n.float_attr("alpha", 1) > 0;
  return of_element(n, "celu", [&](const Expr& x) {
    const Expr alpha = constant(n, x, "alpha", 1);
    if (is_usual) return select(is_negative(x), alpha * exp_minus_1(x / alpha), x);
    const Expr power = te::math("exp", {x / alpha}) - number(x, 1);
    return max(x, number(x, 0)) + min(number(x, 0), alpha * power);
  });
}

std::vector<Value> convert_gelu(const NodeView& n) {
  const std::string kind = n.string_attr("approximate", "none");
  if (kind != "none" && kind != "tanh")
    n.invalid("'approximate' should be none or tanh, got '" + kind + "'");
  return {op(kind == "tanh" ? "gelu_tanh" : "gelu", {n.in(0)})};
}

std::vector<Value> convert_mish(const NodeView& n) {
  return of_element(
      n, "mish", [](const Expr& x) { return x * te::math("tanh", {te::math("softplus", {x})}); });
}

std::vector<Value> convert_swish(const NodeView& n) {
  return of_element(n, "swish", [&](const Expr& x) {
    return x * te::math("sigmoid", {x * constant(n, x, "alpha", 1)});
  });
}

std::vector<Value> convert_hard_sigmoid(const NodeView& n) {
  return of_element(n, "hard_sigmoid", [&](const Expr& x) {
    return limited(x * constant(n, x, "alpha", 0.2) + constant(n, x, "beta", 0.5), 0, 1);
  });
}

std::vector<Value> convert_hard_swish(const NodeView& n) {
  return of_element(n, "hard_swish", [](const Expr& x) {
    return x * limited(x * number(x, 1.0 / 6) + number(x, 0.5), 0, 1);
  });
}

std::vector<Value> convert_softsign(const NodeView& n) {
  return of_element(n, "softsign",
                    [](const Expr& x) { return x / (number(x, 1) + unary(UnaryOp::kAbs, x)); });
}

std::vector<Value> convert_thresholded_relu(const NodeView& n) {
  return of_element(n, "thresholded_relu", [&](const Expr& x) {
    return select(gt(x, constant(n, x, "alpha", 1)), x, number(x, 0));
  });
}

std::vector<Value> convert_shrink(const NodeView& n) {
  const DType t = n.in(0)->dtype;
  const DType wide = t.is_int() ? kFloat64 : t;  // limits may have fractions
  return of_element(n, "shrink", [&](const Expr& e) {
    const Expr x = cast(wide, e);
    const Expr limit = constant(n, x, "lambd", 0.5), bias = constant(n, x, "bias", 0);
    return cast(t, select(lt(x, -limit), x + bias, select(gt(x, limit), x - bias, number(x, 0))));
  });
}

/// The slope is repeated to the shape of the input; before opset 7 a vector holds one for each
/// channel.
std::vector<Value> convert_prelu(const NodeView& n) {
  const Value& x = n.in(0);
  Value slope = n.in(1);
  if (slope->dtype != x->dtype || x->dtype.is_bool())
    n.invalid("expected numbers of one dtype, got " + to_string(x->dtype) + " and " +
              to_string(slope->dtype));
  if (n.version() < 7 && slope->shape.size() == 1 && x->shape.size() > 2 &&
      !is_int(slope->shape[0], 1)) {
    std::vector<Expr> shape(x->shape.size() - 1, imm(1));
    shape[0] = slope->shape[0];
    slope = reshape(slope, shape);
  }
  return {pointwise("prelu", {x, broadcast(slope, x->shape)}, [](const std::vector<Expr>& e) {
    const bool has_sign = e[0]->dtype.is_float() || e[0]->dtype.is_signed_int();
    return has_sign ? select(is_negative(e[0]), e[0] * e[1], e[0]) : e[0];
  })};
}

std::vector<Value> convert_clip(const NodeView& n) {
  Value x = n.in(0);
  if (n.version() < 11) {
    if (n.has_attr("min")) x = op("maximum", {x, scalar(x->dtype, n.float_attr("min", 0))});
    if (n.has_attr("max")) x = op("minimum", {x, scalar(x->dtype, n.float_attr("max", 0))});
    return {x};
  }
  const std::vector<Expr> shape = x->shape;
  for (std::size_t i = 1; i <= 2; ++i) {
    if (!n.has(i)) continue;
    if (!is_int(product(n.in(i)->shape, 0, n.rank(i)), 1))
      n.invalid(detail::concat("input ", i, " should be a scalar"));
    x = op(i == 1 ? "maximum" : "minimum", {x, reshape(n.in(i), {})});
  }
  return {x};
}

}  // namespace

std::vector<Conversion> activation_conversions() {
  return {
      {"Celu", 12, kNative, convert_celu},
      {"Clip", 1, kNative, convert_clip},
      {"Elu", 1, kNative, convert_elu},
      {"Gelu", 20, kNative, convert_gelu},
      {"HardSigmoid", 1, kNative, convert_hard_sigmoid},
      {"HardSwish", 14, kNative, convert_hard_swish},
      {"LeakyRelu", 1, kNative, convert_leaky_relu},
      {"Mish", 18, kNative, convert_mish},
      {"PRelu", 1, kNative, convert_prelu},
      {"Relu", 1, kNative, convert_relu},
      {"Selu", 1, kNative, convert_selu},
      {"Shrink", 9, kNative, convert_shrink},
      {"Sigmoid", 1, kNative, convert_sigmoid},
      {"Softplus", 1, kNative, convert_softplus},
      {"Softsign", 1, kNative, convert_softsign},
      {"Swish", 24, kNative, convert_swish},
      {"ThresholdedRelu", 10, kNative, convert_thresholded_relu},
  };
}

}  // namespace tenon::onnx
