// Every operation on every dtype as CUDA text, run on the CPU, over edge values, against
// ir/scalar_ops.h.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

#include "codegen/edge_values.h"
#include "codegen/kernel_runner.h"
#include "codegen/needs_nvrtc.h"
#include "cuda_on_host/host_module.h"
#include "tenon/codegen/cuda.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/scalar_ops.h"

namespace tenon::testing {
namespace {

std::vector<DType> all_dtypes() {
  std::vector<DType> out = kInts;
  out.insert(out.end(), kFloats.begin(), kFloats.end());
  return out;
}

/// `body` for `count` threads.
Stmt on_threads(const Expr& i, std::int64_t count, std::vector<Stmt> body) {
  return make_for(i, imm(0), imm(count), make_seq(std::move(body)),
                  {.kind = ForKind::kThread, .thread_axis = "threadIdx.x"});
}

struct Case {
  DType dtype;
  int lanes;
};
std::string title(const std::string& what, const Case& c) {
  return what + "_" + to_string(c.dtype) + "_x" + std::to_string(c.lanes);
}
std::vector<Case> cases(const std::vector<DType>& dtypes) {
  std::vector<Case> out;
  for (const DType t : dtypes) {
    for (const int lanes : {1, 2, 4}) out.push_back({t, lanes});
  }
  return out;
}

constexpr std::int64_t kPairs = 256;

std::vector<BinaryOp> binary_ops(DType dtype) {
  using B = BinaryOp;
  if (dtype.is_bool()) return {B::kEq, B::kNe, B::kLt, B::kMin, B::kMax, B::kAnd, B::kOr};
  std::vector<B> ops = {B::kAdd, B::kSub, B::kMul, B::kMin, B::kMax, B::kEq,
                        B::kNe,  B::kLt,  B::kLe,  B::kGt,  B::kGe};
  if (dtype.is_float()) ops.push_back(B::kDiv);
  if (dtype.is_int()) {
    ops.insert(ops.end(),
               {B::kFloorDiv, B::kFloorMod, B::kBitAnd, B::kBitOr, B::kBitXor, B::kShl, B::kShr});
  }
  return ops;
}

/// out[op * n + i] = x[i] op y[i] for every op; comparisons go to `truths`.
Function binary_kernel(const Case& c) {
  const std::vector<BinaryOp> ops = binary_ops(c.dtype);
  const auto num_ops = static_cast<std::int64_t>(ops.size());
  const Buffer x = make_buffer("x", c.dtype, {imm(kPairs)}),
               y = make_buffer("y", c.dtype, {imm(kPairs)});
  const Buffer out = make_buffer("out", c.dtype, {imm(kPairs * num_ops)});
  const Buffer truths = make_buffer("truths", kBoolType, {imm(kPairs * num_ops)});
  const Expr i = var("i");
  std::vector<Stmt> body;
  for (std::int64_t k = 0; k < num_ops; ++k) {
    const BinaryOp op = ops[static_cast<std::size_t>(k)];
    const Expr value = make<BinaryNode>(op, load_lanes(x, i * c.lanes, c.lanes),
                                        load_lanes(y, i * c.lanes, c.lanes));
    body.push_back(store_lanes(is_comparison(op) ? truths : out, i * c.lanes + k * kPairs, value));
  }
  return loop_function(title("binary", c), {x, y}, {out, truths},
                       on_threads(i, kPairs / c.lanes, body));
}

const std::vector<UnaryOp> kUnaryOps = {UnaryOp::kNeg,   UnaryOp::kAbs,  UnaryOp::kSqrt,
                                        UnaryOp::kFloor, UnaryOp::kCeil, UnaryOp::kTrunc,
                                        UnaryOp::kRound};
constexpr std::int64_t kSize = 64;

Function unary_kernel(const Case& c) {
  const Buffer x = make_buffer("x", c.dtype, {imm(kSize)});
  const Buffer out = make_buffer("out", c.dtype, {imm(kSize * 7)});
  const Expr i = var("i");
  std::vector<Stmt> body;
  for (std::size_t k = 0; k < kUnaryOps.size(); ++k) {
    body.push_back(store_lanes(out, i * c.lanes + static_cast<std::int64_t>(k) * kSize,
                               unary(kUnaryOps[k], load_lanes(x, i * c.lanes, c.lanes))));
  }
  return loop_function(title("unary", c), {x}, {out}, on_threads(i, kSize / c.lanes, body));
}

/// -x, |x| and ~x of integers, and (x + 5) // 3 and % 3, whose divisor is constant.
Function int_unary_kernel(const Case& c) {
  const Buffer x = make_buffer("x", c.dtype, {imm(kSize)});
  const Buffer out = make_buffer("out", c.dtype, {imm(kSize * 7)});
  const Expr i = var("i"), v = load_lanes(x, i * c.lanes, c.lanes);
  const auto constant = [&](std::int64_t k) { return broadcast(int_imm(c.dtype, k), c.lanes); };
  const auto apply = [&](BinaryOp op, const Expr& a, std::int64_t k) {
    return make<BinaryNode>(op, a, constant(k));
  };
  const std::vector<Expr> values = {make<UnaryNode>(UnaryOp::kNeg, v),
                                    make<UnaryNode>(UnaryOp::kAbs, v),
                                    make<UnaryNode>(UnaryOp::kBitNot, v),
                                    apply(BinaryOp::kFloorDiv, apply(BinaryOp::kAdd, v, 5), 3),
                                    apply(BinaryOp::kFloorMod, apply(BinaryOp::kAdd, v, 5), 3),
                                    apply(BinaryOp::kShl, v, 3),
                                    apply(BinaryOp::kShr, v, 3)};
  std::vector<Stmt> body;
  for (std::size_t k = 0; k < values.size(); ++k) {
    body.push_back(store_lanes(out, i * c.lanes + static_cast<std::int64_t>(k) * kSize, values[k]));
  }
  return loop_function(title("int_unary", c), {x}, {out}, on_threads(i, kSize / c.lanes, body));
}

Function cast_kernel(const Case& c) {
  const Buffer x = make_buffer("x", c.dtype, {imm(kSize)});
  std::vector<Buffer> outs;
  std::vector<Stmt> body;
  const Expr i = var("i");
  for (const DType to : all_dtypes()) {
    outs.push_back(make_buffer("out_" + to_string(to), to, {imm(kSize)}));
    const Expr value = make<CastNode>(to.with_lanes(c.lanes), load_lanes(x, i * c.lanes, c.lanes));
    body.push_back(store_lanes(outs.back(), i * c.lanes, value));
  }
  return loop_function(title("cast", c), {x}, outs, on_threads(i, kSize / c.lanes, body));
}

/// The bits of each dtype as the integer of its width, and back.
Function reinterpret_kernel(DType t) {
  const Buffer x = make_buffer("x", t, {imm(kSize)});
  const DType bits = DType::int_(t.bits);
  const Buffer out = make_buffer("out", bits, {imm(kSize)}),
               back = make_buffer("back", t, {imm(kSize)});
  const Expr i = var("i");
  const Expr value = make<ReinterpretNode>(bits, load(x, {i}));
  return loop_function("reinterpret_" + to_string(t), {x}, {out, back},
                       on_threads(i, kSize,
                                  {store(out, {i}, value),
                                   store(back, {i}, make<ReinterpretNode>(t, load(out, {i})))}));
}

struct Suite {
  std::vector<Function> functions;
  std::unique_ptr<HostModule> module;

