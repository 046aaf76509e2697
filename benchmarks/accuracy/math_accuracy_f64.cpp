/// Measures the float64 functions of src/ir/math against MPFR.
///
///   math_accuracy_f64 [--samples N] [function...]
///
/// N seeded samples per function (10^7 unless told), half of them random bit patterns, and all
/// special values. Prints a table; exits with 1 when a bound is broken.

#include <mpfr.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "ir/math/logarithm.h"
#include "ir/math/native_value.h"
#include "ir/math/normal_tail.h"
#include "ir/math/power.h"
#include "ir/math/trigonometry.h"
#include "measure.h"

namespace tenon::accuracy {
namespace {

using F = math::NativeFloat<64>;

/// A number of 120 bits; exponents reach far beyond float64's.
class Big {
 public:
  explicit Big(double x = 0) {
    mpfr_init2(v_, 120);
    mpfr_set_d(v_, x, MPFR_RNDN);
  }
  Big(const Big& other) : Big() { mpfr_set(v_, other.v_, MPFR_RNDN); }
  Big& operator=(const Big&) = delete;
  ~Big() { mpfr_clear(v_); }
  long double value() const { return mpfr_get_ld(v_, MPFR_RNDN); }
  bool is_zero() const { return mpfr_zero_p(v_) != 0; }

