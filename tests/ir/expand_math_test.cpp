#include "ir/transform/expand_math.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <unordered_map>
#include <vector>

#include "ir/math/logarithm.h"
#include "ir/math/native_value.h"
#include "ir/math/normal_tail.h"
#include "ir/math/power.h"
#include "ir/math/trigonometry.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/print.h"
#include "tenon/ir/scalar_ops.h"
#include "tenon/ir/structural.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNotANumber = std::numeric_limits<float>::quiet_NaN();

/// A scalar: the float's value, or the integer as wrap_int gives it.
struct Value {
  double real = 0;
  std::int64_t integer = 0;
};

/// Evaluates scalar expressions by scalar_ops, each shared node once.
class Evaluator {
 public:
  explicit Evaluator(std::unordered_map<const ExprNode*, Value> variables)
      : values_(std::move(variables)) {}

  Value operator()(const Expr& e) {
    if (const auto found = values_.find(e.get()); found != values_.end()) return found->second;
    const Value v = visit_expr(*e, [&](const auto& n) { return evaluate(n); });
    values_[e.get()] = v;
    return v;
  }

 private:
  Value evaluate(const IntImmNode& n) { return {0, n.value}; }
  Value evaluate(const FloatImmNode& n) { return {n.value, 0}; }
  Value evaluate(const CastNode& n) {
    const Value v = (*this)(n.value);
    const DType from = n.value->dtype;
    if (n.dtype.is_float())
      return {from.is_float() ? round_to(n.dtype, v.real) : int_to_float(from, v.integer, n.dtype),
              0};
    return {0, wrap_int(n.dtype, v.integer)};
  }
  Value evaluate(const ReinterpretNode& n) {
    const Value v = (*this)(n.value);
    const bool from_float = n.value->dtype.is_float(), is_double = n.dtype.bits == 64;
    if (from_float && is_double) return {0, std::bit_cast<std::int64_t>(v.real)};
    if (from_float)
      return {0, wrap_int(n.dtype, std::bit_cast<std::int32_t>(static_cast<float>(v.real)))};
    if (!n.dtype.is_float()) return {0, wrap_int(n.dtype, v.integer)};
    if (is_double) return {std::bit_cast<double>(v.integer), 0};
    return {static_cast<double>(std::bit_cast<float>(static_cast<std::int32_t>(v.integer))), 0};
  }
  Value evaluate(const UnaryNode& n) {
    const Value a = (*this)(n.a);
    if (n.op == UnaryOp::kNot) return {0, a.integer == 0};
    return {eval_float(n.op, n.dtype, a.real), 0};
  }
  Value evaluate(const BinaryNode& n) {
    const Value a = (*this)(n.a), b = (*this)(n.b);
    if (!n.a->dtype.is_float()) return {0, eval_int(n.op, n.a->dtype, a.integer, b.integer)};
    if (is_comparison(n.op)) return {0, eval_compare(n.op, a.real, b.real)};
    return {eval_float(n.op, n.dtype, a.real, b.real), 0};
  }
  Value evaluate(const FmaNode& n) {
    const double a = (*this)(n.a).real, b = (*this)(n.b).real, c = (*this)(n.c).real;
    if (n.dtype.bits == 64) return {std::fma(a, b, c), 0};
    return {static_cast<double>(
                std::fma(static_cast<float>(a), static_cast<float>(b), static_cast<float>(c))),
            0};
  }
  Value evaluate(const SelectNode& n) {
    return (*this)((*this)(n.condition).integer ? n.true_value : n.false_value);
  }
  template <class N>
  Value evaluate(const N&) {
    ADD_FAILURE() << "not an arithmetic node";
    return {};
  }

  std::unordered_map<const ExprNode*, Value> values_;
};

/// A function's expansion over scalar variables.
struct Expansion {
  std::vector<Expr> variables;
  Expr value;

  Expansion(const std::string& name, DType t) {
    variables.push_back(var("x", t));
    if (name == "pow") variables.push_back(var("y", t));
    value = expand_math(call(t, name, variables));
  }
  double operator()(double x, double y = 0) const {
    std::unordered_map<const ExprNode*, Value> values = {{variables[0].get(), {x, 0}}};
    if (variables.size() > 1) values[variables[1].get()] = {y, 0};
    return Evaluator(std::move(values))(value).real;
  }
};

template <int width>
struct NativeFunction {
  using F = math::NativeFloat<width>;
  const char* name;
  F (*function)(const F&);
};

template <int width>
std::vector<NativeFunction<width>> native_functions() {
  using F = math::NativeFloat<width>;
  return {{"exp", math::exp<F>},
          {"log", math::log<F>},
          {"tanh", math::tanh<F>},
          {"erf", math::erf<F>},
          {"sin", math::sin<F>},
          {"cos", math::cos<F>},
          {"rsqrt", math::rsqrt<F>},
          {"sigmoid", math::sigmoid<F>},
          {"softplus", math::softplus<F>},
          {"gelu", math::gelu<F>},
          {"gelu_tanh", math::gelu_tanh<F>}};
}

