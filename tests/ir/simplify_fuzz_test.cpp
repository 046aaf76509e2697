// Random integer expressions: the simplified one has the same value everywhere, and simplifying
// again changes nothing.

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "tenon/ir/builder.h"
#include "tenon/ir/print.h"
#include "tenon/ir/scalar_ops.h"
#include "tenon/ir/simplify.h"
#include "tenon/ir/structural.h"

namespace tenon {
namespace {

using Env = std::map<const ExprNode*, std::int64_t>;

std::int64_t value_of(const Expr& e, const Env& env) {
  if (const auto* i = e.as<IntImmNode>()) return i->value;
  if (e.as<VarNode>() != nullptr) return env.at(e.get());
  if (const auto* c = e.as<CastNode>()) return wrap_int(c->dtype, value_of(c->value, env));
  if (const auto* s = e.as<SelectNode>()) {
    return value_of(s->condition, env) != 0 ? value_of(s->true_value, env)
                                            : value_of(s->false_value, env);
  }
  if (const auto* u = e.as<UnaryNode>()) {
    const std::int64_t x = value_of(u->a, env);
    return u->op == UnaryOp::kNot
               ? (x == 0 ? 1 : 0)
               : wrap_int(u->dtype, static_cast<std::int64_t>(0 - static_cast<std::uint64_t>(x)));
  }
  const auto* b = e.as<BinaryNode>();
  return eval_int(b->op, b->a->dtype, value_of(b->a, env), value_of(b->b, env));
}

class Generator {
 public:
  explicit Generator(unsigned seed) : random_(seed) {
    for (const auto& [name, low, extent] :
         {std::tuple{"i", 0, 6}, {"j", 0, 4}, {"k", -3, 7}, {"t", 0, 9}}) {
      vars_.push_back(var(name));
      ranges_.push_back({imm(low), imm(extent)});
    }
    symbol_ = {var("n"), 1, 12, 1};
    within_ = var("w");
  }

  std::int64_t pick(std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random_);
  }

  Expr leaf() {
    const std::int64_t which = pick(0, 8);
    if (which < 4) return vars_[static_cast<std::size_t>(which)];
    if (which == 4) return symbol_.var;
    if (which == 5) return within_;
    return imm(pick(-6, 12));
  }

  Expr number(int depth) {
    if (depth == 0) return leaf();
    switch (pick(0, 11)) {
      case 0:
      case 1:
        return number(depth - 1) + number(depth - 1);
      case 2:
        return number(depth - 1) - number(depth - 1);
      case 3:
      case 4:
        return number(depth - 1) * imm(pick(-4, 8));
      case 5:
        return floordiv(number(depth - 1), imm(pick(1, 8)));
      case 6:
        return floormod(number(depth - 1), imm(pick(1, 8)));
      case 7:
        return min(number(depth - 1), number(depth - 1));
      case 8:
        return max(number(depth - 1), number(depth - 1));
      case 9:
        return select(condition(depth - 1), number(depth - 1), number(depth - 1));
      case 10:
        return pick(0, 1) == 0 ? floordiv(number(depth - 1), symbol_.var)
                               : floormod(number(depth - 1), symbol_.var);
      default:
        return pick(0, 2) == 0 ? number(depth - 1) * symbol_.var : number(depth - 1);
    }
  }

  Expr condition(int depth) {
    if (depth > 0 && pick(0, 3) == 0) {
      const Expr x = condition(depth - 1), y = condition(depth - 1);
      return pick(0, 2) == 0   ? logical_not(x)
             : pick(0, 1) == 0 ? logical_and(x, y)
                               : logical_or(x, y);
    }
    const auto op = static_cast<BinaryOp>(static_cast<int>(BinaryOp::kEq) + pick(0, 5));
    return binary(op, number(std::max(depth - 1, 0)), number(std::max(depth - 1, 0)));
  }

  void bind(Analyzer* an) const {
    an->bind(symbol_);
    for (std::size_t v = 0; v < vars_.size(); ++v) an->bind(vars_[v], ranges_[v]);
    an->bind(within_, {imm(0), symbol_.var});
  }

  Env values() {
    Env env;
    for (std::size_t v = 0; v < vars_.size(); ++v) {
      const std::int64_t low = *as_int(ranges_[v].min);
      env[vars_[v].get()] = pick(low, low + *as_int(ranges_[v].extent) - 1);
    }
    env[symbol_.var.get()] = pick(1, 12);
    env[within_.get()] = pick(0, env[symbol_.var.get()] - 1);
    return env;
  }

