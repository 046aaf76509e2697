#include "tenon/te/scan.h"

#include <gtest/gtest.h>

#include <cstring>

#include "rules/comparison.h"
#include "tenon/driver/build.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/interpret.h"
#include "tenon/ir/print.h"
#include "tenon/rules/default_schedule.h"
#include "tenon/te/expr.h"

namespace tenon {
namespace {

using Indices = std::vector<Expr>;
using te::read;
using te::Tensor;

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string scheduled(const Function& f) {
  return print(default_schedule(f, Target::host()).function());
}

/// An LSTM over [steps, batch, inputs]: every hidden state, and the last cell state.
Function lstm(const Expr& steps, const Expr& batch, std::int64_t inputs, std::int64_t size) {
  const Expr h = imm(size), in = imm(inputs);
  Tensor x = te::placeholder({steps, batch, in}, kFloat32, "x");
  Tensor w = te::placeholder({in, imm(4 * size)}, kFloat32, "W");
  Tensor u = te::placeholder({h, imm(4 * size)}, kFloat32, "U");
  Tensor bias = te::placeholder({imm(4 * size)}, kFloat32, "bias");
  Tensor h0 = te::placeholder({batch, h}, kFloat32, "h0");
  Tensor c0 = te::placeholder({batch, h}, kFloat32, "c0");
  IterVar k = te::reduce_axis(in, "k");
  Tensor projected = te::compute(
      {steps, batch, imm(4 * size)},
      [&](const Indices& v) {
        return te::sum(read(x, {v[0], v[1], k.var}) * read(w, {k.var, v[2]}), {k}) +
               read(bias, {v[2]});
      },
      "projected");
  const auto step = [&](const Expr& t, const std::vector<Tensor>& s) {
    IterVar r = te::reduce_axis(h, "r");
    Tensor gates = te::compute(
        {batch, imm(4 * size)},
        [&](const Indices& v) {
          return read(projected, {t, v[0], v[1]}) +
                 te::sum(read(s[0], {v[0], r.var}) * read(u, {r.var, v[1]}), {r});
        },
        "gates");
    const auto gate = [&](const char* f, const Indices& v, int which) {
      return te::math(f, {read(gates, {v[0], v[1] + which * size})});
    };
    Tensor c = te::compute(
        {batch, h},
        [&](const Indices& v) {
          return gate("sigmoid", v, 1) * read(s[1], v) + gate("sigmoid", v, 0) * gate("tanh", v, 2);
        },
        "c");
    Tensor out = te::compute(
        {batch, h},
        [&](const Indices& v) { return gate("sigmoid", v, 3) * te::math("tanh", {read(c, v)}); },
        "out");
    return std::vector<Tensor>{out, c};
  };
  const std::vector<Tensor> states = te::scan(steps, {h0, c0}, step, "state");
  return te::function({x, w, u, bias, h0, c0}, {states[0], te::last_state(states[1])}, "lstm");
}

std::vector<Array> lstm_inputs(std::int64_t steps, std::int64_t batch, std::int64_t inputs,
                               std::int64_t size) {
  return {random_array({steps, batch, inputs}, 1), random_array({inputs, 4 * size}, 2),
          random_array({size, 4 * size}, 3),       random_array({4 * size}, 4),
          random_array({batch, size}, 5),          random_array({batch, size}, 6)};
}

TEST(ScanRuleTest, lstm_has_the_bits_of_the_loops) {
  expect_same_results(lstm(imm(4), imm(5), 9, 40), lstm_inputs(4, 5, 9, 40), Agreement::kBits);
}

TEST(ScanRuleTest, lstm_of_symbolic_steps_and_batch) {
  const Function f = lstm(te::symbol("steps"), te::symbol("batch"), 6, 24);
  expect_same_results(f, lstm_inputs(3, 7, 6, 24), Agreement::kBits);
}

TEST(ScanRuleTest, compiled_lstm_has_the_bits_of_the_interpreter) {
  const Function f = lstm(imm(3), imm(6), 5, 64);
  const std::vector<Array> inputs = lstm_inputs(3, 6, 5, 64);
  const std::vector<Array> got = call_default(f, Target::host(), inputs);
  std::vector<Array> outputs = {Array::empty({3, 6, 64}, kFloat32),
                                Array::empty({6, 64}, kFloat32)};
  std::vector<ArrayView> views;
  const auto add_view = [&](const Array& a) {
    const auto dims = a.shape();
    views.push_back({const_cast<void*>(a.raw()), a.dtype(), {dims.begin(), dims.end()}});
  };
  for (const Array& a : inputs) add_view(a);
  for (const Array& a : outputs) add_view(a);
  interpret(default_schedule(f, Target::host()).function(), views).check();
  for (std::size_t k = 0; k < 2; ++k) {
    EXPECT_EQ(
        std::memcmp(got[k].raw(), outputs[k].raw(), static_cast<std::size_t>(got[k].nbytes())), 0);
  }
}

TEST(ScanRuleTest, matmul_of_the_state_is_tiled_in_registers) {
  const std::string text = scheduled(lstm(imm(28), imm(64), 28, 128));
  EXPECT_TRUE(holds(text, "alloc gates_sum: float32[28, 64, 512] register")) << text;
  EXPECT_TRUE(holds(text, "  for t in 0..28\n")) << "time is serial\n" << text;
}

TEST(ScanRuleTest, running_sums_run_their_columns_in_lanes_and_in_parallel) {
  Tensor x = te::placeholder({imm(100), imm(700)}, kFloat32, "x");
  const Function f = te::function({x}, {te::cumsum(x, 0, "y")}, "cumsum");
  const std::string text = scheduled(f);
  EXPECT_TRUE(holds(text, "parallel for i")) << text;
  EXPECT_TRUE(holds(text, "vectorized")) << text;
  EXPECT_FALSE(holds(text, "before")) << text;
  expect_same_results(f, {random_array({100, 700}, 1)}, Agreement::kBits);
}

TEST(ScanRuleTest, running_sums_of_symbolic_sizes_and_other_dtypes) {
  for (const DType dtype : {kFloat32, DType::bfloat16()}) {
    Tensor x = te::placeholder({te::symbol("m"), te::symbol("n")}, dtype, "x");
    const Function f = te::function({x}, {te::cumsum(x, 1, "y")}, "cumsum");
    for (const auto& [m, n] : {std::pair{3, 50}, std::pair{4, 0}})
      expect_same_results(f, {random_array({m, n}, 1, dtype)}, Agreement::kBits);
  }
}

TEST(ScanRuleTest, what_is_laid_out_anew_before_the_steps_stays_so) {
  Tensor w = te::placeholder({imm(64), imm(64)}, kFloat32, "W");
  Tensor start = te::placeholder({imm(4), imm(64)}, kFloat32, "start");
  Tensor turned = te::compute(
      {imm(64), imm(64)}, [&](const Indices& v) { return read(w, {v[1], v[0]}); }, "turned");
  const auto step = [&](const Expr&, const std::vector<Tensor>& s) {
    IterVar k = te::reduce_axis(imm(64), "k");
    return std::vector<Tensor>{te::compute(
        {imm(4), imm(64)},
        [&](const Indices& v) {
          return te::math("tanh",
                          {te::sum(read(s[0], {v[0], k.var}) * read(turned, {k.var, v[1]}), {k})});
        },
        "next")};
  };
  const Function f = te::function({w, start}, {te::scan(imm(5), {start}, step, "h")[0]}, "rnn");
  EXPECT_TRUE(holds(scheduled(f), "block turned")) << scheduled(f);
  expect_same_results(f, {random_array({64, 64}, 1), random_array({4, 64}, 2)}, Agreement::kBits);
}

TEST(ScanRuleTest, rows_reduced_within_a_step) {
  Tensor x = te::placeholder({imm(3), imm(200)}, kFloat32, "x");
  Tensor start = te::placeholder({imm(3)}, kFloat32, "start");
  const auto step = [&](const Expr& t, const std::vector<Tensor>& s) {
    IterVar k = te::reduce_axis(imm(200), "k");
    return std::vector<Tensor>{te::compute(
        {imm(3)},
        [&](const Indices& v) {
          return te::sum(read(x, {v[0], k.var}) * read(s[0], {v[0]}), {k}) + te::cast(kFloat32, t);
        },
        "next")};
  };
  expect_same_results(te::function({x, start}, {te::scan(imm(4), {start}, step, "h")[0]}, "rows"),
                      {random_array({3, 200}, 1), random_array({3}, 2)}, Agreement::kClose);
}

}  // namespace
}  // namespace tenon
