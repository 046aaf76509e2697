// Every operation on every dtype, scalar and vector, over edge values, against ir/scalar_ops.h.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "codegen/edge_values.h"
#include "codegen/kernel_runner.h"
#include "tenon/ir/scalar_ops.h"

namespace tenon::testing {
namespace {

struct Case {
  DType dtype;
  int lanes;
};
std::string name_of(const ::testing::TestParamInfo<Case>& info) {
  return to_string(info.param.dtype) + "_x" + std::to_string(info.param.lanes);
}
std::vector<Case> cases(const std::vector<DType>& dtypes) {
  std::vector<Case> out;
  for (const DType t : dtypes) {
    for (const int lanes : {1, 4, 16, 64}) out.push_back({t, lanes});
  }
  return out;
}

/// out[op * n + i] = x[i] op y[i] for every op; comparisons go to `truths`.
Function binary_kernel(const std::vector<BinaryOp>& ops, DType dtype, int lanes, std::int64_t n) {
  const auto num_ops = static_cast<std::int64_t>(ops.size());
  const Buffer x = make_buffer("x", dtype, {imm(n)}), y = make_buffer("y", dtype, {imm(n)});
  const Buffer out = make_buffer("out", dtype, {imm(n * num_ops)});
  const Buffer truths = make_buffer("truths", kBoolType, {imm(n * num_ops)});
  const Expr i = var("i");
  std::vector<Stmt> body;
  for (std::int64_t k = 0; k < num_ops; ++k) {
    const BinaryOp op = ops[static_cast<std::size_t>(k)];
    const Expr value =
        make<BinaryNode>(op, load_lanes(x, i * lanes, lanes), load_lanes(y, i * lanes, lanes));
    body.push_back(store_lanes(is_comparison(op) ? truths : out, i * lanes + k * n, value));
  }
  return loop_function("binary", {x, y}, {out, truths},
                       make_for(i, imm(0), imm(n / lanes), make_seq(body)));
}

class BinaryOps : public ::testing::TestWithParam<Case> {};

TEST_P(BinaryOps, agree_with_scalar_ops_on_all_pairs_of_edge_values) {
  const auto [dtype, lanes] = GetParam();
  using B = BinaryOp;
  std::vector<B> ops = {B::kAdd, B::kSub, B::kMul, B::kMin, B::kMax, B::kEq,
                        B::kNe,  B::kLt,  B::kLe,  B::kGt,  B::kGe};
  if (dtype.is_float()) ops.push_back(B::kDiv);
  if (dtype.is_int()) {
    ops.insert(ops.end(),
               {B::kFloorDiv, B::kFloorMod, B::kBitAnd, B::kBitOr, B::kBitXor, B::kShl, B::kShr});
  }
  if (dtype.is_bool()) ops = {B::kEq, B::kNe, B::kLt, B::kMin, B::kMax, B::kAnd, B::kOr};
  const std::vector<std::int64_t> ints = int_values(dtype.is_float() ? kInt32 : dtype);
  const std::vector<double> floats = float_values(dtype.is_float() ? dtype : kFloat64);
  const auto count = static_cast<std::int64_t>(dtype.is_float() ? floats.size() : ints.size());
  const std::int64_t n = count * count;
  ASSERT_EQ(n % 64, 0);
  const auto num_ops = static_cast<std::int64_t>(ops.size());
  const auto value_at = [&](std::int64_t i) { return static_cast<std::size_t>(i); };

  for (const Target& target : runnable_targets()) {
    Cells x(dtype, n), y(dtype, n), out(dtype, n * num_ops), truths(kBoolType, n * num_ops);
    for (std::int64_t i = 0; i < n; ++i) {
      if (dtype.is_float()) {
        x.set_float(i, floats[value_at(i / count)]);
        y.set_float(i, floats[value_at(i % count)]);
      } else {
        x.set_int(i, ints[value_at(i / count)]);
        y.set_int(i, ints[value_at(i % count)]);
      }
    }
    const RunResult run = run_kernel(binary_kernel(ops, dtype, lanes, n),
                                     {x.data(), y.data(), out.data(), truths.data()}, {target});
    ASSERT_EQ(run.status, 0);
    for (std::int64_t k = 0; k < num_ops; ++k) {
      const B op = ops[static_cast<std::size_t>(k)];
      for (std::int64_t i = 0; i < n; ++i) {
        const std::int64_t at = k * n + i;
        std::string what = std::string(to_string(op)) + " on " + target.mcpu + " of ";
        if (dtype.is_float()) {
          const double a = x.float_at(i), b = y.float_at(i);
          what += std::to_string(a) + ", " + std::to_string(b);
          if (is_comparison(op)) {
            ASSERT_EQ(truths.int_at(at), eval_compare(op, a, b)) << what;
          } else {
            const double want = eval_float(op, dtype, a, b);
            ASSERT_TRUE(same_float(out.float_at(at), want))
                << what << ": " << out.float_at(at) << " is not " << want;
          }
        } else {
          const std::int64_t a = x.int_at(i), b = y.int_at(i);
          what += std::to_string(a) + ", " + std::to_string(b);
          const Cells& results = is_comparison(op) ? truths : out;
          ASSERT_EQ(results.int_at(at), eval_int(op, dtype, a, b)) << what;
        }
      }
    }
  }
}
INSTANTIATE_TEST_SUITE_P(ints, BinaryOps, ::testing::ValuesIn(cases(kInts)), name_of);
INSTANTIATE_TEST_SUITE_P(floats, BinaryOps, ::testing::ValuesIn(cases(kFloats)), name_of);

class UnaryOps : public ::testing::TestWithParam<Case> {};

TEST_P(UnaryOps, agree_with_scalar_ops) {
  const auto [dtype, lanes] = GetParam();
  std::vector<UnaryOp> ops = {UnaryOp::kNeg,  UnaryOp::kAbs,   UnaryOp::kSqrt, UnaryOp::kFloor,
                              UnaryOp::kCeil, UnaryOp::kTrunc, UnaryOp::kRound};
  std::vector<double> values = float_values(dtype);
  while (values.size() < 64) values.push_back(round_to(dtype, values.size() * 0.25 - 8.0));
  const Buffer x = make_buffer("x", dtype, {imm(64)});
  const Buffer out = make_buffer("out", dtype, {imm(64 * 7)});
  const Expr i = var("i");
  std::vector<Stmt> body;
  for (std::size_t k = 0; k < ops.size(); ++k) {
    body.push_back(store_lanes(out, i * lanes + static_cast<std::int64_t>(k) * 64,
                               unary(ops[k], load_lanes(x, i * lanes, lanes))));
  }
  const Function f =
      loop_function("unary", {x}, {out}, make_for(i, imm(0), imm(64 / lanes), make_seq(body)));
  for (const Target& target : runnable_targets()) {
    Cells input(dtype, 64), output(dtype, 64 * 7);
    for (std::int64_t j = 0; j < 64; ++j) input.set_float(j, values[static_cast<std::size_t>(j)]);
    ASSERT_EQ(run_kernel(f, {input.data(), output.data()}, {target}).status, 0);
    for (std::size_t k = 0; k < ops.size(); ++k) {
      for (std::int64_t j = 0; j < 64; ++j) {
        const double want = eval_float(ops[k], dtype, input.float_at(j));
        const double got = output.float_at(static_cast<std::int64_t>(k) * 64 + j);
        ASSERT_TRUE(same_float(got, want)) << to_string(ops[k]) << " of " << input.float_at(j)
                                           << ": " << got << " is not " << want;
      }
    }
  }
}
INSTANTIATE_TEST_SUITE_P(floats, UnaryOps, ::testing::ValuesIn(cases(kFloats)), name_of);

/// What `cast` means, by the scalar operations.
void expect_cast(DType from, DType to, const Cells& in, const Cells& out, std::int64_t i) {
  const std::string what =
      "cast of element " + std::to_string(i) + " from " + to_string(from) + " to " + to_string(to);
  if (from.is_float() && to.is_float()) {
    ASSERT_TRUE(same_float(out.float_at(i), round_to(to, in.float_at(i))))
        << what << ": " << in.float_at(i) << " gave " << out.float_at(i);
  } else if (from.is_float()) {
    ASSERT_EQ(out.int_at(i), float_to_int(to, in.float_at(i))) << what << " " << in.float_at(i);
  } else if (to.is_float()) {
    ASSERT_TRUE(same_float(out.float_at(i), int_to_float(from, in.int_at(i), to))) << what;
  } else {
    const std::int64_t v = in.int_at(i);
    ASSERT_EQ(out.int_at(i), to.is_bool() ? v != 0 : wrap_int(to, v)) << what << " " << v;
  }
}

class Casts : public ::testing::TestWithParam<Case> {};

TEST_P(Casts, agree_with_scalar_ops) {
  const auto [from, lanes] = GetParam();
  constexpr std::int64_t kSize = 64;
  std::vector<DType> dtypes = kInts;
  dtypes.insert(dtypes.end(), kFloats.begin(), kFloats.end());
  const Buffer x = make_buffer("x", from, {imm(kSize)});
  std::vector<Buffer> outs;
  std::vector<Stmt> body;
  const Expr i = var("i");
  for (const DType to : dtypes) {
    outs.push_back(make_buffer("out_" + to_string(to), to, {imm(kSize)}));
    const Expr value = make<CastNode>(to.with_lanes(lanes), load_lanes(x, i * lanes, lanes));
    body.push_back(store_lanes(outs.back(), i * lanes, value));
  }
  const Function f =
      loop_function("casts", {x}, outs, make_for(i, imm(0), imm(kSize / lanes), make_seq(body)));
  Cells input(from, kSize);
  const std::vector<double> floats = float_values(from.is_float() ? from : kFloat64);
  const std::vector<std::int64_t> ints = int_values(from.is_float() ? kInt32 : from);
  for (std::int64_t j = 0; j < kSize; ++j) {
    const auto at = static_cast<std::size_t>(j);
    if (from.is_float()) {
      const double near_tie = 1.0 + 0x1p-11 + 0x1p-40 * static_cast<double>(j % 3 - 1);
      input.set_float(j, at < 16 ? floats[at] : at < 24 ? near_tie : (j - 40) * 5.3e8 * (j % 7));
    } else {
      input.set_int(j, at < 16 ? ints[at] : wrap_int(from, (j - 40) * 0x1234567890abL));
    }
  }
  for (const Target& target : runnable_targets()) {
    std::vector<Cells> outputs;
    for (const DType to : dtypes) outputs.emplace_back(to, kSize);
    std::vector<void*> buffers = {input.data()};
    for (Cells& c : outputs) buffers.push_back(c.data());
    ASSERT_EQ(run_kernel(f, buffers, {target}).status, 0);
    for (std::size_t k = 0; k < dtypes.size(); ++k) {
      if (dtypes[k] == from) continue;
      for (std::int64_t j = 0; j < kSize; ++j) expect_cast(from, dtypes[k], input, outputs[k], j);
    }
  }
}
std::vector<Case> cast_cases() {
  std::vector<DType> dtypes = kInts;
  dtypes.insert(dtypes.end(), kFloats.begin(), kFloats.end());
  std::vector<Case> out;
  for (const DType t : dtypes) {
    for (const int lanes : {1, 16}) out.push_back({t, lanes});
  }
  return out;
}
INSTANTIATE_TEST_SUITE_P(all, Casts, ::testing::ValuesIn(cast_cases()), name_of);

}  // namespace
}  // namespace tenon::testing