  friend Big operator+(const Big& a, const Big& b) { return apply(mpfr_add, a, b); }
  friend Big operator*(const Big& a, const Big& b) { return apply(mpfr_mul, a, b); }
  friend Big operator/(const Big& a, const Big& b) { return apply(mpfr_div, a, b); }
  friend Big pow(const Big& a, const Big& b) { return apply(mpfr_pow, a, b); }
#define UNARY(name) \
  friend Big name(const Big& a) { return apply(mpfr_##name, a); }
  UNARY(exp)
  UNARY(log)
  UNARY(log1p)
  UNARY(tanh)
  UNARY(erf)
  UNARY(erfc)
  UNARY(sin)
  UNARY(cos)
  UNARY(sqrt)
#undef UNARY
  static Big pi() {
    Big out;
    mpfr_const_pi(out.v_, MPFR_RNDN);
    return out;
  }

 private:
  template <class Operation>
  static Big apply(Operation operation, const Big& a) {
    Big out;
    operation(out.v_, a.v_, MPFR_RNDN);
    return out;
  }
  template <class Operation>
  static Big apply(Operation operation, const Big& a, const Big& b) {
    Big out;
    operation(out.v_, a.v_, b.v_, MPFR_RNDN);
    return out;
  }
  mpfr_t v_;
};

Big reference_rsqrt(const Big& x) { return Big(1) / sqrt(x); }
Big reference_sigmoid(const Big& x) { return Big(1) / (Big(1) + exp(Big(-1) * x)); }
Big reference_softplus(const Big& x) { return x.value() > 1000 ? x : log1p(exp(x)); }
Big reference_gelu(const Big& x) {
  static const Big root = sqrt(Big(0.5));
  return x * Big(0.5) * erfc(Big(-1) * x * root);
}
Big reference_gelu_tanh(const Big& x) {
  static const Big factor = Big(-2) * sqrt(Big(2) / Big::pi());
  return x / (Big(1) + exp(factor * (x + Big(44715) / Big(1000000) * x * x * x)));
}

struct Function {
  const char* name;
  F (*ours)(const F&);
  Big (*reference)(const Big&);
  double low, high;  ///< where half of the samples lie
};

const Function kFunctions[] = {
    {"exp", math::exp<F>, [](const Big& x) { return exp(x); }, -750, 711},
    {"log", math::log<F>, [](const Big& x) { return log(x); }, 0, 4},
    {"tanh", math::tanh<F>, [](const Big& x) { return tanh(x); }, -20, 20},
    {"erf", math::erf<F>, [](const Big& x) { return erf(x); }, -6.5, 6.5},
    {"sin", math::sin<F>, [](const Big& x) { return sin(x); }, -100, 100},
    {"cos", math::cos<F>, [](const Big& x) { return cos(x); }, -100, 100},
    {"rsqrt", math::rsqrt<F>, reference_rsqrt, 0, 4},
    {"sigmoid", math::sigmoid<F>, reference_sigmoid, -750, 40},
    {"softplus", math::softplus<F>, reference_softplus, -750, 40},
    {"gelu", math::gelu<F>, reference_gelu, -39, 10},
    {"gelu_tanh", math::gelu_tanh<F>, reference_gelu_tanh, -22, 10},
};

bool report(const char* name, const Worst<double>& worst, double bound) {
  const bool good = worst.error <= bound;
  std::printf("%-10s %8.4f  (bound %.1f)  at %a", name, worst.error, bound, worst.x);
  if (worst.y != 0) std::printf(", %a", worst.y);
  std::printf("%s\n", good ? "" : "   BROKEN");
  std::fflush(stdout);
  return good;
}

double sample(const Function& f, std::uint64_t i, Random* random) {
  if (i % 2 == 0) return from_bits<double>(random->next());
  if (i % 4 == 1) return f.low + (f.high - f.low) * random->unit();
  const double magnitude = std::exp2(random->unit() * 14 - 10);
  return random->next() & 1 ? magnitude : -magnitude;
}

void measure_at(const Function& f, double x, Worst<double>* worst) {
  const double got = f.ours(F(x)).v;
  if (std::isinf(x)) return;  // limits are checked by expected values in the unit tests
  worst->add(error_in_ulp<double>(got, f.reference(Big(x)).value()), x);
}

bool measure(const Function& f, std::uint64_t samples) {
  Worst<double> worst;
  Random random(7);
  for (const double x : {0.0, 5e-324, 0x1p-1022, 0x1.fffffffffffffp-1023, 1e308, 1.0, 0.5, 2.0}) {
    measure_at(f, x, &worst);
    measure_at(f, -x, &worst);
  }
  for (std::uint64_t i = 0; i < samples; ++i) {
    const double x = sample(f, i, &random);
    if (std::isnan(x)) continue;
    measure_at(f, x, &worst);
  }
  return report(f.name, worst, 2);
}

bool measure_pow(std::uint64_t samples) {
  Worst<double> worst;
  Random random(9);
  for (std::uint64_t i = 0; i < samples; ++i) {
    double x = from_bits<double>(random.next() & 0x7fffffffffffffffu),
           y = from_bits<double>(random.next());
    if (i % 4 != 0) {
      if (i % 4 == 1) x = std::exp2(random.unit() * 4 - 2);
      if (i % 4 == 2) x = 1 + (random.unit() - 0.5) * std::exp2(-50 * random.unit());
      y = (random.unit() * 2105 - 1078) / std::log2(x);
    }
    if (std::isnan(x) || std::isnan(y) || std::isinf(x) || std::isinf(y) || x == 1) continue;
    worst.add(error_in_ulp<double>(math::pow(F(x), F(y)).v, pow(Big(x), Big(y)).value()), x, y);
  }
  return report("pow", worst, 3);
}

int run(int count, char** arguments) {
  std::uint64_t samples = 10000000;
  std::vector<std::string> wanted;
  for (int i = 1; i < count; ++i) {
    const std::string argument = arguments[i];
    if (argument == "--samples" && i + 1 < count) {
      samples = std::strtoull(arguments[++i], nullptr, 10);
    } else {
      wanted.push_back(argument);
    }
  }
  const auto is_wanted = [&](const std::string& name) {
    return wanted.empty() || std::find(wanted.begin(), wanted.end(), name) != wanted.end();
  };
  bool good = true;
  for (const Function& f : kFunctions) {
    if (is_wanted(f.name)) good &= measure(f, samples);
  }
  if (is_wanted("pow")) good &= measure_pow(samples);
  return good ? 0 : 1;
}

}  // namespace
}  // namespace tenon::accuracy

int main(int count, char** arguments) { return tenon::accuracy::run(count, arguments); }