  std::size_t add(const Function& f) {
    functions.push_back(f);
    return functions.size() - 1;
  }
};

class OperationsOnHost : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    suite_ = new Suite;
    std::vector<DType> both = all_dtypes();
    for (const Case& c : cases(both)) binary_.emplace_back(c, suite_->add(binary_kernel(c)));
    for (const Case& c : cases(kFloats)) unary_.emplace_back(c, suite_->add(unary_kernel(c)));
    for (const Case& c : cases(kInts)) {
      if (!c.dtype.is_bool()) int_unary_.emplace_back(c, suite_->add(int_unary_kernel(c)));
    }
    for (const Case& c : cases(both)) {
      if (c.lanes != 2) cast_.emplace_back(c, suite_->add(cast_kernel(c)));
    }
    for (const DType t : both) {
      if (!t.is_bool()) reinterpret_.emplace_back(Case{t, 1}, suite_->add(reinterpret_kernel(t)));
    }
    suite_->module =
        std::make_unique<HostModule>(suite_->functions, Target::parse("cuda -arch=sm_80"));
  }
  static void TearDownTestSuite() {
    delete suite_;
    for (auto* list : {&binary_, &unary_, &int_unary_, &cast_, &reinterpret_}) list->clear();
  }

  static Suite* suite_;
  static std::vector<std::pair<Case, std::size_t>> binary_, unary_, int_unary_, cast_, reinterpret_;
};
Suite* OperationsOnHost::suite_ = nullptr;
std::vector<std::pair<Case, std::size_t>> OperationsOnHost::binary_, OperationsOnHost::unary_,
    OperationsOnHost::int_unary_, OperationsOnHost::cast_, OperationsOnHost::reinterpret_;

