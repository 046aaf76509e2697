// A block function with float functions: the interpreter gives the same bits before and after
// lowering.

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "ir/transform/expand_math.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/interpret.h"
#include "tenon/ir/lower.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

constexpr std::int64_t kSize = 37;

/// out[i] = gelu(x[i]) + sin(exp(x[i])), one block, the loop of the given kind.
Function activation() {
  const Buffer x = make_buffer("x", kFloat32, {imm(kSize)});
  const Buffer out = make_buffer("out", kFloat32, {imm(kSize)});
  const Expr i = var("i"), vi = var("vi");
  const Expr value = load(x, {vi});
  const Expr sum =
      call(kFloat32, "gelu", {value}) + call(kFloat32, "sin", {call(kFloat32, "exp", {value})});
  const Stmt block = make_block("out", {IterVar{vi, Range{imm(0), imm(kSize)}}}, {i}, nullptr,
                                nullptr, store(out, {vi}, sum));
  return make_function("activation", {x}, {out}, {}, make_for(i, imm(0), imm(kSize), block));
}

std::vector<float> run(const Function& f) {
  std::vector<float> x(kSize), out(kSize);
  for (std::int64_t i = 0; i < kSize; ++i)
    x[static_cast<std::size_t>(i)] = static_cast<float>(i - 18) * 0.37f;
  interpret(f, {{x.data(), kFloat32, {kSize}}, {out.data(), kFloat32, {kSize}}}).check();
  return out;
}

int count_math_calls(const Function& f) {
  int count = 0;
  post_order_visit(f->body, [&](const Node& n) {
    if (n.kind == NodeKind::kCall) count += is_math_function(static_cast<const CallNode&>(n).name);
  });
  return count;
}

TEST(math_lowering, lowering_expands_every_float_function_and_keeps_the_bits) {
  const Function f = activation();
  const Function lowered = lower(f);
  EXPECT_EQ(count_math_calls(f), 3);
  EXPECT_EQ(count_math_calls(lowered), 0);
  const auto before = run(f), after = run(lowered);
  EXPECT_EQ(std::memcmp(before.data(), after.data(), kSize * sizeof(float)), 0);
}

TEST(math_lowering, expansion_can_be_left_out) {
  LowerOptions options;
  options.expand_math = false;
  EXPECT_EQ(count_math_calls(lower(activation(), options)), 3);
}

}  // namespace
}  // namespace tenon
