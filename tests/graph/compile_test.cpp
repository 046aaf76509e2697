#include "tenon/graph/compile.h"

#include <gtest/gtest.h>

#include <cmath>

#include "graph/pass/pass.h"
#include "tenon/ir/builder.h"
#include "tenon/te/tensor.h"

namespace tenon::graph {
namespace {

Array ramp(const Shape& shape, float scale) {
  Array a = Array::empty(shape, kFloat32);
  for (std::int64_t i = 0; i < a.size(); ++i)
    a.mutable_data<float>()[i] = scale * static_cast<float>(i % 7 - 3);
  return a;
}

CompiledNetwork compile_on_host(const std::vector<Value>& inputs,
                                const std::vector<Value>& outputs) {
  return compile(inputs, outputs, "network", Target::host(), {.use_cache = false, .verify = true});
}

TEST(CompileTest, linear_with_epilogue_is_one_kernel_for_every_batch) {
  const Value x = make_input({te::symbol("b"), te::symbol("s"), imm(5)}, kFloat32, "x");
  const Array w = ramp({70, 5}, 0.5F), bias = ramp({70}, 0.25F);
  const Value y = make_op(
      "relu", {make_op("add", {make_op("linear", {x, make_constant(w)}), make_constant(bias)})});
  const CompiledNetwork network = compile_on_host({x}, {y});
  ASSERT_EQ(network.calls.size(), 1U);
  for (const Shape& shape : {Shape{1, 1, 5}, Shape{3, 7, 5}, Shape{0, 4, 5}}) {
    const Array in = ramp(shape, 1);
    const Array out = network.executable.call(std::vector<Array>{in})[0];
    ASSERT_EQ(out.size(), in.size() / 5 * 70);
    for (std::int64_t i = 0; i < out.size(); ++i) {
      float sum = 0;
      for (std::int64_t k = 0; k < 5; ++k)
        sum = std::fma(in.data<float>()[i / 70 * 5 + k], w.data<float>()[i % 70 * 5 + k], sum);
      ASSERT_EQ(out.data<float>()[i], std::fmax(sum + bias.data<float>()[i % 70], 0.0F)) << i;
    }
  }
}

TEST(CompileTest, equal_functions_are_compiled_once) {
  const Value x = make_input({te::symbol("n"), imm(8)}, kFloat32, "x");
  Value y = x;
  for (int layer = 0; layer < 4; ++layer) {
    y = make_op("tanh",
                {make_op("linear",
                         {y, make_constant(ramp({8, 8}, 0.1F * static_cast<float>(layer + 1)))})});
  }
  const CompiledNetwork network = compile_on_host({x}, {y});
  EXPECT_EQ(network.calls.size(), 4U);
  EXPECT_EQ(network.num_compiled, 1);
  EXPECT_EQ(network.workspace_bytes({{10, 8}}), 2 * 320);
}

const Rewrite* find(const RewriteLog& log, const std::string& pass, const std::string& op) {
  for (const Rewrite& r : log) {
    if (r.pass == pass && r.node.rfind(op + " -> ", 0) == 0) return &r;
  }
  return nullptr;
}

TEST(CompileTest, passes_say_what_they_did_to_which_operator_and_why) {
  const Value x = make_input({te::symbol("n"), imm(8)}, kFloat32, "x");
  const Value w = make_constant(ramp({8, 8}, 0.5F)), bias = make_constant(ramp({8}, 1));
  const auto product = [&] { return make_op("linear", {x, w}); };
  const Value y = make_op("relu", {make_op("add", {product(), make_op("exp", {bias})})});
  const CompiledNetwork network = compile_on_host({x}, {y, make_op("tanh", {product()})});
  const Rewrite* shared = find(network.rewrites, "share_equal_values", "linear");
  ASSERT_NE(shared, nullptr) << network.report();
  EXPECT_EQ(shared->action, "removed");
  const Rewrite* folded = find(network.rewrites, "fold_constants", "exp");
  ASSERT_NE(folded, nullptr) << network.report();
  EXPECT_EQ(folded->action, "computed");
  EXPECT_EQ(folded->node, "exp -> float32[8]");
  const Rewrite* fused = find(network.rewrites, "fuse", "add");
  ASSERT_NE(fused, nullptr) << network.report();
  EXPECT_EQ(fused->action, "fused");
  ASSERT_GE(fused->call, 0);
  EXPECT_EQ(network.calls[static_cast<std::size_t>(fused->call)].operators.back(), "relu");
  EXPECT_NE(network.report().find("share_equal_values: removed (an earlier operator computes"),
            std::string::npos)
      << network.report();
}

TEST(CompileTest, kernel_calls_say_what_they_read_and_where_temporaries_lie) {
  const Value x = make_input({te::symbol("n"), imm(8)}, kFloat32, "x");
  const Value w = make_constant(ramp({8, 8}, 0.5F), "w");
  Value y = x;
  for (int layer = 0; layer < 3; ++layer) y = make_op("tanh", {make_op("linear", {y, w})});
  const CompiledNetwork network = compile_on_host({x}, {y});
  ASSERT_EQ(network.calls.size(), 3U);
  ASSERT_EQ(network.calls[0].inputs.size(), 2U);
  EXPECT_EQ(network.calls[0].inputs[0].from, "constant");
  EXPECT_EQ(network.calls[0].inputs[0].name, "w");
  EXPECT_EQ(network.calls[0].inputs[1].from, "input");
  EXPECT_EQ(network.calls[0].inputs[1].name, "x");
  EXPECT_EQ(network.calls[2].inputs[1].from, "kernel");
  EXPECT_EQ(network.calls[2].inputs[1].call, 1);
  EXPECT_EQ(network.calls[2].outputs, std::vector<std::string>{"result"});
  const MemoryLayout memory = network.memory({{10, 8}});
  ASSERT_EQ(memory.blocks.size(), 2U);
  EXPECT_EQ(memory.blocks[0].first, 0U);
  EXPECT_EQ(memory.blocks[0].last, 1U);
  EXPECT_EQ(memory.blocks[1].first, 1U);
  EXPECT_EQ(memory.blocks[1].last, 2U);
  EXPECT_EQ(memory.blocks[1].bytes, 10 * 8 * 4);
  EXPECT_EQ(memory.arena_bytes + memory.scratch_bytes, network.workspace_bytes({{10, 8}}));
  const std::vector<KernelCost> costs = network.costs({{10, 8}});
  ASSERT_EQ(costs.size(), 3U);
  EXPECT_EQ(costs[1].operations, 10 * 8 * (2 * 8 + 1));
  EXPECT_EQ(costs[1].bytes_written, 10 * 8 * 4);
}

TEST(CompileTest, operators_that_do_not_fit_name_their_operands) {
  const Value x = make_input({imm(2), imm(3)}, kFloat32, "x");
  try {
    make_op("matmul", {x, x});
    FAIL();
  } catch (const ShapeError& e) {
    EXPECT_NE(std::string(e.what()).find("matmul of float32[2, 3] 'x' and float32[2, 3] 'x'"),
              std::string::npos)
        << e.what();
  }
}

TEST(PassTest, linears_of_one_input_are_merged) {
  const Value x = make_input({imm(2), imm(8)}, kFloat32, "x");
  const auto affine = [&](float scale) {
    return make_op("add", {make_op("linear", {x, make_constant(ramp({4, 8}, scale))}),
                           make_constant(ramp({4}, scale))});
  };
  const std::vector<Value> merged = merge_linears({affine(1), affine(2), affine(3)});
  EXPECT_EQ(merged[2]->op, "slice");
  EXPECT_EQ(merged[0]->inputs[0], merged[2]->inputs[0]);
  EXPECT_TRUE(is_int(merged[0]->inputs[0]->shape[1], 12));
}

TEST(PassTest, panels_are_filled_up_with_zeros) {
  const Array rows = ramp({3, 65}, 1);
  const Array panels = pack_panels(rows, false);
  ASSERT_EQ(panels.size(), 2 * 3 * 64);
  for (std::int64_t k = 0; k < 3; ++k) {
    for (std::int64_t j = 0; j < 128; ++j) {
      const float expected = j < 65 ? rows.data<float>()[k * 65 + j] : 0;
      EXPECT_EQ(panels.data<float>()[j / 64 * 192 + k * 64 + j % 64], expected);
    }
  }
}

TEST(PassTest, temporaries_that_are_not_needed_together_share_memory) {
  PlanProgram program;
  const std::vector<Temporary> chain{{program.constant(64), 64, 0, 1},
                                     {program.constant(128), 128, 1, 2},
                                     {program.constant(64), 64, 2, 3}};
  const MemoryPlan plan = plan_memory(chain, &program);
  EXPECT_EQ(plan.offsets[0], plan.offsets[2]);
  EXPECT_NE(plan.offsets[0], plan.offsets[1]);
  EXPECT_EQ(plan.arena_bytes, program.constant(192));
}

}  // namespace
}  // namespace tenon::graph
