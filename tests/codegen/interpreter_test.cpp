// Random expressions: compiled code and the interpreter give the same bits.

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "codegen/kernel_runner.h"
#include "tenon/ir/interpret.h"
#include "tenon/ir/print.h"
#include "tenon/ir/scalar_ops.h"

namespace tenon::testing {
namespace {

constexpr std::int64_t kSize = 64;

const std::vector<DType> kDTypes = {kFloat32,          kFloat64,        DType::float_(16),
                                    DType::bfloat16(), DType::int_(8),  DType::int_(16),
                                    DType::int_(32),   DType::int_(64), DType::uint(8),
                                    DType::uint(32),   DType::uint(64), DType::bool_()};

class RandomExprs {
 public:
  RandomExprs(std::uint64_t seed, std::vector<Buffer> inputs, int lanes)
      : random_(seed), inputs_(std::move(inputs)), lanes_(lanes) {}

  Expr make(DType t, int depth) {
    if (depth == 0 || pick(8) == 0) return leaf(t);
    const Expr value = t.is_bool()    ? bool_node(depth)
                       : t.is_float() ? float_node(t, depth)
                                      : int_node(t, depth);
    if (pick(6) == 0) shared_.push_back(value);
    return value;
  }

 private:
  int pick(int n) { return static_cast<int>(random_() % static_cast<std::uint64_t>(n)); }
  template <typename T>
  T one_of(std::initializer_list<T> items) {
    return items.begin()[pick(static_cast<int>(items.size()))];
  }
  DType any_dtype() {
    return kDTypes[static_cast<std::size_t>(pick(static_cast<int>(kDTypes.size())))];
  }

  Expr leaf(DType t) {
    for (const Expr& e : shared_) {
      if (e->dtype.element() == t && pick(3) == 0) return e;
    }
    if (pick(4) == 0) return const_like(t.with_lanes(lanes_), pick(20) - 10);
    for (const Buffer& b : inputs_) {
      if (b->dtype != t) continue;
      const std::int64_t stride = one_of<std::int64_t>({1, 1, 1, -1, 0, 2});
      const std::int64_t room = kSize - (std::abs(stride) * (lanes_ - 1) + 1);
      if (room < 0) return load(b, {ramp(imm(0), imm(1), lanes_)});
      Expr first = imm(static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(room + 1)));
      if (stride < 0) first = first + (lanes_ - 1);
      const Expr predicate = pick(4) == 0 ? make(kBoolType, 1) : nullptr;
      return load(b, {ramp(first, imm(stride), lanes_)}, predicate);
    }
    return zero(t.with_lanes(lanes_));
  }

  Expr cast_node(DType t, int depth) {
    const DType from = any_dtype();
    return from == t ? leaf(t)
                     : ::tenon::make<CastNode>(t.with_lanes(lanes_), make(from, depth - 1));
  }

  Expr shared_node(DType t, int depth) {
    if (pick(2) == 0) {
      return select(make(kBoolType, depth - 1), make(t, depth - 1), make(t, depth - 1));
    }
    const Expr v = var("v", t.with_lanes(lanes_));
    const Expr value = make(t, depth - 1);
    return let(v, value,
               binary(t.is_bool() ? BinaryOp::kOr : BinaryOp::kMax, v, make(t, depth - 1)));
  }

  Expr bool_node(int depth) {
    using B = BinaryOp;
    const int kind = pick(5);
    if (kind == 0) return unary(UnaryOp::kNot, make(kBoolType, depth - 1));
    if (kind == 1)
      return binary(one_of({B::kAnd, B::kOr}), make(kBoolType, depth - 1),
                    make(kBoolType, depth - 1));
    if (kind == 2) return shared_node(kBoolType, depth);
    const DType t = any_dtype();
    return binary(one_of({B::kEq, B::kNe, B::kLt, B::kLe, B::kGt, B::kGe}), make(t, depth - 1),
                  make(t, depth - 1));
  }

  Expr float_node(DType t, int depth) {
    using B = BinaryOp;
    const int kind = pick(10);
    if (kind == 0) return cast_node(t, depth);
    if (kind == 1) return shared_node(t, depth);
    if (kind == 2 && t.bits >= 32) {
      return fma(make(t, depth - 1), make(t, depth - 1), make(t, depth - 1));
    }
    if (kind <= 4) {
      return unary(one_of({UnaryOp::kNeg, UnaryOp::kAbs, UnaryOp::kSqrt, UnaryOp::kFloor,
                           UnaryOp::kCeil, UnaryOp::kTrunc, UnaryOp::kRound}),
                   make(t, depth - 1));
    }
    return binary(one_of({B::kAdd, B::kSub, B::kMul, B::kDiv, B::kMin, B::kMax}),
                  make(t, depth - 1), make(t, depth - 1));
  }

