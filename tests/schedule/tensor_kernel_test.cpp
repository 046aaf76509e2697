// A bfloat16 product from a trace of primitives, with tensor instructions and copies that run
// ahead: what it lowers to computes the product in the interpreter, and needs each of its barriers
// and waits.

#include <gtest/gtest.h>

#include <cmath>

#include "tenon/ir/builder.h"
#include "tenon/ir/interpret.h"
#include "tenon/ir/lower.h"
#include "tenon/ir/parse.h"
#include "tenon/ir/print.h"
#include "tenon/ir/thread.h"
#include "tenon/ir/verify.h"
#include "tenon/ir/visit.h"
#include "tenon/runtime/float_convert.h"
#include "tenon/schedule/schedule.h"

namespace tenon {
namespace {

constexpr std::size_t kRows = 32, kColumns = 64, kTerms = 192;

Function product() {
  return parse_function(
      R"(function matmul(A: bfloat16[32, 192], B: bfloat16[192, 64]) -> (C: float32[32, 64])
  for i in 0..32
    for j in 0..64
      for k in 0..192
        block C
          spatial vi in 0..32 = i
          spatial vj in 0..64 = j
          reduction vk in 0..192 = k
          reads A[vi, vk], B[vk, vj], C[vi, vj]
          writes C[vi, vj]
          init
            C[vi, vj] = 0.0
          C[vi, vj] = fma(float32(A[vi, vk]), float32(B[vk, vj]), C[vi, vj])
)");
}

/// Blocks of 2 x 2 warps make 32 x 64 sums, in steps of 64 terms.
Function scheduled(std::int64_t stages) {
  Schedule s(product());
  const BlockRef out = s.cache_write({"C"}, "fragment");
  const auto loops = s.loops("C");
  const auto i = s.split(loops[0], {std::nullopt, 2, 1, 16}),
             j = s.split(loops[1], {std::nullopt, 2, 2, 16}),
             k = s.split(loops[2], {std::nullopt, 4, 16});
  s.reorder({i[0], j[0], i[1], j[1], k[0], k[1], i[2], j[2], i[3], j[3], k[2]});
  s.reverse_compute_at(out, j[1]);
  s.bind(i[0], "blockIdx.y");
  s.bind(j[0], "blockIdx.x");
  s.bind(i[1], "threadIdx.z");
  s.bind(j[1], "threadIdx.y");
  std::vector<BlockRef> copies, loads;
  for (const char* operand : {"A", "B"}) {
    copies.push_back(s.cache_read({"C"}, operand, "shared"));
    loads.push_back(s.cache_read({"C"}, copies.back().name, "fragment"));
    s.compute_at(loads.back(), k[1]);
    s.compute_at(copies.back(), k[0]);
  }
  for (const BlockRef& copy : copies) {
    const auto l = s.loops(copy.name);
    const auto row = s.split(l[l.size() - 2], {2, 2, std::nullopt});
    const auto column = s.split(l[l.size() - 1], {std::nullopt, 2});
    s.bind(row[0], "threadIdx.z");
    s.bind(row[1], "threadIdx.y");
    s.bind(column[0], "threadIdx.x");
    s.vectorize(column[1]);
    s.storage_align(copy, 0, 32, 8);
    s.async_copy(copy);
  }
  const BlockRef zero = s.decompose_reduction({"C"}, k[0]);
  // 16 rows of the block's part, in tiles of 16 columns.
  const auto tile = [&](const BlockRef& block) {
    const auto l = s.loops(block.name);
    const LoopRef& rows = l[l.size() - 2];
    const auto columns = s.split(l.back(), {std::nullopt, 16});
    s.reorder({columns[0], rows, columns[1]});
    return rows;
  };
  s.tensorize(i[3], "mma_16x16x16_bf16");
  s.tensorize(tile(loads[0]), "load_a_bf16");
  s.tensorize(tile(loads[1]), "load_b_bf16");
  s.tensorize(tile(zero), "fill_zero_f32");
  s.tensorize(tile(out), "store_f32");
  if (stages > 1) s.software_pipeline(k[0], stages);
  return s.function();
}

struct Operands {
  std::vector<std::uint16_t> a, b;
  std::vector<float> c = std::vector<float>(kRows * kColumns, NAN);