void expect_binary(const Case& c, const Cells& x, const Cells& y, const Cells& out,
                   const Cells& truths) {
  const std::vector<BinaryOp> ops = binary_ops(c.dtype);
  for (std::size_t k = 0; k < ops.size(); ++k) {
    for (std::int64_t i = 0; i < kPairs; ++i) {
      const std::int64_t at = static_cast<std::int64_t>(k) * kPairs + i;
      const std::string what = title(to_string(ops[k]), c);
      if (c.dtype.is_float()) {
        const double a = x.float_at(i), b = y.float_at(i);
        if (is_comparison(ops[k])) {
          ASSERT_EQ(truths.int_at(at), eval_compare(ops[k], a, b)) << what << a << ", " << b;
        } else {
          ASSERT_TRUE(same_float(out.float_at(at), eval_float(ops[k], c.dtype, a, b)))
              << what << " of " << a << ", " << b << ": " << out.float_at(at);
        }
      } else {
        const std::int64_t a = x.int_at(i), b = y.int_at(i);
        const Cells& results = is_comparison(ops[k]) ? truths : out;
        ASSERT_EQ(results.int_at(at), eval_int(ops[k], c.dtype, a, b))
            << what << " of " << a << ", " << b;
      }
    }
  }
}

TEST_F(OperationsOnHost, binary_operations_agree_on_all_pairs_of_edge_values) {
  for (const auto& [c, index] : binary_) {
    const auto num_ops = static_cast<std::int64_t>(binary_ops(c.dtype).size());
    Cells x(c.dtype, kPairs), y(c.dtype, kPairs), out(c.dtype, kPairs * num_ops);
    Cells truths(kBoolType, kPairs * num_ops);
    const std::vector<std::int64_t> ints = int_values(c.dtype.is_float() ? kInt32 : c.dtype);
    const std::vector<double> floats = float_values(c.dtype.is_float() ? c.dtype : kFloat64);
    ASSERT_EQ(ints.size(), 16U);
    for (std::int64_t i = 0; i < kPairs; ++i) {
      const auto a = static_cast<std::size_t>(i / 16), b = static_cast<std::size_t>(i % 16);
      if (c.dtype.is_float()) {
        x.set_float(i, floats[a]);
        y.set_float(i, floats[b]);
      } else {
        x.set_int(i, ints[a]);
        y.set_int(i, ints[b]);
      }
    }
    ASSERT_EQ(suite_->module->run(index, {x.data(), y.data(), out.data(), truths.data()}), "");
    expect_binary(c, x, y, out, truths);
  }
}

TEST_F(OperationsOnHost, unary_operations_agree) {
  for (const auto& [c, index] : unary_) {
    std::vector<double> values = float_values(c.dtype);
    while (values.size() < kSize) values.push_back(round_to(c.dtype, values.size() * 0.25 - 8.0));
    Cells x(c.dtype, kSize), out(c.dtype, kSize * 7);
    for (std::int64_t i = 0; i < kSize; ++i) x.set_float(i, values[static_cast<std::size_t>(i)]);
    ASSERT_EQ(suite_->module->run(index, {x.data(), out.data()}), "");
    for (std::size_t k = 0; k < kUnaryOps.size(); ++k) {
      for (std::int64_t i = 0; i < kSize; ++i) {
        const double got = out.float_at(static_cast<std::int64_t>(k) * kSize + i);
        ASSERT_TRUE(same_float(got, eval_float(kUnaryOps[k], c.dtype, x.float_at(i))))
            << title(to_string(kUnaryOps[k]), c) << " of " << x.float_at(i) << ": " << got;
      }
    }
  }
}