 private:
  std::mt19937 random_;
  std::vector<Expr> vars_;
  std::vector<Range> ranges_;
  Symbol symbol_;
  Expr within_;
};

TEST(SimplifyFuzz, index_expressions_keep_their_values_and_simplify_once) {
  int not_idempotent = 0;
  constexpr int kExpressions = 3000;
  for (int seed = 0; seed < kExpressions; ++seed) {
    Generator g(static_cast<unsigned>(seed));
    Analyzer an;
    g.bind(&an);
    const Expr e = seed % 3 == 0 ? g.condition(3) : g.number(static_cast<int>(2 + seed % 3));
    const Expr s = an.simplify(e);
    const ConstRange range = an.const_bounds(e);
    const Modular modular = e->dtype == kInt64 ? an.modular(e) : Modular{};
    for (int trial = 0; trial < 60; ++trial) {
      const Env env = g.values();
      const std::int64_t v = value_of(e, env);
      ASSERT_EQ(v, value_of(s, env)) << "seed " << seed << "\n"
                                     << print(e) << "\nbecame\n"
                                     << print(s);
      ASSERT_TRUE(!range.lower || v >= *range.lower)
          << "seed " << seed << " " << print(e) << " = " << v << " < " << *range.lower;
      ASSERT_TRUE(!range.upper || v <= *range.upper)
          << "seed " << seed << " " << print(e) << " = " << v << " > " << *range.upper;
      const std::int64_t off = v - modular.remainder;
      ASSERT_TRUE(modular.modulus == 0 ? off == 0 : off % modular.modulus == 0)
          << "seed " << seed << " " << print(e);
    }
    const Expr again = an.simplify(s);
    if (!structural_equal(s, again)) {
      if (++not_idempotent <= 5)
        ADD_FAILURE() << "seed " << seed << "\n"
                      << print(e) << "\nbecame\n"
                      << print(s) << "\nthen\n"
                      << print(again);
    }
  }
  EXPECT_EQ(not_idempotent, 0);
}

TEST(SimplifyFuzz, narrow_integers_wrap) {
  for (int seed = 0; seed < 300; ++seed) {
    std::mt19937 random(static_cast<unsigned>(seed));
    const auto pick = [&](int low, int high) {
      return std::uniform_int_distribution<int>(low, high)(random);
    };
    const DType t = seed % 2 == 0 ? DType::int_(8) : DType::uint(8);
    const Expr x = var("x", t), y = var("y", t);
    const std::function<Expr(int)> make_expr = [&](int depth) -> Expr {
      if (depth == 0) return pick(0, 2) == 0 ? int_imm(t, pick(-5, 200)) : pick(0, 1) == 0 ? x : y;
      const Expr a = make_expr(depth - 1), b = make_expr(depth - 1);
      constexpr BinaryOp kOps[] = {BinaryOp::kAdd,      BinaryOp::kSub,      BinaryOp::kMul,
                                   BinaryOp::kFloorDiv, BinaryOp::kFloorMod, BinaryOp::kMin,
                                   BinaryOp::kMax};
      if (pick(0, 4) == 0)
        return select(
            binary(static_cast<BinaryOp>(static_cast<int>(BinaryOp::kEq) + pick(0, 5)), a, b), b,
            a);
      return binary(kOps[pick(0, 6)], a, b);
    };
    const Expr e = make_expr(3);
    Analyzer an;
    const Expr s = an.simplify(e);
    const ConstRange range = an.const_bounds(e);
    for (int trial = 0; trial < 100; ++trial) {
      const Env env{{x.get(), wrap_int(t, pick(-128, 255))},
                    {y.get(), wrap_int(t, pick(-128, 255))}};
      const std::int64_t v = value_of(e, env);
      ASSERT_EQ(v, value_of(s, env)) << print(e) << "\nbecame\n" << print(s);
      ASSERT_TRUE((!range.lower || v >= *range.lower) && (!range.upper || v <= *range.upper))
          << print(e) << " = " << v;
    }
  }
}

TEST(SimplifyFuzz, symbolic_bounds_enclose) {
  for (int seed = 0; seed < 1500; ++seed) {
    Generator g(static_cast<unsigned>(seed));
    Analyzer an;
    g.bind(&an);
    const Expr e = g.number(3);
    Env env = g.values();
    std::vector<Expr> all;
    for (const auto& [v, value] : env) {
      if (g.pick(0, 1) == 0) all.push_back(Expr(v));
    }
    const Interval bounds = an.symbolic_bounds(e, all);
    for (int trial = 0; trial < 40; ++trial) {
      const Env at = g.values();
      const std::int64_t v = value_of(e, at);
      const bool above = !bounds.min || value_of(bounds.min, at) <= v,
                 below = !bounds.max || v <= value_of(bounds.max, at);
      ASSERT_TRUE(above) << "seed " << seed << " " << print(e) << " min " << print(bounds.min);
      ASSERT_TRUE(below) << "seed " << seed << " " << print(e) << " max " << print(bounds.max);
    }
  }
}

}  // namespace
}  // namespace tenon
