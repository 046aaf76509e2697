// Trigonometric and hyperbolic functions, their inverses, and the error function.
//
// What is no function of the compiler's is composed in float64 for every float dtype: narrower
// results are then within a rounding of the exact one, float64 ones within 6 units in the last
// place (measured against 60 digits over their domains: tests/python/test_onnx_trigonometry.py).

#include <limits>
#include <numbers>

#include "graph/onnx/tools.h"
#include "tenon/ir/builder.h"
#include "tenon/te/expr.h"

namespace tenon::onnx {
namespace {

constexpr Support kNative = Support::kNative;

Expr number(double value) { return float_imm(kFloat64, value); }
Expr magnitude(const Expr& x) { return unary(UnaryOp::kAbs, x); }
Expr root(const Expr& x) { return unary(UnaryOp::kSqrt, x); }
Expr log_of(const Expr& x) { return te::math("log", {x}); }

/// f(|x|) with the sign of x; x itself below `limit`, where zeros keep theirs.
Expr odd(const Expr& x, const Expr& of_magnitude) {
  return select(lt(x, number(0)), -of_magnitude,
                select(gt(x, number(0)), of_magnitude, x));  // zeros and NaN
}

/// P(u) from the highest coefficient on.
Expr polynomial(const Expr& u, const std::vector<double>& coefficients) {
  Expr value = number(coefficients.back());
  for (std::size_t i = coefficients.size() - 1; i-- > 0;)
    value = fma(value, u, number(coefficients[i]));
  return value;
}

/// Reduced to |z| <= tan(pi / 8) by the angles 0, pi / 4 and pi / 2 (in two parts); there
/// z + z^3 P(z^2), a minimax fit with a relative error of 2^-60.
Expr atan_of(const Expr& x) {
  static const std::vector<double> coefficients = {
      -0.33333333333333331483,  0.19999999999998796518,   -0.14285714285505053667,
      0.11111111094437010177,   -0.090909083423076395,    0.076922867472423550605,
      -0.066662799978323958316, 0.058774981370851270,     -0.052212307130561658175,
      0.045142206819670689655,  -0.033706586983164074645, 0.015416617581583892671};
  const Expr a = magnitude(x);
  const Expr is_large = gt(a, number(2.41421356237309515)),
             is_middle = gt(a, number(0.4142135623730950));
  const Expr z =
      select(is_large, number(-1) / a, select(is_middle, (a - number(1)) / (a + number(1)), a));
  const auto choice = [&](double large, double middle) {
    return select(is_large, number(large), select(is_middle, number(middle), number(0)));
  };
  const Expr high = choice(std::numbers::pi / 2, std::numbers::pi / 4);
  const Expr low = choice(6.123233995736766e-17, 3.061616997868383e-17);
  const Expr u = z * z;
  return odd(x, high + (fma(z * u, polynomial(u, coefficients), z) + low));
}

Expr asin_of(const Expr& x) { return atan_of(x / root((number(1) - x) * (number(1) + x))); }

Expr acos_of(const Expr& x) { return number(2) * atan_of(root((number(1) - x) / (number(1) + x))); }

/// log(1 + x): the rounding of 1 + x is undone by the quotient (W. Kahan).
Expr log_of_1_plus(const Expr& x) {
  const Expr u = number(1) + x;
  const Expr is_plain =
      logical_or(eq(u, number(1)), eq(u, number(std::numeric_limits<double>::infinity())));
  return select(is_plain, x, log_of(u) * (x / (u - number(1))));
}

constexpr double kLarge = 1e8;  ///< x^2 + 1 is x^2 beyond

Expr asinh_of(const Expr& x) {
  const Expr a = magnitude(x), square = a * a;
  const Expr small = log_of_1_plus(a + square / (number(1) + root(number(1) + square)));
  return odd(x, select(gt(a, number(kLarge)), log_of(a) + number(std::numbers::ln2), small));
}

Expr acosh_of(const Expr& x) {
  const Expr t = x - number(1);
  const Expr small = log_of_1_plus(t + root(t * (t + number(2))));
  const Expr value = select(gt(x, number(kLarge)), log_of(x) + number(std::numbers::ln2), small);
  return select(lt(x, number(1)), number(std::numeric_limits<double>::quiet_NaN()), value);
}

Expr atanh_of(const Expr& x) {
  const Expr a = magnitude(x);
  return odd(x, number(0.5) * log_of_1_plus(number(2) * a / (number(1) - a)));
}

/// exp(|x| / 2): its square overflows where the result does.
Expr half_exponential(const Expr& x) { return te::math("exp", {magnitude(x) * number(0.5)}); }

/// Below 1 the series, whose terms after x^19 / 19! do not count.
Expr sinh_of(const Expr& x) {
  const Expr a = magnitude(x), u = a * a;
  std::vector<double> series = {1};
  for (int k = 3; k <= 19; k += 2) series.push_back(series.back() / (k * (k - 1)));
  series.erase(series.begin());
  const Expr small = fma(a * u, polynomial(u, series), a);
  const Expr e = half_exponential(x);
  const Expr large = number(0.5) * e * e - number(0.5) / (e * e);
  return odd(x, select(lt(a, number(1)), small, large));
}

Expr cosh_of(const Expr& x) {
  const Expr e = half_exponential(x);
  return number(0.5) * e * e + number(0.5) / (e * e);
}

Expr tan_of(const Expr& x) { return te::math("sin", {x}) / te::math("cos", {x}); }

template <Expr (*f)(const Expr&)>
std::vector<Value> in_float64(const NodeView& n) {
  const Value& x = n.in(0);
  if (!x->dtype.is_float()) n.invalid("expected floats, got " + to_string(x->dtype));
  return {pointwise("function", {x}, [&](const std::vector<Expr>& e) {
    return cast(x->dtype, f(cast(kFloat64, e[0])));
  })};
}

#define TENON_FUNCTION(function, name) \
  std::vector<Value> function(const NodeView& n) { return {op(name, {n.in(0)})}; }
TENON_FUNCTION(convert_cos, "cos")
TENON_FUNCTION(convert_erf, "erf")
TENON_FUNCTION(convert_sin, "sin")
TENON_FUNCTION(convert_tanh, "tanh")
#undef TENON_FUNCTION

}  // namespace

std::vector<Conversion> trigonometry_conversions() {
  return {
      {"Acos", 7, kNative, in_float64<acos_of>}, {"Acosh", 9, kNative, in_float64<acosh_of>},
      {"Asin", 7, kNative, in_float64<asin_of>}, {"Asinh", 9, kNative, in_float64<asinh_of>},
      {"Atan", 7, kNative, in_float64<atan_of>}, {"Atanh", 9, kNative, in_float64<atanh_of>},
      {"Cos", 7, kNative, convert_cos},          {"Cosh", 9, kNative, in_float64<cosh_of>},
      {"Erf", 9, kNative, convert_erf},          {"Sin", 7, kNative, convert_sin},
      {"Sinh", 9, kNative, in_float64<sinh_of>}, {"Tan", 7, kNative, in_float64<tan_of>},
      {"Tanh", 1, kNative, convert_tanh},
  };
}

}  // namespace tenon::onnx
