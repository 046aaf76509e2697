// Branches and loops in networks, against plain loops.

#include "tenon/graph/control.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tenon/graph/compile.h"
#include "tenon/ir/builder.h"
#include "tenon/te/tensor.h"

namespace tenon::graph {
namespace {

Array ramp(const Shape& shape, float scale) {
  Array a = Array::empty(shape, kFloat32);
  for (std::int64_t i = 0; i < a.size(); ++i)
    a.mutable_data<float>()[i] = scale * static_cast<float>(i * i % 7 - 3);
  return a;
}

Value number(float x) {
  Array a = Array::empty({}, kFloat32);
  a.mutable_data<float>()[0] = x;
  return make_constant(a);
}

CompiledNetwork compile_on_host(const std::vector<Value>& inputs,
                                const std::vector<Value>& outputs) {
  return compile(inputs, outputs, "network", Target::host(), {.use_cache = false, .verify = true});
}

/// h[t + 1] = tanh(x[t] + h[t] W^T): the last h and all of them.
std::vector<Value> recurrence(const Value& x, const Value& h0, const Value& w,
                              bool is_reverse = false) {
  LoopParts loop;
  loop.op = "scan";
  loop.count = x->shape[0];
  loop.is_reverse = is_reverse;
  loop.names = {"h"};
  loop.init = {h0};
  loop.stacked = {x};
  loop.iteration = make_input({}, kInt64, "t");
  loop.states = {make_input(h0->shape, kFloat32, "h")};
  loop.slices = {make_input({x->shape.begin() + 1, x->shape.end()}, kFloat32, "x")};
  const Value next =
      make_op("tanh", {make_op("add", {make_op("linear", {loop.states[0], w}), loop.slices[0]})});
  loop.next = {next};
  loop.results = {next};
  return make_loop(loop);
}

void expect_recurrence(const std::vector<Array>& got, const Array& x, const Array& h0,
                       const Array& w, bool is_reverse) {
  const std::int64_t steps = x.shape()[0], batch = h0.shape()[0], width = h0.shape()[1];
  std::vector<float> h(h0.data<float>(), h0.data<float>() + h0.size()), next(h.size());
  for (std::int64_t s = 0; s < steps; ++s) {
    const std::int64_t t = is_reverse ? steps - 1 - s : s;
    for (std::int64_t b = 0; b < batch; ++b) {
      for (std::int64_t j = 0; j < width; ++j) {
        float sum = 0;
        for (std::int64_t k = 0; k < width; ++k) {
          sum = std::fma(h[static_cast<std::size_t>(b * width + k)], w.data<float>()[j * width + k],
                         sum);
        }
        const std::int64_t at = b * width + j;
        const float value = std::tanh(sum + x.data<float>()[t * batch * width + at]);
        next[static_cast<std::size_t>(at)] = value;
        ASSERT_NEAR(got[1].data<float>()[t * batch * width + at], value, 2e-6) << t;
      }
    }
    h = next;
  }
  for (std::size_t i = 0; i < h.size(); ++i) ASSERT_NEAR(got[0].data<float>()[i], h[i], 2e-6);
}

TEST(ControlTest, scan_computes_a_recurrence_of_any_length) {
  const Array w = ramp({6, 6}, 0.1F);
  for (const bool is_reverse : {false, true}) {
    for (const bool is_constant : {true, false}) {
      const Value x = make_input({te::symbol("n"), te::symbol("b"), imm(6)}, kFloat32, "x");
      const Value h0 = make_input({x->shape[1], imm(6)}, kFloat32, "h0");
      const Value weight =
          is_constant ? make_constant(w) : make_input({imm(6), imm(6)}, kFloat32, "w");
      std::vector<Value> inputs = {x, h0};
      if (!is_constant) inputs.push_back(weight);
      const CompiledNetwork network =
          compile_on_host(inputs, recurrence(x, h0, weight, is_reverse));
      // A weight that is no constant is laid out before the loop.
      EXPECT_EQ(network.calls.size(), is_constant ? 1U : 2U) << network.report();
      EXPECT_EQ(network.calls[0].depth, is_constant ? 1 : 0);
      for (const std::int64_t n : {0, 1, 2, 7}) {
        const Array data = ramp({n, 3, 6}, 0.3F), start = ramp({3, 6}, 0.2F);
        std::vector<Array> arguments = {data, start};
        if (!is_constant) arguments.push_back(w);
        expect_recurrence(network.executable.call(arguments), data, start, w, is_reverse);
      }
    }
  }
}

TEST(ControlTest, scans_one_after_the_other_and_within_each_other) {
  // For each row of m: a running sum of running sums of x; two levels of slices.
  const Value x = make_input({te::symbol("m"), te::symbol("n"), imm(5)}, kFloat32, "x");
  const auto running_sum = [](const Value& values, const Value& zero) {
    LoopParts loop;
    loop.op = "scan";
    loop.count = values->shape[0];
    loop.init = {zero};
    loop.stacked = {values};
    loop.iteration = make_input({}, kInt64, "t");
    loop.states = {make_input(zero->shape, kFloat32, "sum")};
    loop.slices = {make_input({values->shape.begin() + 1, values->shape.end()}, kFloat32, "row")};
    loop.next = {make_op("add", {loop.states[0], loop.slices[0]})};
    loop.results = loop.next;
    return make_loop(loop);
  };
  const Value zero = make_constant(Array::zeros({5}, kFloat32));
  LoopParts outer;
  outer.op = "scan";
  outer.count = x->shape[0];
  outer.init = {zero};
  outer.stacked = {x};
  outer.iteration = make_input({}, kInt64, "i");
  outer.states = {make_input({imm(5)}, kFloat32, "total")};
  outer.slices = {make_input({x->shape[1], imm(5)}, kFloat32, "rows")};
  // The inner sum begins with the outer state and its last one is the next outer state.
  const std::vector<Value> inner = running_sum(outer.slices[0], outer.states[0]);
  outer.next = {inner[0]};
  outer.results = {running_sum(inner[1], zero)[1], inner[0]};
  const CompiledNetwork network = compile_on_host({x}, make_loop(outer));
  EXPECT_EQ(network.num_compiled, 1) << network.report();
  for (const Shape& shape : {Shape{3, 4, 5}, Shape{1, 1, 5}, Shape{2, 0, 5}, Shape{0, 3, 5}}) {
    const Array data = ramp(shape, 1);
    const std::vector<Array> got = network.executable.call(std::vector<Array>{data});
    for (std::int64_t d = 0; d < 5; ++d) {
      float total = 0;
      for (std::int64_t i = 0; i < shape[0]; ++i) {
        float sum_of_sums = 0;
        for (std::int64_t j = 0; j < shape[1]; ++j) {
          total += data.data<float>()[(i * shape[1] + j) * 5 + d];
          sum_of_sums += total;
          EXPECT_EQ(got[1].data<float>()[(i * shape[1] + j) * 5 + d], sum_of_sums);
        }
        EXPECT_EQ(got[2].data<float>()[i * 5 + d], total);
      }
      EXPECT_EQ(got[0].data<float>()[d], total);
    }
  }
}

/// Collatz steps: x -> x / 2 or 3 x + 1 until x = 1; the number of steps.
std::vector<Value> collatz(const Value& x, std::int64_t most) {
  const auto integer = [](std::int64_t value) {
    Array a = Array::empty({}, kInt64);
    a.mutable_data<std::int64_t>()[0] = value;
    return make_constant(a);
  };
  LoopParts loop;
  loop.op = "while_loop";
  loop.count = imm(most);
  loop.names = {"x", "steps"};
  loop.init = {x, integer(0)};
  loop.iteration = make_input({}, kInt64, "t");
  loop.states = {make_input({}, kInt64, "x"), make_input({}, kInt64, "steps")};
  const Value state = loop.states[0];
  loop.condition = make_op("not_equal", {state, integer(1)});
  // x is even where 2 * (x / 2) = x; integer division goes by floor(x / 2) of a cast.
  const auto half_of = [&](const Value& v) {
    const Value wide = make_op("cast", {v}, {{"dtype", kFloat64}});
    Array two = Array::empty({}, kFloat64);
    two.mutable_data<double>()[0] = 0.5;
    return make_op("cast", {make_op("floor", {make_op("mul", {wide, make_constant(two)})})},
                   {{"dtype", kInt64}});
  };
  const Value half = half_of(state);
  const Value is_even = make_op("equal", {make_op("add", {half, half}), state});
  const std::uint64_t serial = ValueNode::next_serial();
  SubGraph then, otherwise;
  then.inputs = {make_input({}, kInt64, "v")};
  then.outputs = {half_of(then.inputs[0])};
  otherwise.inputs = {make_input({}, kInt64, "v")};
  otherwise.outputs = {
      make_op("add", {make_op("mul", {otherwise.inputs[0], integer(3)}), integer(1)})};
  loop.next = {make_if(is_even, {state}, then, otherwise, serial)[0],
               make_op("add", {loop.states[1], integer(1)})};
  return make_loop(loop);
}

TEST(ControlTest, while_ends_where_its_condition_says_with_branches_inside) {
  const Value x = make_input({}, kInt64, "x");
  const CompiledNetwork network = compile_on_host({x}, collatz(x, 1000));
  for (const auto& [start, steps] :
       {std::pair<std::int64_t, std::int64_t>{1, 0}, {2, 1}, {7, 16}, {27, 111}}) {
    Array value = Array::empty({}, kInt64);
    value.mutable_data<std::int64_t>()[0] = start;
    const std::vector<Array> got = network.executable.call(std::vector<Array>{value});
    EXPECT_EQ(got[0].data<std::int64_t>()[0], 1);
    EXPECT_EQ(got[1].data<std::int64_t>()[0], steps) << network.report();
  }
  EXPECT_NE(network.report().find("  for at most 1000 iterations, while a condition holds "
                                  "(while_loop; 2 states, 0 scanned, 0 stacked):\n"),
            std::string::npos)
      << network.report();
  EXPECT_NE(network.report().find("    if (cond):\n"), std::string::npos);
}

TEST(ControlTest, the_trip_count_may_be_in_memory_and_the_iteration_is_known) {
  const Value limit = make_input({}, kInt64, "limit"), x = make_input({imm(3)}, kFloat32, "x");
  LoopParts loop;
  loop.op = "fori_loop";
  loop.count = imm(100);
  loop.limit = limit;
  loop.init = {x};
  loop.iteration = make_input({}, kInt64, "i");
  loop.states = {make_input({imm(3)}, kFloat32, "sum")};
  loop.next = {
      make_op("add", {loop.states[0], make_op("cast", {loop.iteration}, {{"dtype", kFloat32}})})};
  const CompiledNetwork network = compile_on_host({limit, x}, make_loop(loop));
  for (const std::int64_t n : {-3, 0, 1, 5, 100, 1000}) {
    Array value = Array::empty({}, kInt64);
    value.mutable_data<std::int64_t>()[0] = n;
    const Array got = network.executable.call(std::vector<Array>{value, ramp({3}, 1)})[0];
    const std::int64_t m = std::min<std::int64_t>(std::max<std::int64_t>(n, 0), 100);
    EXPECT_EQ(got.data<float>()[0],
              ramp({3}, 1).data<float>()[0] + static_cast<float>(m * (m - 1) / 2));
  }
}

TEST(ControlTest, states_may_be_swapped_fixed_and_unused) {
  const Value a = make_input({imm(4)}, kFloat32, "a"), b = make_input({imm(4)}, kFloat32, "b");
  LoopParts loop;
  loop.op = "fori_loop";
  loop.count = imm(3);
  loop.init = {a, b, a, b};
  loop.iteration = make_input({}, kInt64, "i");
  for (int i = 0; i < 4; ++i) loop.states.push_back(make_input({imm(4)}, kFloat32, "s"));
  loop.next = {loop.states[1], loop.states[0], loop.states[2],
               make_op("add", {loop.states[3], loop.states[2]})};
  std::vector<Value> results = make_loop(loop);
  const Array x = ramp({4}, 1), y = ramp({4}, 3);
  const CompiledNetwork network = compile_on_host({a, b}, {results[0], results[1], results[2]});
  EXPECT_NE(network.report().find("2 states"), std::string::npos) << network.report();
  const std::vector<Array> got = network.executable.call(std::vector<Array>{x, y});
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(got[0].data<float>()[i], y.data<float>()[i]);
    EXPECT_EQ(got[1].data<float>()[i], x.data<float>()[i]);
    EXPECT_EQ(got[2].data<float>()[i], x.data<float>()[i]);
  }
  const CompiledNetwork sum = compile_on_host({a, b}, {results[3]});
  EXPECT_NE(sum.report().find("1 states"), std::string::npos) << sum.report();
  EXPECT_EQ(sum.executable.call(std::vector<Array>{x, y})[0].data<float>()[0],
            y.data<float>()[0] + 3 * x.data<float>()[0]);
}

TEST(ControlTest, what_does_not_change_is_computed_before_the_loop) {
  const Value x = make_input({te::symbol("n"), imm(8)}, kFloat32, "x");
  const Value w = make_input({imm(8), imm(8)}, kFloat32, "w");
  LoopParts loop;
  loop.op = "scan";
  loop.count = x->shape[0];
  loop.init = {make_constant(Array::zeros({8}, kFloat32))};
  loop.stacked = {x};
  loop.iteration = make_input({}, kInt64, "t");
  loop.states = {make_input({imm(8)}, kFloat32, "s")};
  loop.slices = {make_input({imm(8)}, kFloat32, "row")};
  const Value product =
      make_op("sum", {make_op("matmul", {w, w})}, {{"axes", std::vector<std::int64_t>{0}}});
  loop.next = {make_op("add", {make_op("add", {loop.states[0], loop.slices[0]}), product})};
  const CompiledNetwork network = compile_on_host({x, w}, {make_loop(loop)[0]});
  ASSERT_GE(network.calls.size(), 2U);
  EXPECT_EQ(network.calls[0].depth, 0) << network.report();
  EXPECT_EQ(network.calls.back().depth, 1);
  EXPECT_EQ(network.calls.back().operators.size(), 2U) << network.report();
}

template <typename E, typename F>
void expect_message(F&& f, const std::string& start, const std::string& code) {
  try {
    f();
    FAIL() << "expected " << start;
  } catch (const E& e) {
    EXPECT_EQ(std::string(e.what()).substr(0, start.size()), start);
    EXPECT_NE(std::string(e.what()).find(code), std::string::npos) << e.what();
  }
}

TEST(ControlTest, what_does_not_fit_is_named) {
  const Value x = make_input({te::symbol("n"), imm(8)}, kFloat32, "x");
  LoopParts loop;
  loop.op = "scan";
  loop.count = x->shape[0];
  loop.names = {"carry['h']"};
  loop.init = {make_constant(Array::zeros({8}, kFloat32))};
  loop.stacked = {x};
  loop.iteration = make_input({}, kInt64, "t");
  loop.states = {make_input({imm(8)}, kFloat32, "s")};
  loop.slices = {make_input({imm(8)}, kFloat32, "row")};
  const Value sum = make_op("add", {loop.states[0], loop.slices[0]});
  loop.next = {make_op("reshape", {sum}, {{"shape", std::vector<Expr>{imm(2), imm(4)}}})};
  expect_message<ShapeError>([&] { make_loop(loop); },
                             "scan: state 'carry['h']' is float32[8] at first and float32[2, 4] "
                             "after an iteration",
                             "E0423");
  loop.next = {make_op("cast", {sum}, {{"dtype", kInt32}})};
  expect_message<DTypeError>([&] { make_loop(loop); },
                             "scan: state 'carry['h']' is float32[8] at first and int32[8]",
                             "E0522");
  loop.next = {sum};
  LoopParts short_one = loop;
  short_one.count = imm(7);
  expect_message<ShapeError>([&] { make_loop(short_one); },
                             "scan: float32[n, 8] is scanned along its first axis, which should "
                             "have the size 7",
                             "E0424");
  LoopParts conditional = loop;
  conditional.condition = make_op("less", {sum, number(1)});
  expect_message<ShapeError>([&] { make_loop(conditional); },
                             "scan: the condition is bool[8], expected a scalar", "E0425");
  expect_message<DTypeError>([&] { make_if(number(1), {}, {}, {}, 0); },
                             "cond: the predicate is float32[], expected bool", "E0523");
  const Value yes = make_constant(Array::zeros({}, kBoolType));
  expect_message<ShapeError>([&] { make_if(yes, {}, {{}, {sum}}, {{}, {number(1)}}, 0); },
                             "cond: result 0 is float32[8] if the predicate holds and float32[] "
                             "if not",
                             "E0426");
  expect_message<DTypeError>([&] { make_if(yes, {}, {{}, {yes}}, {{}, {number(1)}}, 0); },
                             "cond: result 0 is bool[] if the predicate holds", "E0524");
}

TEST(ControlTest, kernels_of_bodies_say_where_their_operands_come_from) {
  const Value x = make_input({imm(4), imm(3)}, kFloat32, "x");
  const Value init = make_op("exp", {x});
  LoopParts parts;
  parts.op = "scan";
  parts.count = imm(4);
  parts.init = {make_op("sum", {init}, {{"axes", std::vector<std::int64_t>{0}}})};
  parts.stacked = {x};
  parts.iteration = make_input({}, kInt64, "i");
  parts.states = {make_input({imm(3)}, kFloat32, "s")};
  parts.slices = {make_input({imm(3)}, kFloat32, "row")};
  parts.next = {make_op("tanh", {make_op("add", {parts.states[0], parts.slices[0]})})};
  const std::vector<Value> results = make_loop(parts);
  const CompiledNetwork network =
      compile({x}, {results[0]}, "loop", Target::host(), {.use_cache = false});
  const KernelCall& body = network.calls.back();
  ASSERT_EQ(body.depth, 1) << network.report();
  ASSERT_EQ(body.inputs.size(), 2U);
  EXPECT_EQ(body.inputs[0].from, "loop");
  EXPECT_EQ(body.inputs[0].call, 0);  // the sum, of the first state
  EXPECT_EQ(body.inputs[1].from, "loop");
  EXPECT_EQ(body.inputs[1].name, "x");
  EXPECT_EQ(body.outputs, std::vector<std::string>{"result"});
  for (const MemoryBlock& b : network.memory({{4, 3}}).blocks) EXPECT_LE(b.first, b.last);
}

}  // namespace
}  // namespace tenon::graph