  Expr int_node(DType t, int depth) {
    using B = BinaryOp;
    const int kind = pick(10);
    if (kind == 0) return cast_node(t, depth);
    if (kind == 1) return shared_node(t, depth);
    if (kind == 2) {
      return unary(one_of({UnaryOp::kNeg, UnaryOp::kBitNot, UnaryOp::kAbs}), make(t, depth - 1));
    }
    return binary(one_of({B::kAdd, B::kSub, B::kMul, B::kFloorDiv, B::kFloorMod, B::kMin, B::kMax,
                          B::kBitAnd, B::kBitOr, B::kBitXor, B::kShl, B::kShr}),
                  make(t, depth - 1), make(t, depth - 1));
  }

  std::mt19937_64 random_;
  std::vector<Buffer> inputs_;
  int lanes_;
  std::vector<Expr> shared_;
};

void fill(DType t, Cells* cells, std::mt19937_64* random) {
  for (std::int64_t i = 0; i < kSize; ++i) {
    const auto bits = static_cast<std::int64_t>((*random)());
    if (t.is_float()) {
      const double special[] = {0.0, -0.0, INFINITY, -INFINITY, NAN, 1e-40, 65504, 3e38};
      const bool is_special = bits % 8 == 0;
      const auto which = static_cast<std::size_t>((bits >> 8) & 7);
      const double plain = static_cast<double>(bits % 2000) / 64.0;
      cells->set_float(i, round_to(t, is_special ? special[which] : plain));
    } else {
      cells->set_int(i, wrap_int(t, bits % 5 == 0 ? bits : bits % 41 - 20));
    }
  }
}

bool same_element(DType t, const Cells& a, const Cells& b, std::int64_t i) {
  if (t.is_float() && std::isnan(a.float_at(i)) && std::isnan(b.float_at(i))) return true;
  return a.int_at(i) == b.int_at(i);
}

class RandomPrograms : public ::testing::TestWithParam<int> {};

TEST_P(RandomPrograms, have_the_bits_of_the_interpreter) {
  const int seed = GetParam();
  std::mt19937_64 random(static_cast<std::uint64_t>(seed) * 7919u);
  const auto choose = [&](const auto& items) { return items[random() % items.size()]; };
  const DType dtype = choose(kDTypes);
  const int lanes = choose(std::vector<int>{1, 4, 16, 64, 7});
  std::vector<Buffer> inputs;
  for (const DType t : kDTypes)
    inputs.push_back(make_buffer("in_" + to_string(t), t, {imm(kSize)}));
  const Buffer out = make_buffer("out", dtype, {imm(kSize)});
  RandomExprs exprs(random(), inputs, lanes);
  const Expr value = exprs.make(dtype, 1 + seed % 6);
  const Function f =
      loop_function("random", inputs, {out}, store(out, {ramp(imm(0), imm(1), lanes)}, value));

  std::vector<Cells> in;
  for (const DType t : kDTypes) fill(t, &in.emplace_back(t, kSize), &random);
  Cells want(dtype, kSize);
  std::vector<ArrayView> views;
  for (std::size_t k = 0; k < in.size(); ++k) views.push_back({in[k].data(), kDTypes[k], {kSize}});
  views.push_back({want.data(), dtype, {kSize}});
  const InterpretReport report = interpret(f, views);
  ASSERT_TRUE(report.ok()) << report.text();

  for (const Target& target : runnable_targets()) {
    Cells got(dtype, kSize);
    std::vector<void*> buffers;
    for (Cells& c : in) buffers.push_back(c.data());
    buffers.push_back(got.data());
    ASSERT_EQ(run_kernel(f, buffers, {target}).status, 0);
    for (std::int64_t i = 0; i < lanes; ++i) {
      ASSERT_TRUE(same_element(dtype, got, want, i))
          << "element " << i << " on " << target.mcpu << ": " << got.int_at(i) << " is not "
          << want.int_at(i) << "\n"
          << print(f->body);
    }
  }
}
INSTANTIATE_TEST_SUITE_P(seeds, RandomPrograms, ::testing::Range(0, 100));

}  // namespace
}  // namespace tenon::testing
