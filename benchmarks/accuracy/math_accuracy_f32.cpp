/// Measures the float32 functions of src/ir/math against the C library's float64 ones.
///
///   math_accuracy_f32 [--stride N] [--pairs N] [function...]
///
/// Every Nth of the 2^32 inputs (64 unless told; 1 is exhaustive), pow on N seeded pairs (10^8) and
/// on all pairs of special values. Prints a table; exits with 1 when a bound is broken.

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

using F = math::NativeFloat<32>;

double reference_gelu(double x) {
  return std::isinf(x) ? std::fmax(x, -0.0) : x * 0.5 * std::erfc(-x * M_SQRT1_2);
}
double reference_gelu_tanh(double x) {
  if (std::isinf(x)) return std::fmax(x, -0.0);
  return x / (1 + std::exp(-2 * std::sqrt(2 / M_PI) * x * (1 + 0.044715 * x * x)));
}
double reference_softplus(double x) {
  return std::fmax(x, 0.0) + std::log1p(std::exp(-std::fabs(x))) +
         (x - x != 0 ? 0 * std::isnan(x) : 0);
}

struct Function {
  const char* name;
  F (*ours)(const F&);
  double (*reference)(double);
  double bound;
};

const Function kFunctions[] = {
    {"exp", math::exp<F>, std::exp, 1},
    {"log", math::log<F>, std::log, 1},
    {"tanh", math::tanh<F>, std::tanh, 1},
    {"erf", math::erf<F>, std::erf, 1},
    {"sin", math::sin<F>, std::sin, 1},
    {"cos", math::cos<F>, std::cos, 1},
    {"sqrt", [](const F& x) { return sqrt(x); }, std::sqrt, 0.5},
    {"rsqrt", math::rsqrt<F>, [](double x) { return 1 / std::sqrt(x); }, 1},
    {"sigmoid", math::sigmoid<F>, [](double x) { return 1 / (1 + std::exp(-x)); }, 2.5},
    {"softplus", math::softplus<F>, reference_softplus, 2.5},
    {"gelu", math::gelu<F>, reference_gelu, 2.5},
    {"gelu_tanh", math::gelu_tanh<F>, reference_gelu_tanh, 2.5},
};

bool report(const char* name, const Worst<float>& worst, double bound) {
  const bool good = worst.error <= bound;
  std::printf("%-10s %8.4f  (bound %.1f)  at %a", name, worst.error, bound, worst.x);
  if (worst.y != 0) std::printf(", %a", worst.y);
  std::printf("%s\n", good ? "" : "   BROKEN");
  std::fflush(stdout);
  return good;
}

/// The same sign where the reference is a zero.
bool zero_sign_differs(float got, double exact) {
  return exact == 0 && got == 0 && std::signbit(got) != std::signbit(exact);
}

bool measure(const Function& f, std::uint64_t stride) {
  Worst<float> worst;
  for (std::uint64_t pattern = 0; pattern < (std::uint64_t{1} << 32); pattern += stride) {
    const float x = from_bits<float>(static_cast<std::uint32_t>(pattern));
    const double exact = f.reference(x);
    const float got = f.ours(F(x)).v;
    if (got == exact && (got != 0)) continue;
    worst.add(zero_sign_differs(got, exact) ? 1e300 : error_in_ulp<float>(got, exact), x);
  }
  for (const float x : {0.0f, -0.0f, 1.0f, -1.0f, INFINITY, -INFINITY, NAN, -NAN, 1e-45f, -1e-45f,
                        0x1p-126f, 3.4028235e38f, -3.4028235e38f}) {
    const double exact = f.reference(x);
    const float got = f.ours(F(x)).v;
    worst.add(zero_sign_differs(got, exact) ? 1e300 : error_in_ulp<float>(got, exact), x);
  }
  return report(f.name, worst, f.bound);
}

void measure_pow(float x, float y, Worst<float>* worst) {
  const double exact = std::pow(static_cast<double>(x), static_cast<double>(y));
  const float got = math::pow(F(x), F(y)).v;
  const bool exact_zero = x == 0 || std::isinf(x) || std::isinf(y);
  worst->add(exact_zero && zero_sign_differs(got, exact) ? 1e300 : error_in_ulp<float>(got, exact),
             x, y);
}

bool measure_pow(std::uint64_t pairs) {
  Worst<float> worst;
  const std::vector<float> special = {0.0f,
                                      1e-45f,
                                      0x1.fffffcp-127f,
                                      0x1p-126f,
                                      0.25f,
                                      0x1.fffffep-2f,
                                      0.5f,
                                      0x1.fffffep-1f,
                                      1.0f,
                                      0x1.000002p0f,
                                      1.5f,
                                      2.0f,
                                      2.5f,
                                      3.0f,
                                      4.0f,
                                      127.0f,
                                      128.0f,
                                      150.0f,
                                      0x1.fffffep22f,
                                      0x1.000002p23f,
                                      0x1.fffffep23f,
                                      0x1p24f,
                                      0x1p25f,
                                      0x1.fffffep126f,
                                      0x1.fffffep127f,
                                      INFINITY,
                                      NAN};
  for (const float x : special) {
    for (const float y : special) {
      for (int signs = 0; signs < 4; ++signs)
        measure_pow(signs & 1 ? -x : x, signs & 2 ? -y : y, &worst);
    }
  }
  Random random(1);
  for (std::uint64_t i = 0; i < pairs; ++i) {
    const std::uint64_t r = random.next();
    float x = from_bits<float>(static_cast<std::uint32_t>(r));
    float y = from_bits<float>(static_cast<std::uint32_t>(r >> 32));
    if (i % 4 != 0) {  // results inside the range, where errors show
      x = from_bits<float>(static_cast<std::uint32_t>(r) & 0x7fffffffu);
      if (i % 4 == 1) x = static_cast<float>(std::exp2(random.unit() * 4 - 2));
      if (i % 4 == 2)
        x = static_cast<float>(1 + (random.unit() - 0.5) * std::exp2(-20 * random.unit()));
      const double target = random.unit() * 280 - 151;
      y = static_cast<float>(target / std::log2(static_cast<double>(x)));
    }
    measure_pow(x, y, &worst);
  }
  return report("pow", worst, 2.5);
}

int run(int count, char** arguments) {
  std::uint64_t stride = 64, pairs = 100000000;
  std::vector<std::string> wanted;
  for (int i = 1; i < count; ++i) {
    const std::string argument = arguments[i];
    if (argument == "--stride" && i + 1 < count) {
      stride = std::strtoull(arguments[++i], nullptr, 10);
    } else if (argument == "--pairs" && i + 1 < count) {
      pairs = std::strtoull(arguments[++i], nullptr, 10);
    } else {
      wanted.push_back(argument);
    }
  }
  const auto is_wanted = [&](const std::string& name) {
    return wanted.empty() || std::find(wanted.begin(), wanted.end(), name) != wanted.end();
  };
  bool good = true;
  for (const Function& f : kFunctions) {
    if (is_wanted(f.name)) good &= measure(f, stride);
  }
  if (is_wanted("pow")) good &= measure_pow(pairs);
  return good ? 0 : 1;
}

}  // namespace
}  // namespace tenon::accuracy

int main(int count, char** arguments) { return tenon::accuracy::run(count, arguments); }