  Operands() {
    for (std::size_t i = 0; i < kRows * kTerms; ++i)
      a.push_back(float_to_bfloat16(static_cast<float>(i * 7 % 23) / 8 - 1));
    for (std::size_t i = 0; i < kTerms * kColumns; ++i)
      b.push_back(float_to_bfloat16(static_cast<float>(i * 5 % 19) / 8 - 1));
  }
  InterpretReport run(const Function& f) {
    std::vector<ArrayView> views;
    const auto view = [&](void* data, DType t, std::size_t rows, std::size_t columns) {
      const auto r = static_cast<std::int64_t>(rows), n = static_cast<std::int64_t>(columns);
      if (f->level == Level::kBlock)
        views.push_back({data, t, {r, n}});
      else
        views.push_back({data, t, {r * n}});
    };
    view(a.data(), DType::bfloat16(), kRows, kTerms);
    view(b.data(), DType::bfloat16(), kTerms, kColumns);
    view(c.data(), kFloat32, kRows, kColumns);
    return interpret(f, views);
  }
  std::vector<float> expected() const {
    std::vector<float> out(kRows * kColumns);
    for (std::size_t i = 0; i < kRows; ++i) {
      for (std::size_t j = 0; j < kColumns; ++j) {
        float& sum = out[i * kColumns + j];
        for (std::size_t k = 0; k < kTerms; ++k)
          sum = std::fmaf(bfloat16_to_float(a[i * kTerms + k]),
                          bfloat16_to_float(b[k * kColumns + j]), sum);
      }
    }
    return out;
  }
};

/// `f` without statement number `which` of those that evaluate `call`; null when there are fewer.
Function without(const Function& f, ThreadCall call, int which) {
  const int wanted = which;
  const Stmt body = rewrite_stmts(f->body, [&](const Stmt& s) {
    const bool found = s->kind == NodeKind::kEvaluate && thread_call(*s.get()) == call;
    return found && which-- == 0 ? make_seq({}) : Stmt();
  });
  return which <= wanted && which < 0 ? with_body(f, body) : nullptr;
}

TEST(TensorKernel, computes_the_product_in_the_order_of_its_terms) {
  for (const std::int64_t stages : {1, 2, 3}) {
    const Function f = scheduled(stages);
    const Function kernel = lower(f);
    ASSERT_NO_THROW(verify(kernel)) << print(kernel);
    EXPECT_NE(print(kernel).find("= async_copy(A[ramp("), std::string::npos) << print(kernel);
    Operands blocks, lowered;
    EXPECT_EQ(blocks.run(f).text(), "");
    EXPECT_EQ(lowered.run(kernel).text(), "") << print(kernel);
    EXPECT_EQ(blocks.c, lowered.expected());
    EXPECT_EQ(lowered.c, lowered.expected());
  }
}

TEST(TensorKernel, needs_each_barrier_and_wait) {
  for (const std::int64_t stages : {1, 2, 3}) {
    const Function kernel = lower(scheduled(stages));
    for (const ThreadCall call : {ThreadCall::kBarrier, ThreadCall::kAsyncWait}) {
      int removed = 0;
      for (Function damaged = without(kernel, call, 0); damaged;
           damaged = without(kernel, call, ++removed)) {
        EXPECT_FALSE(Operands().run(damaged).ok()) << "nothing misses call " << removed << " of\n"
                                                   << print(kernel);
      }
      EXPECT_GT(removed, 0) << print(kernel);
    }
  }
}

}  // namespace
}  // namespace tenon
