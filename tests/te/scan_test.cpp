#include "tenon/te/scan.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "te/expressions.h"
#include "tenon/ir/interpret.h"
#include "tenon/ir/print.h"
#include "tenon/ir/verify.h"
#include "tenon/te/scatter.h"

namespace tenon::te {
namespace {

template <typename T>
ArrayView view(std::vector<T>& data, std::vector<std::int64_t> shape, DType dtype) {
  return {data.data(), dtype, std::move(shape)};
}
ArrayView view(std::vector<float>& data, std::vector<std::int64_t> shape) {
  return view(data, std::move(shape), kFloat32);
}

/// h(t)[j] = x[t, j] + sum over k of h(t - 1)[k] W[k, j].
Function linear_recurrence(const Expr& steps, const Expr& size) {
  Tensor x = placeholder({steps, size}, kFloat32, "x"),
         w = placeholder({size, size}, kFloat32, "W");
  Tensor start = placeholder({size}, kFloat32, "start");
  const auto step = [&](const Expr& t, const std::vector<Tensor>& before) {
    IterVar k = reduce_axis(size, "k");
    return std::vector<Tensor>{compute(
        {size},
        [&](const Indices& v) {
          return read(x, {t, v[0]}) + sum(read(before[0], {k.var}) * read(w, {k.var, v[0]}), {k});
        },
        "next")};
  };
  return function({x, w, start}, {scan(steps, {start}, step, "h")[0]}, "recurrence");
}

TEST(TeScanTest, is_a_loop_over_the_blocks_of_its_step) {
  EXPECT_NO_THROW(verify(linear_recurrence(imm(3), imm(2))));
  EXPECT_EQ(
      print(linear_recurrence(imm(3), imm(2))),
      R"(function recurrence(x: float32[3, 2], W: float32[2, 2], start: float32[2]) -> (h: float32[3, 2])
  alloc h_before: float32[3, 2]
  alloc h_sum: float32[3, 2]
  for t in 0..3
    for i in 0..2
      block h_before
        spatial vt in 0..3 = t
        spatial vi in 0..2 = i
        reads h[vt - 1, vi], start[vi]
        writes h_before[vt, vi]
        h_before[vt, vi] = select(vt > 0, h[vt - 1, vi], start[vi])
    for i in 0..2
      for k in 0..2
        block h_sum {reduction_order="chain"}
          spatial vt in 0..3 = t
          spatial vi in 0..2 = i
          reduction vk in 0..2 = k
          reads h_before[vt, vk], W[vk, vi], h_sum[vt, vi]
          writes h_sum[vt, vi]
          init
            h_sum[vt, vi] = 0.0
          h_sum[vt, vi] = fma(h_before[vt, vk], W[vk, vi], h_sum[vt, vi])
    for i in 0..2
      block h
        ordered vt in 0..3 = t
        spatial vi in 0..2 = i
        reads x[vt, vi], h_sum[vt, vi]
        writes h[vt, vi]
        h[vt, vi] = x[vt, vi] + h_sum[vt, vi]
)");
}

TEST(TeScanTest, symbolic_steps_have_the_values_of_a_loop) {
  const Function f = linear_recurrence(symbol("steps"), symbol("size"));
  for (const auto& [steps, size] : {std::pair{5, 3}, std::pair{1, 4}, std::pair{0, 2}}) {
    const auto n = static_cast<std::size_t>(size);
    std::vector<float> x(static_cast<std::size_t>(steps) * n), w(n * n), start(n), h(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = 0.1F * static_cast<float>(i % 7);
    for (std::size_t i = 0; i < w.size(); ++i) w[i] = 0.3F - 0.05F * static_cast<float>(i);
    std::iota(start.begin(), start.end(), 1.0F);
    std::vector<float> expected, before = start;
    for (std::size_t t = 0; t < static_cast<std::size_t>(steps); ++t) {
      std::vector<float> next(n);
      for (std::size_t j = 0; j < n; ++j) {
        float dot = 0;
        for (std::size_t k = 0; k < n; ++k) dot = std::fma(before[k], w[k * n + j], dot);
        next[j] = x[t * n + j] + dot;
      }
      expected.insert(expected.end(), next.begin(), next.end());
      before = next;
    }
    interpret(f, {view(x, {steps, size}), view(w, {size, size}), view(start, {size}),
                  view(h, {steps, size})})
        .check();
    EXPECT_EQ(h, expected) << steps << " " << size;
  }
}

/// (a, b)(t) = (b + x[t], a): the second state is the first one's past.
TEST(TeScanTest, states_that_are_exchanged_and_the_last_of_each) {
  const Expr n = symbol("n");
  Tensor x = placeholder({n}, kInt64, "x"), a0 = placeholder({}, kInt64, "a0");
  Tensor b0 = placeholder({}, kInt64, "b0");
  const auto step = [&](const Expr& t, const std::vector<Tensor>& s) {
    Tensor a = compute({}, [&](const Indices&) { return read(s[1], {}) + read(x, {t}); }, "a");
    return std::vector<Tensor>{a, s[0]};
  };
  const std::vector<Tensor> states = scan(n, {a0, b0}, step, "s");
  const Function f =
      function({x, a0, b0}, {states[1], last_state(states[0]), last_state(states[1])}, "f");
  for (const std::int64_t size : {0, 1, 4}) {
    std::vector<std::int64_t> in = {1, 10, 100, 1000}, start = {7}, second = {20};
    in.resize(static_cast<std::size_t>(std::max<std::int64_t>(size, 1)));
    std::vector<std::int64_t> all(in.size()), last_a(1), last_b(1), expected;
    std::int64_t a = 7, b = 20;
    for (std::size_t t = 0; t < static_cast<std::size_t>(size); ++t) {
      expected.push_back(a);
      a = std::exchange(b, a) + in[t];
    }
    interpret(f, {view(in, {size}, kInt64), view(start, {}, kInt64), view(second, {}, kInt64),
                  view(all, {size}, kInt64), view(last_a, {}, kInt64), view(last_b, {}, kInt64)})
        .check();
    all.resize(expected.size());
    EXPECT_EQ(all, expected);
    EXPECT_EQ(last_a[0], a);
    EXPECT_EQ(last_b[0], b);
  }
}

TEST(TeScanTest, scan_within_a_scan) {
  Tensor x = placeholder({imm(3), imm(4)}, kInt64, "x"), zero = placeholder({}, kInt64, "zero");
  // Each outer step adds up a row, beginning with twice the state before.
  const auto outer = [&](const Expr& t, const std::vector<Tensor>& s) {
    Tensor twice = compute({}, [&](const Indices&) { return read(s[0], {}) * 2; }, "twice");
    const auto inner = [&](const Expr& u, const std::vector<Tensor>& r) {
      return std::vector<Tensor>{
          compute({}, [&](const Indices&) { return read(r[0], {}) + read(x, {t, u}); }, "add")};
    };
    return std::vector<Tensor>{last_state(scan(imm(4), {twice}, inner, "row")[0])};
  };
  const Function f = function({x, zero}, {scan(imm(3), {zero}, outer, "rows")[0]}, "f");
  std::vector<std::int64_t> in(12), start = {5}, out(3);
  std::iota(in.begin(), in.end(), 1);
  interpret(f, {view(in, {3, 4}, kInt64), view(start, {}, kInt64), view(out, {3}, kInt64)}).check();
  EXPECT_EQ(out, (std::vector<std::int64_t>{20, 66, 174}));
}

TEST(TeScanTest, scatter_within_a_step) {
  Tensor at = placeholder({imm(4)}, kInt64, "at"), start = placeholder({imm(3)}, kInt64, "start");
  const auto step = [&](const Expr& t, const std::vector<Tensor>& s) {
    Tensor one = compute({imm(1)}, [&](const Indices&) { return t + 1; }, "one");
    const auto place = [&](const Indices&) { return Indices{read(at, {t})}; };
    return std::vector<Tensor>{scatter(s[0], PlaceFunction(place), one, ScatterMode::kAdd, "bump")};
  };
  const Function f = function({at, start}, {last_state(scan(imm(4), {start}, step, "s")[0])}, "f");
  std::vector<std::int64_t> places = {2, 0, 2, 1}, zero = {0, 0, 0}, out(3);
  interpret(f, {view(places, {4}, kInt64), view(zero, {3}, kInt64), view(out, {3}, kInt64)})
      .check();
  EXPECT_EQ(out, (std::vector<std::int64_t>{2, 4, 4}));
}

TEST(TeScanTest, running_sums_along_each_axis) {
  for (const int axis : {0, 1, -1}) {
    const Expr m = symbol("m"), n = symbol("n");
    Tensor x = placeholder({m, n}, kFloat32, "x");
    const Function f = function({x}, {cumsum(x, axis, "y")}, "f");
    std::vector<float> in = {-0.0F, 1, 2, 3, 4, 5}, out(6);
    interpret(f, {view(in, {2, 3}), view(out, {2, 3})}).check();
    EXPECT_EQ(out, (axis == 0 ? std::vector<float>{0, 1, 2, 3, 5, 7}
                              : std::vector<float>{0, 1, 3, 3, 7, 12}));
    EXPECT_TRUE(std::signbit(out[0]));
  }
}

TEST(TeScanTest, narrow_running_sums_are_rounded_once_each) {
  Tensor x = placeholder({imm(600)}, DType::bfloat16(), "x");
  std::vector<std::uint16_t> in(600, 0x3F80), out(600);  // ones
  const Function f = function({x}, {cumsum(x)}, "f");
  interpret(f, {view(in, {600}, DType::bfloat16()), view(out, {600}, DType::bfloat16())}).check();
  EXPECT_EQ(out[599], 0x4416) << "600; sums rounded at each step would stay at 256";
}

TEST(TeScanTest, knows_what_its_step_uses) {
  Tensor x = placeholder({imm(4)}, kFloat32, "x"), start = placeholder({}, kFloat32, "start");
  Tensor outside =
      compute({imm(4)}, [&](const Indices& v) { return read(x, v) + read(x, v); }, "o");
  const auto step = [&](const Expr& t, const std::vector<Tensor>& s) {
    return std::vector<Tensor>{
        compute({}, [&](const Indices&) { return read(s[0], {}) + read(outside, {t}); }, "n")};
  };
  const Tensor h = scan(imm(4), {start}, step)[0];
  ASSERT_EQ(h->scan->operands.size(), 1U);
  EXPECT_TRUE(h->scan->operands[0].same_as(outside));
  ASSERT_EQ(h->scan->body.size(), 1U);
  EXPECT_TRUE(h->scan->body[0].same_as(h->scan->next[0]));
  EXPECT_EQ(operands_of(h).size(), 2U);
}

// --- mistakes

template <typename E, typename F>
void expect_error(const std::string& code, const std::string& message, F&& program) {
  try {
    program();
    ADD_FAILURE() << "no error, expected: " << message;
  } catch (const E& e) {
    EXPECT_EQ(e.code(), code);
    EXPECT_NE(std::string(e.what()).find(message), std::string::npos) << e.what();
  }
}

struct TeScanErrorTest : testing::Test {
  Tensor start = placeholder({imm(2)}, kFloat32, "start");
  static Tensor same(const Tensor& s) {
    return compute(s->shape, [&](const Indices& v) { return read(s, v); }, "same");
  }
  using States = std::vector<Tensor>;
};

TEST_F(TeScanErrorTest, states) {
  expect_error<ExpressionError>("E0116", "the step of scan 'h' gives 2 tensors, expected 1", [&] {
    scan(imm(3), {start}, [](const Expr&, const States& s) { return States{s[0], s[0]}; }, "h");
  });
  expect_error<ExpressionError>("E0116", "scan 'h' has no state", [&] {
    scan(imm(3), {}, [](const Expr&, const States& s) { return s; }, "h");
  });
  Tensor wide = placeholder({imm(3)}, kFloat32, "wide"),
         whole = placeholder({imm(2)}, kInt32, "whole");
  expect_error<ShapeError>(
      "E0408", "state 0 of scan 'h' has shape [3] after a step, expected [2]", [&] {
        scan(imm(3), {start}, [&](const Expr&, const States&) { return States{wide}; }, "h");
      });
  expect_error<DTypeError>(
      "E0509", "state 0 of scan 'h' has dtype int32 after a step, expected float32", [&] {
        scan(imm(3), {start}, [&](const Expr&, const States&) { return States{whole}; }, "h");
      });
  expect_error<ShapeError>("E0401", "is -1", [&] {
    scan(imm(-1), {start}, [](const Expr&, const States& s) { return s; }, "h");
  });
}

TEST_F(TeScanErrorTest, tensors_of_a_step_outside_of_it) {
  Tensor leaked, counted;
  Expr step;
  const Tensor h = scan(imm(3), {start}, [&](const Expr& t, const States& s) {
    step = t;
    leaked = same(s[0]);
    counted = compute({}, [&](const Indices&) { return t + 1; }, "counted");
    return States{leaked};
  })[0];
  expect_error<ExpressionError>(
      "E0117", "'scan_before', a state within a scan, is used outside of the scan's step",
      [&] { function({start}, {h, leaked}, "f"); });
  expect_error<ExpressionError>("E0103", "axis 't' is used outside",
                                [&] { function({start}, {counted}, "f"); });
  expect_error<ExpressionError>("E0103", "axis 't' is used outside",
                                [&] { compute({}, [&](const Indices&) { return step; }, "late"); });
}

TEST_F(TeScanErrorTest, running_sums) {
  expect_error<ShapeError>("E0409", "axis 1 does not exist in tensor 'start' of shape [2]",
                           [&] { cumsum(start, 1); });
  Tensor flags = placeholder({imm(2)}, kBoolType, "flags");
  expect_error<DTypeError>("E0504", "cumsum 'cumsum' needs numbers, got bool",
                           [&] { cumsum(flags); });
}

}  // namespace
}  // namespace tenon::te
