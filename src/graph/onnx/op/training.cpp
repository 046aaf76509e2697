// Steps of optimisers (ai.onnx.preview.training): each result is one expression.

#include "graph/onnx/tools.h"
#include "tenon/ir/builder.h"
#include "tenon/te/expr.h"

namespace tenon::onnx {
namespace {

constexpr Support kNative = Support::kNative;
constexpr char kDomain[] = "ai.onnx.preview.training";

/// What one tensor's step sees: the learning rate and the number of steps before, then an element
/// of the tensor, its gradient, and its state.
using Elements = std::vector<Expr>;
using Step = std::vector<std::function<Expr(const Elements&)>>;

/// Operands are rate, count, then the tensors, gradients and each kind of state; results are the
/// tensors and the states after the step.
std::vector<Value> stepped(const NodeView& n, std::size_t num_states, const Step& step) {
  const std::size_t kinds = 2 + num_states;
  if (n.num_inputs() < 2 + kinds || (n.num_inputs() - 2) % kinds != 0)
    n.invalid(detail::concat("expected rate, count and ", kinds, " operands for each tensor"));
  const std::size_t num = (n.num_inputs() - 2) / kinds;
  std::vector<Value> results;
  for (const auto& f : step) {
    for (std::size_t i = 0; i < num; ++i) {
      const Value& x = n.in(2 + i);
      std::vector<Value> operands{cast_to(reshape(n.in(0), {}), x->dtype), reshape(n.in(1), {})};
      for (std::size_t k = 0; k < kinds; ++k) {
        operands.push_back(n.in(2 + k * num + i));
        if (!graph::same_shape(operands.back()->shape, x->shape) ||
            operands.back()->dtype != x->dtype)
          n.invalid("a tensor, its gradient and its state differ in shape or dtype");
      }
      if (!x->dtype.is_float()) n.invalid("expected floats");
      results.push_back(pointwise("step", operands, f));
    }
  }
  return results;
}

Expr number(const Expr& like, double value) { return const_like(like->dtype, value); }

/// The gradient with that of the norm of the tensor.
std::function<Expr(const Elements&)> regularised(const NodeView& n) {
  const double coefficient = n.float_attr("norm_coefficient", 0);
  return [coefficient](const Elements& e) { return e[2] * number(e[2], coefficient) + e[3]; };
}

std::vector<Value> convert_adagrad(const NodeView& n) {
  const auto gradient = regularised(n);
  const double decay = n.float_attr("decay_factor", 0), epsilon = n.float_attr("epsilon", 1e-6);
  const auto squares = [=](const Elements& e) {
    const Expr g = gradient(e);
    return e[4] + g * g;
  };
  const auto next = [=](const Elements& e) {
    const Expr rate = e[0] / (number(e[2], 1) + cast(e[2]->dtype, e[1]) * number(e[2], decay));
    return e[2] - rate * gradient(e) / (unary(UnaryOp::kSqrt, squares(e)) + number(e[2], epsilon));
  };
  return stepped(n, 1, {next, squares});
}

std::vector<Value> convert_adam(const NodeView& n) {
  const auto gradient = regularised(n);
  const double alpha = n.float_attr("alpha", 0.9), beta = n.float_attr("beta", 0.999);
  const double epsilon = n.float_attr("epsilon", 1e-6);
  const double after = n.float_attr("norm_coefficient_post", 0);
  const auto mean = [=](const Elements& e) {
    return number(e[2], alpha) * e[4] + number(e[2], 1 - alpha) * gradient(e);
  };
  const auto squares = [=](const Elements& e) {
    const Expr g = gradient(e);
    return number(e[2], beta) * e[5] + number(e[2], 1 - beta) * (g * g);
  };
  const auto next = [=](const Elements& e) {
    // The means begin at zero: they are corrected for that after the first step.
    const Expr count = cast(kFloat64, e[1]);
    const auto missing = [&](double factor) {
      return float_imm(kFloat64, 1) - te::math("pow", {float_imm(kFloat64, factor), count});
    };
    const Expr correction =
        cast(e[2]->dtype, unary(UnaryOp::kSqrt, missing(beta)) / missing(alpha));
    const Expr rate = select(gt(e[1], zero(e[1]->dtype)), e[0] * correction, e[0]);
    const Expr step = mean(e) / (unary(UnaryOp::kSqrt, squares(e)) + number(e[2], epsilon));
    return number(e[2], 1 - after) * (e[2] - rate * step);
  };
  return stepped(n, 2, {next, mean, squares});
}

std::vector<Value> convert_momentum(const NodeView& n) {
  const auto gradient = regularised(n);
  const double alpha = n.float_attr("alpha", 0), beta = n.float_attr("beta", 1);
  const std::string mode = n.string_attr("mode", "");
  if (mode != "standard" && mode != "nesterov")
    n.invalid("'mode' should be standard or nesterov, got '" + mode + "'");
  const auto momentum = [=](const Elements& e) {
    const Expr factor = select(gt(e[1], zero(e[1]->dtype)), number(e[2], beta), number(e[2], 1));
    return number(e[2], alpha) * e[4] + factor * gradient(e);
  };
  const bool is_nesterov = mode == "nesterov";
  const auto next = [=](const Elements& e) {
    const Expr v = momentum(e);
    return e[2] - e[0] * (is_nesterov ? gradient(e) + number(e[2], alpha) * v : v);
  };
  return stepped(n, 1, {next, momentum});
}

}  // namespace

std::vector<Conversion> training_conversions() {
  return {
      {"Adagrad", 1, kNative, convert_adagrad, kDomain},
      {"Adam", 1, kNative, convert_adam, kDomain},
      {"Momentum", 1, kNative, convert_momentum, kDomain},
  };
}

}  // namespace tenon::onnx