TEST_F(OperationsOnHost, integers_wrap_and_constants_divide) {
  for (const auto& [c, index] : int_unary_) {
    const DType t = c.dtype;
    const std::vector<std::int64_t> edge = int_values(t);
    Cells x(t, kSize), out(t, kSize * 7);
    for (std::int64_t i = 0; i < kSize; ++i) {
      x.set_int(
          i, i < 16 ? edge[static_cast<std::size_t>(i)] : wrap_int(t, (i - 40) * 0x1234567890abL));
    }
    ASSERT_EQ(suite_->module->run(index, {x.data(), out.data()}), "");
    for (std::int64_t i = 0; i < kSize; ++i) {
      const std::int64_t v = x.int_at(i), five = eval_int(BinaryOp::kAdd, t, v, 5);
      const std::int64_t negated = eval_int(BinaryOp::kSub, t, 0, v);
      const std::vector<std::int64_t> want = {negated,
                                              t.is_signed_int() && v < 0 ? negated : v,
                                              wrap_int(t, ~v),
                                              eval_int(BinaryOp::kFloorDiv, t, five, 3),
                                              eval_int(BinaryOp::kFloorMod, t, five, 3),
                                              eval_int(BinaryOp::kShl, t, v, 3),
                                              eval_int(BinaryOp::kShr, t, v, 3)};
      for (std::size_t k = 0; k < want.size(); ++k) {
        ASSERT_EQ(out.int_at(static_cast<std::int64_t>(k) * kSize + i), want[k])
            << title("operation " + std::to_string(k), c) << " of " << v;
      }
    }
  }
}

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

TEST_F(OperationsOnHost, casts_agree_between_all_dtypes) {
  const std::vector<DType> dtypes = all_dtypes();
  for (const auto& [c, index] : cast_) {
    const DType from = c.dtype;
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
    std::vector<Cells> outputs;
    for (const DType to : dtypes) outputs.emplace_back(to, kSize);
    std::vector<void*> buffers = {input.data()};
    for (Cells& out : outputs) buffers.push_back(out.data());
    ASSERT_EQ(suite_->module->run(index, buffers), "");
    for (std::size_t k = 0; k < dtypes.size(); ++k) {
      if (dtypes[k] == from) continue;
      for (std::int64_t j = 0; j < kSize; ++j) expect_cast(from, dtypes[k], input, outputs[k], j);
    }
  }
}

TEST_F(OperationsOnHost, bits_are_kept_when_they_are_read_as_another_dtype) {
  for (const auto& [c, index] : reinterpret_) {
    Cells x(c.dtype, kSize), out(DType::int_(c.dtype.bits), kSize), back(c.dtype, kSize);
    for (std::int64_t i = 0; i < kSize; ++i) {
      if (c.dtype.is_float()) {
        x.set_float(i, round_to(c.dtype, (static_cast<double>(i) - 20) * 0.37));
      } else {
        x.set_int(i, wrap_int(c.dtype, (i - 20) * 0x1234567890abL));
      }
    }
    ASSERT_EQ(suite_->module->run(index, {x.data(), out.data(), back.data()}), "");
    const auto bytes = static_cast<std::size_t>(kSize * c.dtype.bytes());
    EXPECT_EQ(std::memcmp(x.data(), out.data(), bytes), 0) << to_string(c.dtype);
    EXPECT_EQ(std::memcmp(x.data(), back.data(), bytes), 0) << to_string(c.dtype);
  }
}

TEST_F(OperationsOnHost, all_of_them_compile) {
  TENON_NEEDS_NVRTC();
  const Target target = Target::parse("cuda -arch=sm_80");
  for (const std::vector<std::pair<Case, std::size_t>>* list : {&binary_, &int_unary_, &cast_}) {
    for (const auto& [c, index] : *list) {
      if (c.lanes != 4) continue;
      const Function& f = suite_->functions[index];
      const CudaModule m = cuda_module(f, target);
      EXPECT_NE(compile_cuda(m.source, "sm_80").kernel(m.kernels.at(0).name), nullptr) << f->name;
    }
  }
}

}  // namespace
}  // namespace tenon::testing