template <class T>
bool same_bits(T a, T b) {
  return (std::isnan(a) && std::isnan(b)) || (a == b && std::signbit(a) == std::signbit(b));
}

// The measured templates and the IR that is inserted are one thing only if the two instantiations
// agree in every bit.

TEST(expand_math, float32_expansions_give_the_bits_of_the_measured_functions) {
  for (const auto& f : native_functions<32>()) {
    const Expansion expansion(f.name, kFloat32);
    for (std::uint64_t pattern = 0; pattern < (std::uint64_t{1} << 32); pattern += 4999999) {
      const float x = std::bit_cast<float>(static_cast<std::uint32_t>(pattern));
      const float got = static_cast<float>(expansion(x)),
                  expected = f.function(math::NativeFloat<32>(x)).v;
      ASSERT_TRUE(same_bits(got, expected))
          << f.name << "(" << x << ") = " << got << ", expected " << expected;
    }
    for (float x = -20; x < 20; x += 0.0917f) {
      ASSERT_TRUE(
          same_bits(static_cast<float>(expansion(x)), f.function(math::NativeFloat<32>(x)).v))
          << f.name << x;
    }
  }
}

TEST(expand_math, float64_expansions_give_the_bits_of_the_measured_functions) {
  for (const auto& f : native_functions<64>()) {
    const Expansion expansion(f.name, kFloat64);
    for (std::uint64_t i = 0; i < 800; ++i) {
      const double x = std::bit_cast<double>(i * 0x0051eb851eb851ebu);
      const double got = expansion(x), expected = f.function(math::NativeFloat<64>(x)).v;
      ASSERT_TRUE(same_bits(got, expected))
          << f.name << "(" << x << ") = " << got << ", expected " << expected;
    }
    for (double x = -40; x < 40; x += 0.1717) {
      ASSERT_TRUE(same_bits(expansion(x), f.function(math::NativeFloat<64>(x)).v)) << f.name << x;
    }
  }
}

TEST(expand_math, pow_gives_the_bits_of_the_measured_function) {
  const Expansion narrow("pow", kFloat32), wide("pow", kFloat64);
  const double infinity = kInf, nan = kNotANumber;
  for (const double x :
       {0.0, -0.0, 0.3, 1.0, -1.0, 1.5, -2.0, 1e-40, 1e30, infinity, -infinity, nan}) {
    for (const double y :
         {0.0, -0.0, 0.5, 1.0, -1.0, 2.0, -3.0, 1e-40, 7.25, 1e30, infinity, -infinity, nan}) {
      using F32 = math::NativeFloat<32>;
      using F64 = math::NativeFloat<64>;
      const float x32 = static_cast<float>(x), y32 = static_cast<float>(y);
      EXPECT_TRUE(same_bits(static_cast<float>(narrow(x32, y32)), math::pow(F32(x32), F32(y32)).v))
          << x << " " << y;
      EXPECT_TRUE(same_bits(wide(x, y), math::pow(F64(x), F64(y)).v)) << x << " " << y;
    }
  }
}

TEST(expand_math, limits_are_exact) {
  const struct {
    const char* name;
    float x, expected;
  } kCases[] = {
      {"exp", kInf, kInf},
      {"exp", -kInf, 0},
      {"exp", 0, 1},
      {"exp", 89, kInf},
      {"exp", -200, 0},
      {"log", 0, -kInf},
      {"log", -0.0f, -kInf},
      {"log", 1, 0},
      {"log", kInf, kInf},
      {"log", -1, kNotANumber},
      {"tanh", kInf, 1},
      {"tanh", -kInf, -1},
      {"tanh", -0.0f, -0.0f},
      {"erf", kInf, 1},
      {"erf", -kInf, -1},
      {"erf", -0.0f, -0.0f},
      {"sin", -0.0f, -0.0f},
      {"sin", kInf, kNotANumber},
      {"cos", 0, 1},
      {"cos", -kInf, kNotANumber},
      {"rsqrt", 0, kInf},
      {"rsqrt", -0.0f, -kInf},
      {"rsqrt", kInf, 0},
      {"rsqrt", -1, kNotANumber},
      {"rsqrt", 4, 0.5f},
      {"sigmoid", kInf, 1},
      {"sigmoid", -kInf, 0},
      {"sigmoid", 0, 0.5f},
      {"softplus", kInf, kInf},
      {"softplus", -kInf, 0},
      {"gelu", kInf, kInf},
      {"gelu", -kInf, -0.0f},
      {"gelu", -0.0f, -0.0f},
      {"gelu", 0, 0},
      {"gelu_tanh", kInf, kInf},
      {"gelu_tanh", -kInf, -0.0f},
      {"gelu_tanh", -0.0f, -0.0f},
      {"gelu_tanh", 0, 0},
  };
  for (const auto& c : kCases) {
    const float got = static_cast<float>(Expansion(c.name, kFloat32)(c.x));
    EXPECT_TRUE(same_bits(got, c.expected))
        << c.name << "(" << c.x << ") = " << got << ", expected " << c.expected;
    const double wide =
        Expansion(c.name, kFloat64)(std::isinf(c.x) || std::fabs(c.x) < 50 ? c.x : c.x * 10.0);
    EXPECT_TRUE(same_bits(wide, static_cast<double>(c.expected)))
        << c.name << "(" << c.x << ") in float64 = " << wide;
  }
  for (const auto& f : native_functions<32>()) {
    EXPECT_TRUE(std::isnan(Expansion(f.name, kFloat32)(kNotANumber))) << f.name;
    EXPECT_TRUE(std::isnan(Expansion(f.name, kFloat64)(kNotANumber))) << f.name;
  }
}

