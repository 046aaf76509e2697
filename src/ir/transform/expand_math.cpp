#include "ir/transform/expand_math.h"

#include <algorithm>
#include <iterator>

#include "ir/math/ir_value.h"
#include "ir/math/logarithm.h"
#include "ir/math/normal_tail.h"
#include "ir/math/power.h"
#include "ir/math/trigonometry.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

using Operands = std::vector<Expr>;

struct MathFunction {
  std::string_view name;
  std::size_t num_operands;
  Expr (*float32)(const Operands&);
  Expr (*float64)(const Operands&);
};

#define TENON_UNARY_MATH(name)                                                        \
  {#name, 1, [](const Operands& x) { return math::name(math::IrFloat<32>{x[0]}).e; }, \
   [](const Operands& x) { return math::name(math::IrFloat<64>{x[0]}).e; }}

template <int width>
Expr expand_pow(const Operands& x) {
  return math::pow(math::IrFloat<width>{x[0]}, math::IrFloat<width>{x[1]}).e;
}

constexpr MathFunction kMathFunctions[] = {
    TENON_UNARY_MATH(cos),
    TENON_UNARY_MATH(erf),
    TENON_UNARY_MATH(exp),
    TENON_UNARY_MATH(gelu),
    TENON_UNARY_MATH(gelu_tanh),
    TENON_UNARY_MATH(log),
    {"pow", 2, expand_pow<32>, expand_pow<64>},
    TENON_UNARY_MATH(rsqrt),
    TENON_UNARY_MATH(sigmoid),
    TENON_UNARY_MATH(sin),
    TENON_UNARY_MATH(softplus),
    TENON_UNARY_MATH(tanh),
};
#undef TENON_UNARY_MATH

/// The function of this name, or null.
const MathFunction* find_function(std::string_view name) {
  const auto* end = std::end(kMathFunctions);
  const auto* found =
      std::find_if(std::begin(kMathFunctions), end, [&](const auto& f) { return f.name == name; });
  return found == end ? nullptr : found;
}

Expr expand(const MathFunction& function, DType t, Operands operands) {
  TENON_CHECK(operands.size() == function.num_operands, "operands of ", function.name);
  TENON_CHECK(t.is_float(), function.name, " of dtype ", to_string(t));
  for (Expr& operand : operands) {
    TENON_CHECK(operand->dtype == t, function.name, " of dtype ", to_string(t),
                " has an operand of dtype ", to_string(operand->dtype));
    if (t.bits == 16) operand = cast(kFloat32, operand);
  }
  if (t.bits == 64) return function.float64(operands);
  return cast(t, function.float32(operands));
}

class ExpandMath : public Mutator {
 protected:
  using Mutator::rewrite;
  Expr rewrite(const CallNode& n) override {
    const MathFunction* function = find_function(n.name);
    if (function == nullptr) return rebuild(n);
    Expr out = expand(*function, n.dtype, rewrite_all(n.args));
    keep_span(n, *out.get());
    return out;
  }
};

}  // namespace

Stmt expand_math(const Stmt& s) { return ExpandMath()(s); }
Expr expand_math(const Expr& e) { return ExpandMath()(e); }
bool is_math_function(std::string_view name) { return find_function(name) != nullptr; }

}  // namespace tenon
