// GPU schedules from end to end: lowered, run by the interpreter as threads, and compared with the
// function as it was written.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <numeric>

#include "schedule/workloads.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/interpret.h"
#include "tenon/ir/lower.h"
#include "tenon/ir/parse.h"
#include "tenon/ir/print.h"
#include "tenon/ir/simplify.h"
#include "tenon/ir/visit.h"
#include "tenon/schedule/schedule.h"

namespace tenon {
namespace {

/// Arguments of a function whose symbols have these values: small whole numbers, exact in bfloat16
/// (1 to 5, so that nothing divides by zero).
struct Arguments {
  std::vector<std::vector<std::uint8_t>> memory;
  std::vector<ArrayView> views;

  Arguments(const Function& f, const std::vector<std::int64_t>& symbols) {
    VarMap sizes;
    for (std::size_t i = 0; i < symbols.size(); ++i)
      sizes[f->symbols[i].var.get()] = imm(symbols[i]);
    for (const Buffer& b : f->params()) {
      ArrayView view;
      view.dtype = b->dtype;
      for (const Expr& d : b->shape)
        view.shape.push_back(as_int(simplify(substitute(d, sizes))).value());
      const auto size = std::accumulate(view.shape.begin(), view.shape.end(), std::int64_t{1},
                                        std::multiplies<>());
      memory.emplace_back(static_cast<std::size_t>(size * b->dtype.bytes()));
      if (memory.size() <= f->inputs.size()) fill(b->dtype, size, &memory.back());
      view.data = memory.back().data();
      views.push_back(view);
    }
  }
  static void fill(DType t, std::int64_t size, std::vector<std::uint8_t>* bytes) {
    for (std::int64_t i = 0; i < size; ++i) {
      const auto value = static_cast<float>(i * 7 % 5 + 1);
      std::uint32_t bits = 0;
      std::memcpy(&bits, &value, sizeof bits);
      if (t == kFloat32) std::memcpy(bytes->data() + i * 4, &bits, 4);
      if (t == DType::bfloat16()) {
        const auto high = static_cast<std::uint16_t>(bits >> 16);
        std::memcpy(bytes->data() + i * 2, &high, 2);
      }
    }
  }
};

std::vector<std::vector<std::uint8_t>> results(const Function& f,
                                               const std::vector<std::int64_t>& symbols) {
  Arguments arguments(f, symbols);
  InterpretOptions options;
  options.symbols = symbols;
  const InterpretReport report = interpret(f, arguments.views, options);
  EXPECT_TRUE(report.ok()) << report.text() << "\n" << print(f);
  return arguments.memory;
}

/// The lowered schedule, after it was found to give the numbers of `f`.
Function lowered(const Function& f, const Schedule& s,
                 const std::vector<std::int64_t>& symbols = {}) {
  const Function out = lower(s.function());
  // For tests/cuda_on_host/lowered_on_host_test.cpp.
  if (const char* folder = std::getenv("TENON_LOWERED_FOLDER")) {
    static int number = 0;
    std::ofstream(std::string(folder) + "/" + std::to_string(number++) + ".txt") << print(out);
  }
  const auto expected = results(f, symbols), got = results(out, symbols);
  for (std::size_t i = f->inputs.size(); i < expected.size(); ++i) {
    for (std::size_t at = 0; at + 4 <= expected[i].size(); at += 4) {
      float x = 0, y = 0;
      std::memcpy(&x, expected[i].data() + at, 4);
      std::memcpy(&y, got[i].data() + at, 4);
      if (std::abs(x - y) <= 1e-5F * std::max(1.0F, std::abs(x))) continue;
      ADD_FAILURE() << "output " << i << ", element " << at / 4 << " is " << y << ", should be "
                    << x << "\n"
                    << print(out);
      return out;
    }
  }
  return out;
}

int count(const Function& f, const std::string& word) {
  const std::string text = print(f);
  int n = 0;
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++n;
  return n;
}

void one_kernel(Schedule* s, const LoopRef& i, std::int64_t threads) {
  const auto parts = s->split(i, {std::nullopt, threads});
  s->bind(parts[0], "blockIdx.x");
  s->bind(parts[1], "threadIdx.x");
}

TEST(GpuLowering, elementwise_with_a_tail) {
  const Function f = testing::elementwise_chain(1000);
  Schedule s(f);
  s.compute_inline({"T"});
  one_kernel(&s, s.loops("C")[0], 256);
  EXPECT_EQ(count(lowered(f, s), "thread_barrier"), 0);
}

TEST(GpuLowering, an_intermediate_between_two_kernels_is_whole) {
  const Function f = testing::elementwise_chain(100);
  Schedule s(f);
  one_kernel(&s, s.loops("T")[0], 32);
  one_kernel(&s, s.loops("C")[0], 64);
  const Function out = lowered(f, s);
  EXPECT_EQ(count(out, "blockIdx.x"), 2);
  EXPECT_EQ(count(out, "alloc T: float32[100]\n  thread"), 1) << print(out);
}

/// A product of 16 x 16 tiles: both operands through shared memory.
Schedule shared_matmul(const Function& f, std::int64_t tile_k) {
  Schedule s(f);
  const BlockRef out = s.cache_write({"C"}, "local");
  const auto l = s.loops("C");
  const auto i = s.split(l[0], {std::nullopt, 16}), j = s.split(l[1], {std::nullopt, 16}),
             k = s.split(l[2], {std::nullopt, tile_k});
  s.reorder({i[0], j[0], i[1], j[1], k[0], k[1]});
  s.bind(i[0], "blockIdx.y");
  s.bind(j[0], "blockIdx.x");
  s.bind(i[1], "threadIdx.y");
  s.bind(j[1], "threadIdx.x");
  s.reverse_compute_at(out, j[1]);
  s.decompose_reduction({"C"}, k[0]);
  for (const char* operand : {"A", "B"}) {
    const BlockRef copy = s.cache_read({"C"}, operand, "shared");
    s.compute_at(copy, k[0]);
    const auto own = s.loops(copy);
    s.bind(s.split(own[5], {std::nullopt, 16})[1], "threadIdx.y");
    s.bind(s.split(own[6], {std::nullopt, 16})[1], "threadIdx.x");
  }
  return s;
}

TEST(GpuLowering, the_shared_matmul_has_two_barriers_in_a_step) {
  for (const auto& [m, n, k] : {std::array{64, 64, 64}, std::array{33, 65, 17}}) {
    const Function f = testing::matmul(m, n, k);
    const Function out = lowered(f, shared_matmul(f, 16));
    EXPECT_EQ(count(out, "thread_barrier"), 2) << print(out);
  }
}

TEST(GpuLowering, the_shared_matmul_of_symbolic_rows) {
  const Function f = testing::symbolic_matmul(33, 40);
  const Schedule s = shared_matmul(f, 16);
  for (const std::int64_t m : {1, 16, 37}) {
    const Function out = lowered(f, s, {m});
    EXPECT_EQ(count(out, "thread_barrier"), 2) << print(out);
  }
}

TEST(GpuLowering, rows_of_a_softmax_by_one_block_each) {
  const Function f = testing::softmax_chain(7, 256);
  Schedule s(f);
  // Partial results of 64 threads, then one of all.
  for (const char* reduced : {"M", "S"}) {
    const auto k = s.split(s.loops(reduced)[1], {std::nullopt, 64});
    s.set_scope(s.rfactor(k[1], 0), "local");
  }
  const LoopRef row = s.loops("C")[0];
  for (const char* made : {"S", "S_rf", "E", "M", "M_rf"}) {
    if (std::string(made) != "S_rf" && std::string(made) != "M_rf") s.set_scope({made}, "shared");
    s.compute_at({made}, row);
  }
  s.bind(row, "blockIdx.x");
  for (const char* reduced : {"M", "S"}) {
    const LoopRef join = s.loops(reduced).back();
    s.decompose_reduction({reduced}, join);
    s.bind(join, "threadIdx.x");
    s.bind(s.loops(reduced + std::string("_rf"))[2], "threadIdx.x");
  }
  for (const char* elements : {"E", "C"}) {
    const auto k = s.split(s.loops(elements).back(), {std::nullopt, 64});
    s.bind(k[1], "threadIdx.x");
  }
  const Function out = lowered(f, s);
  // One for the warps' parts and one for the result, of each reduction.
  EXPECT_EQ(count(out, "thread_barrier"), 4) << print(out);
}

TEST(GpuLowering, column_sums_by_rows_of_threads) {
  const Function f = testing::column_sum(48, 70);
  Schedule s(f);
  const auto i = s.split(s.loops("C")[1], {std::nullopt, 8});
  const BlockRef terms = s.rfactor(i[1], 0);
  s.set_scope(terms, "shared");
  const auto j = s.split(s.loops("C")[0], {std::nullopt, 32});
  s.compute_at(terms, j[0]);
  s.bind(j[0], "blockIdx.x");
  s.bind(j[1], "threadIdx.x");
  const auto own = s.loops(terms);
  s.bind(own[1], "threadIdx.x");
  s.bind(own[2], "threadIdx.y");
  const Function out = lowered(f, s);
  EXPECT_EQ(count(out, "thread_barrier"), 1) << print(out);
}

TEST(GpuLowering, steps_of_a_scan_are_launches_or_a_loop_of_each_thread) {
  const Function f = testing::column_scan(9, 70);
  Schedule launches(f);
  one_kernel(&launches, launches.loops("S")[1], 32);
  EXPECT_EQ(count(lowered(f, launches), "  for i in 0..9\n    thread"), 1);
  Schedule loop(f);
  const auto l = loop.loops("S");
  const auto j = loop.split(l[1], {std::nullopt, 32});
  loop.reorder({j[0], j[1], l[0]});
  loop.bind(j[0], "blockIdx.x");
  loop.bind(j[1], "threadIdx.x");
  EXPECT_EQ(count(lowered(f, loop), "thread_barrier"), 0);
}

/// C = A * B with bfloat16 operands and float32 sums.
Function narrow_matmul(int n) {
  const std::string size = std::to_string(n), shape = "[" + size + ", " + size + "]";
  return parse_function(
      "function matmul(A: bfloat16" + shape + ", B: bfloat16" + shape + ") -> (C: float32" + shape +
      ")\n  for i in 0.." + size + "\n    for j in 0.." + size + "\n      for k in 0.." + size +
      "\n        block C\n          spatial vi in 0.." + size +
      " = i\n          spatial vj in 0.." + size + " = j\n          reduction vk in 0.." + size +
      " = k\n          reads A[vi, vk], B[vk, vj], C[vi, vj]\n          writes C[vi, vj]\n"
      "          init\n            C[vi, vj] = 0.0\n"
      "          C[vi, vj] = fma(float32(A[vi, vk]), float32(B[vk, vj]), C[vi, vj])\n");
}

/// Tiles of 64 x 32 by four warps, through shared memory in steps of 32 terms.
Schedule tensor_matmul(const Function& f, int stages) {
  Schedule s(f);
  const BlockRef out = s.cache_write({"C"}, "fragment");
  const auto l = s.loops("C");
  const auto i = s.split(l[0], {std::nullopt, 4, 16}), j = s.split(l[1], {std::nullopt, 2, 16}),
             k = s.split(l[2], {std::nullopt, 2, 16});
  s.reorder({i[0], j[0], i[1], k[0], k[1], j[1], i[2], j[2], k[2]});
  s.reverse_compute_at(out, i[1]);
  s.bind(i[0], "blockIdx.y");
  s.bind(j[0], "blockIdx.x");
  s.bind(i[1], "threadIdx.y");
  std::vector<BlockRef> loads;
  for (const char* operand : {"A", "B"}) {
    const BlockRef copy = s.cache_read({"C"}, operand, "shared");
    loads.push_back(s.cache_read({"C"}, copy.name, "fragment"));
    s.compute_at(loads.back(), k[1]);
    s.compute_at(copy, k[0]);
    const auto own = s.loops(copy);
    s.bind(s.split(own[own.size() - 2], {std::nullopt, 32})[1], "threadIdx.x");
    const auto columns = s.split(own.back(), {4, 8});
    s.bind(columns[0], "threadIdx.y");
    s.vectorize(columns[1]);
    s.storage_align(copy, 0, 32, 8);
    s.async_copy(copy);
  }
  const BlockRef zero = s.decompose_reduction({"C"}, k[0]);
  s.tensorize(i[2], "mma_16x16x16_bf16");
  const auto tiles = [&](const BlockRef& block, const std::string& instruction) {
    auto own = s.loops(block);
    const auto rows = s.split(own[own.size() - 2], {std::nullopt, 16});
    const auto columns = s.split(own.back(), {std::nullopt, 16});
    s.reorder({rows[0], columns[0], rows[1], columns[1]});
    s.tensorize(rows[1], instruction);
  };
  tiles(loads[0], "load_a_bf16");
  tiles(loads[1], "load_b_bf16");
  const auto own = s.loops(zero);
  s.tensorize(own[own.size() - 2], "fill_zero_f32");
  tiles(out, "store_f32");
  if (stages > 1) s.software_pipeline(k[0], stages);
  return s;
}

TEST(GpuLowering, a_tensor_product_waits_and_passes_one_barrier_in_a_step) {
  for (const int stages : {2, 3}) {
    const Function f = narrow_matmul(64 * (stages - 1));
    const Function out = lowered(f, tensor_matmul(f, stages));
    EXPECT_EQ(count(out, "thread_barrier"), 1) << print(out);
    EXPECT_EQ(count(out, "async_wait(" + std::to_string(stages - 2) + ")"), 1) << print(out);
    EXPECT_EQ(count(out, "async_copy("), 2 * stages) << print(out);
    EXPECT_EQ(out->attrs.count("plain_copies"), 0U) << print(out);
  }
}

TEST(GpuLowering, copies_that_nothing_runs_ahead_are_waited_for) {
  const Function f = narrow_matmul(64);
  const Function out = lowered(f, tensor_matmul(f, 1));
  EXPECT_EQ(count(out, "thread_barrier"), 2) << print(out);
  EXPECT_EQ(count(out, "async_wait(0)"), 1) << print(out);
}

TEST(GpuLowering, sums_of_symbolic_length_may_be_empty) {
  const Function f = testing::symbolic_sums(20);
  Schedule s(f);
  one_kernel(&s, s.loops("C")[0], 8);
  for (const std::int64_t n : {0, 1, 3})
    lowered(f, s, std::vector<std::int64_t>(f->symbols.size(), n));
}

TEST(GpuLowering, rows_joined_into_global_memory) {
  const Function f = testing::softmax_chain(10, 200);
  Schedule s(f);
  for (const char* reduced : {"M", "S"}) {
    const auto k = s.split(s.loops(reduced)[1], {std::nullopt, 64});
    const BlockRef terms = s.rfactor(k[1], 0);
    s.set_scope(terms, "local");
    const auto rows = s.split(s.loops(reduced)[0], {std::nullopt, 4});
    s.compute_at(terms, rows[1]);
    s.bind(rows[0], "blockIdx.x");
    s.bind(rows[1], "threadIdx.y");
    const LoopRef join = s.loops(reduced).back();
    s.decompose_reduction({reduced}, join);
    s.bind(join, "threadIdx.x");
    const auto own = s.loops(terms);
    s.bind(own[own.size() - 2], "threadIdx.x");
  }
  one_kernel(&s, s.loops("E")[0], 4);
  s.compute_inline({"E"});
  one_kernel(&s, s.loops("C")[1], 64);
  const Function out = lowered(f, s);
  EXPECT_EQ(count(out, "alloc M_sums: float32[8] shared"), 1) << print(out);
}

TEST(GpuLowering, indices_from_data_are_checked_by_threads) {
  const Function f = testing::gather(30, 8, 12);
  Schedule s(f);
  const auto l = s.loops("C");
  one_kernel(&s, s.fuse({l[0], l[1]}), 32);
  (void)lower(s.function());
}

TEST(GpuLowering, borders_of_padding) {
  const Function f = testing::padded_select(50);
  Schedule s(f);
  const auto i = s.split(s.loops("C")[0], {std::nullopt, 16});
  s.set_scope({"P"}, "shared");
  s.compute_at({"P"}, i[0]);
  s.bind(i[0], "blockIdx.x");
  s.bind(i[1], "threadIdx.x");
  const Function out = lowered(f, s);
  EXPECT_EQ(count(out, "alloc P: float32[17] shared"), 1) << print(out);
  EXPECT_EQ(count(out, "thread_barrier"), 1) << print(out);
}

TEST(GpuLowering, vectors_of_a_row_with_a_tail) {
  const Function f = testing::elementwise_chain(203);
  Schedule s(f);
  s.compute_inline({"T"});
  const auto i = s.split(s.loops("C")[0], {std::nullopt, 16, 4});
  s.bind(i[0], "blockIdx.x");
  s.bind(i[1], "threadIdx.x");
  s.vectorize(i[2]);
  lowered(f, s);
}

TEST(GpuLowering, registers_of_a_thread_are_unrolled) {
  const Function f = testing::matmul(40, 36, 20);
  Schedule s(f);
  const BlockRef out = s.cache_write({"C"}, "register");
  const auto l = s.loops("C");
  const auto i = s.split(l[0], {std::nullopt, 4, 4}), j = s.split(l[1], {std::nullopt, 8, 4});
  s.reorder({i[0], j[0], i[1], j[1], l[2], i[2], j[2]});
  s.bind(i[0], "blockIdx.y");
  s.bind(j[0], "blockIdx.x");
  s.bind(i[1], "threadIdx.y");
  s.bind(j[1], "threadIdx.x");
  s.reverse_compute_at(out, j[1]);
  s.decompose_reduction({"C"}, l[2]);
  for (const char* block : {"C", "C_init", "C_register"}) {
    const auto own = s.loops(block);
    s.unroll(own[own.size() - 2]);
    s.vectorize(own.back());
  }
  lowered(f, s);
}

}  // namespace
}  // namespace tenon