TEST(expand_math, pow_follows_annex_f) {
  const Expansion expansion("pow", kFloat32);
  const struct {
    float x, y, expected;
  } kCases[] = {
      {0, -1, kInf},
      {-0.0f, -1, -kInf},
      {-0.0f, -3, -kInf},
      {-0.0f, -2, kInf},
      {0, -0.5f, kInf},
      {0, -kInf, kInf},
      {0, 3, 0},
      {-0.0f, 3, -0.0f},
      {-0.0f, 2, 0},
      {-1, kInf, 1},
      {-1, -kInf, 1},
      {1, kNotANumber, 1},
      {kNotANumber, 0, 1},
      {kNotANumber, -0.0f, 1},
      {-8, 0.5f, kNotANumber},
      {0.5f, -kInf, kInf},
      {2, -kInf, 0},
      {0.5f, kInf, 0},
      {2, kInf, kInf},
      {-kInf, -3, -0.0f},
      {-kInf, -2, 0},
      {-kInf, 3, -kInf},
      {-kInf, 0.5f, kInf},
      {kInf, -1, 0},
      {kInf, 2, kInf},
      {kNotANumber, 1, kNotANumber},
      {2, kNotANumber, kNotANumber},
      {-2, 3, -8},
      {-2, 16777216.0f, kInf},
      {2, 10, 1024},
      {-1, 8388609.0f, -1},
      {1e-45f, 1, 1e-45f},
  };
  for (const auto& c : kCases) {
    const float got = static_cast<float>(expansion(c.x, c.y));
    EXPECT_TRUE(same_bits(got, c.expected))
        << "pow(" << c.x << ", " << c.y << ") = " << got << ", expected " << c.expected;
  }
}

TEST(expand_math, vectors_get_broadcast_constants) {
  const DType t = kFloat32.with_lanes(16);
  const Expr e = expand_math(call(t, "exp", {var("x", t)}));
  EXPECT_EQ(e->dtype, t);
  post_order_visit(e, [](const Node& n) {
    if (n.kind == NodeKind::kFloatImm || n.kind == NodeKind::kIntImm ||
        n.kind == NodeKind::kBroadcast)
      return;
    EXPECT_EQ(static_cast<const ExprNode&>(n).dtype.lanes, 16);
  });
}

TEST(expand_math, nested_calls_stay_small_because_operands_are_shared) {
  Expr e = var("x", kFloat32);
  for (int i = 0; i < 40; ++i) e = call(kFloat32, "tanh", {e});
  int num_nodes = 0;
  post_order_visit(expand_math(e), [&](const Node&) { ++num_nodes; });
  EXPECT_LT(num_nodes, 40 * 120);
}

TEST(expand_math, half_precision_is_computed_in_float32_and_rounded_once) {
  const Expr e = expand_math(call(DType::bfloat16(), "exp", {var("x", DType::bfloat16())}));
  const auto* rounded = e.as<CastNode>();
  ASSERT_NE(rounded, nullptr);
  EXPECT_EQ(rounded->dtype, DType::bfloat16());
  EXPECT_EQ(rounded->value->dtype, kFloat32);
}

TEST(expand_math, other_calls_stay) {
  const Expr i = var("i");
  const Expr e = call(kInt64, "checked_index", {i, imm(4), imm(0)});
  EXPECT_TRUE(expand_math(e).same_as(e));
  EXPECT_FALSE(is_math_function("checked_index"));
  EXPECT_TRUE(is_math_function("gelu_tanh"));
}

/// Operations of an expansion that cost something: constants, broadcasts, reinterpretations and
/// operands do not.
int count_operations(const Expr& e) {
  int count = 0;
  post_order_visit(e, [&](const Node& n) {
    count += n.kind == NodeKind::kUnary || n.kind == NodeKind::kBinary ||
             n.kind == NodeKind::kFma || n.kind == NodeKind::kSelect || n.kind == NodeKind::kCast;
  });
  return count;
}

TEST(expand_math, expansions_stay_within_their_budget_of_operations) {
  const struct {
    const char* name;
    int budget;
  } kBudgets[] = {{"exp", 20},      {"log", 40},  {"tanh", 46},      {"erf", 40},
                  {"sin", 160},     {"cos", 160}, {"rsqrt", 14},     {"sigmoid", 36},
                  {"softplus", 36}, {"gelu", 60}, {"gelu_tanh", 60}, {"pow", 92}};
  for (const auto& b : kBudgets) {
    const int count = count_operations(Expansion(b.name, kFloat32).value);
    RecordProperty(b.name, count);
    EXPECT_LE(count, b.budget) << b.name;
  }
}

}  // namespace
}  // namespace tenon
