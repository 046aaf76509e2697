// Tensor instructions in schedules: blocks of loops, what fits, and what does not.

#include <gtest/gtest.h>

#include "schedule/excerpt.h"
#include "schedule/loop_tree.h"
#include "schedule/refusal.h"
#include "schedule/workloads.h"
#include "tenon/ir/parse.h"
#include "tenon/ir/print.h"
#include "tenon/ir/verify.h"
#include "tenon/schedule/schedule.h"

namespace tenon {
namespace {

using testing::refusal;

/// C = A * B with operands of `dtype` and float32 sums.
Function narrow_matmul(const std::string& dtype, int n = 64) {
  const std::string size = std::to_string(n), shape = "[" + size + ", " + size + "]";
  return parse_function(
      "function matmul(A: " + dtype + shape + ", B: " + dtype + shape + ") -> (C: float32" + shape +
      ")\n  for i in 0.." + size + "\n    for j in 0.." + size + "\n      for k in 0.." + size +
      "\n        block C\n          spatial vi in 0.." + size +
      " = i\n          spatial vj in 0.." + size + " = j\n          reduction vk in 0.." + size +
      " = k\n          reads A[vi, vk], B[vk, vj], C[vi, vj]\n          writes C[vi, vj]\n"
      "          init\n            C[vi, vj] = 0.0\n"
      "          C[vi, vj] = fma(float32(A[vi, vk]), float32(B[vk, vj]), C[vi, vj])\n");
}

/// Every part in tiles of 16, in fragments: the product in "C", its zero, operands and result.
struct Tiled {
  Schedule s;
  BlockRef a, b, out, zero;
  std::vector<LoopRef> c_tile;

  explicit Tiled(const Function& f) : s(f) {
    out = s.cache_write({"C"}, "fragment");
    const auto l = s.loops("C");
    const auto i = s.split(l[0], {std::nullopt, 16}), j = s.split(l[1], {std::nullopt, 16}),
               k = s.split(l[2], {std::nullopt, 16});
    s.reorder({i[0], j[0], k[0], i[1], j[1], k[1]});
    a = s.cache_read({"C"}, "A", "shared");
    const BlockRef a_fragment = s.cache_read({"C"}, "A_shared", "fragment");
    b = s.cache_read({"C"}, "B", "shared");
    const BlockRef b_fragment = s.cache_read({"C"}, "B_shared", "fragment");
    s.compute_at(a_fragment, k[0]);
    s.compute_at(b_fragment, k[0]);
    s.compute_at(a, k[0]);
    s.compute_at(b, k[0]);
    s.reverse_compute_at(out, j[0]);
    zero = s.decompose_reduction({"C"}, k[0]);
    c_tile = {i[1], j[1], k[1]};
    a_name = a_fragment.name;
    b_name = b_fragment.name;
  }
  std::string a_name, b_name;

  LoopRef tile_of(const std::string& block) {
    const auto l = s.loops(block);
    return l[l.size() - 2];
  }
};

TEST(Tensorize, marks_the_tiles_of_a_product) {
  Tiled t(narrow_matmul("bfloat16"));
  t.s.tensorize(t.c_tile[0], "mma_16x16x16_bf16");
  t.s.tensorize(t.tile_of(t.a_name), "load_a_bf16");
  t.s.tensorize(t.tile_of(t.b_name), "load_b_bf16");
  t.s.tensorize(t.tile_of(t.zero.name), "fill_zero_f32");
  t.s.tensorize(t.tile_of(t.out.name), "store_f32");
  EXPECT_NO_THROW(verify(t.s.function(), "tensorize")) << print(t.s.function());
  Schedule again(narrow_matmul("bfloat16", 96));
  t.s.trace().replay(&again);
  EXPECT_EQ(print(again.function()),
            R"(function matmul(A: bfloat16[96, 96], B: bfloat16[96, 96]) -> (C: float32[96, 96])
  alloc C_fragment: float32[96, 96] fragment
  alloc A_shared: bfloat16[96, 96] shared
  alloc A_shared_fragment: bfloat16[96, 96] fragment
  alloc B_shared: bfloat16[96, 96] shared
  alloc B_shared_fragment: bfloat16[96, 96] fragment
  for io in 0..6
    for jo in 0..6
      block C_init {tensor_instruction="fill_zero_f32"}
        spatial vi in 0..6 = io
        spatial vj in 0..6 = jo
        writes C_fragment[vi * 16..vi * 16 + 16, vj * 16..vj * 16 + 16]
        for ii in 0..16
          for ji in 0..16
            C_fragment[vi * 16 + ii, vj * 16 + ji] = 0.0
      for ko in 0..6
        for vi in 0..16
          for vk in 0..16
            block A_shared
              spatial vi in 0..96 = io * 16 + vi
              spatial vk in 0..96 = ko * 16 + vk
              reads A[vi, vk]
              writes A_shared[vi, vk]
              A_shared[vi, vk] = A[vi, vk]
        block A_shared_fragment {tensor_instruction="load_a_bf16"}
          spatial vi in 0..6 = io
          spatial vk in 0..6 = ko
          reads A_shared[vi * 16..vi * 16 + 16, vk * 16..vk * 16 + 16]
          writes A_shared_fragment[vi * 16..vi * 16 + 16, vk * 16..vk * 16 + 16]
          for vi_1 in 0..16
            for vk_1 in 0..16
              A_shared_fragment[vi * 16 + vi_1, vk * 16 + vk_1] = A_shared[vi * 16 + vi_1, vk * 16 + vk_1]
        for vk in 0..16
          for vj in 0..16
            block B_shared
              spatial vk in 0..96 = ko * 16 + vk
              spatial vj in 0..96 = jo * 16 + vj
              reads B[vk, vj]
              writes B_shared[vk, vj]
              B_shared[vk, vj] = B[vk, vj]
        block B_shared_fragment {tensor_instruction="load_b_bf16"}
          spatial vk in 0..6 = ko
          spatial vj in 0..6 = jo
          reads B_shared[vk * 16..vk * 16 + 16, vj * 16..vj * 16 + 16]
          writes B_shared_fragment[vk * 16..vk * 16 + 16, vj * 16..vj * 16 + 16]
          for vk_1 in 0..16
            for vj_1 in 0..16
              B_shared_fragment[vk * 16 + vk_1, vj * 16 + vj_1] = B_shared[vk * 16 + vk_1, vj * 16 + vj_1]
        block C {tensor_instruction="mma_16x16x16_bf16"}
          spatial vi in 0..6 = io
          spatial vj in 0..6 = jo
          reduction vk in 0..6 = ko
          reads A_shared_fragment[vi * 16..vi * 16 + 16, vk * 16..vk * 16 + 16], B_shared_fragment[vk * 16..vk * 16 + 16, vj * 16..vj * 16 + 16], C_fragment[vi * 16..vi * 16 + 16, vj * 16..vj * 16 + 16]
          writes C_fragment[vi * 16..vi * 16 + 16, vj * 16..vj * 16 + 16]
          for ii in 0..16
            for ji in 0..16
              for ki in 0..16
                C_fragment[vi * 16 + ii, vj * 16 + ji] = fma(float32(A_shared_fragment[vi * 16 + ii, vk * 16 + ki]), float32(B_shared_fragment[vk * 16 + ki, vj * 16 + ji]), C_fragment[vi * 16 + ii, vj * 16 + ji])
      block C_fragment {tensor_instruction="store_f32"}
        spatial vi in 0..6 = io
        spatial vj in 0..6 = jo
        reads C_fragment[vi * 16..vi * 16 + 16, vj * 16..vj * 16 + 16]
        writes C[vi * 16..vi * 16 + 16, vj * 16..vj * 16 + 16]
        for vi_1 in 0..16
          for vj_1 in 0..16
            C[vi * 16 + vi_1, vj * 16 + vj_1] = C_fragment[vi * 16 + vi_1, vj * 16 + vj_1]
)");
}

TEST(Tensorize, finds_loops_in_any_order) {
  Tiled t(narrow_matmul("float16"));
  t.s.reorder({t.c_tile[2], t.c_tile[1], t.c_tile[0]});
  t.s.tensorize(t.c_tile[2], "mma_16x16x16_f16");
}

TEST(Blockize, makes_a_block_of_each_tile) {
  Schedule s(testing::elementwise_chain(64));
  const auto i = s.split(s.loops("C")[0], {std::nullopt, 8});
  const BlockRef block = s.blockize(i[1]);
  EXPECT_EQ(block.name, "C");
  EXPECT_EQ(s.loops("C").size(), 1U);
  EXPECT_EQ(refusal(s, [&] { s.unroll(i[1]); }),
            "unroll: loop 'ii' no longer exists: it is a part of block 'C' now [E0201]");
  EXPECT_EQ(print(s.function()), R"(function chain(A: float32[64]) -> (C: float32[64])
  alloc T: float32[64]
  for i in 0..64
    block T
      spatial i in 0..64 = i
      reads A[i]
      writes T[i]
      T[i] = A[i] * 2.0
  for io in 0..8
    block C
      spatial i in 0..8 = io
      reads T[i * 8..i * 8 + 8]
      writes C[i * 8..i * 8 + 8]
      for ii in 0..8
        C[i * 8 + ii] = T[i * 8 + ii] + 1.0
)");
}

TEST(Blockize, refuses) {
  Schedule s(testing::matmul(64, 64, 60));
  const auto l = s.loops("C");
  EXPECT_EQ(refusal(s, [&] { s.blockize(l[1]); }),
            R"(blockize: block 'C' still holds its init [E1267]
  requires (2): the block has no init)");
  const auto k = s.split(l[2], {std::nullopt, 16});
  s.decompose_reduction({"C"}, k[0]);
  EXPECT_EQ(refusal(s, [&] { s.blockize(l[1]); }),
            R"(blockize: loop 'j' holds more than one block [E0266]
  requires (1): the loop and those inside are serial and hold one block, each being the whole body of the one before)");
  const std::string requires4 =
      "\n  requires (4): each iter runs over whole tiles of the nest, and no condition uses its "
      "loops";
  EXPECT_EQ(refusal(s, [&] { s.blockize(k[1]); }),
            "blockize: a condition of block 'C' uses loops of the nest [E1269]" + requires4);
  Schedule window(testing::window_sum(32));
  window.compute_inline({"T"});
  const auto i = window.split(window.loops("C")[0], {std::nullopt, 5}, "balance");
  window.decompose_reduction({"C"}, i[0]);
  EXPECT_EQ(refusal(window, [&] { window.blockize(i[1]); }),
            R"(blockize: loop 'ii' should run from 0 to a constant [E1268]
  requires (3): the loops run from 0 to a constant)");
  Schedule copy(testing::elementwise_chain(30));
  const auto c = copy.split(copy.loops("C")[0], {6, 5});
  copy.reorder({c[1], c[0]});
  EXPECT_EQ(refusal(copy, [&] { copy.blockize(c[0]); }),
            "blockize: iter 'i' of block 'C' does not run over whole tiles of the nest [E1269]" +
                requires4);
}

TEST(Tensorize, refuses) {
  Tiled t(narrow_matmul("bfloat16"));
  Schedule& s = t.s;
  EXPECT_EQ(refusal(s, [&] { s.tensorize(t.c_tile[0], "mma_8x8x8_bf16"); }),
            R"(tensorize: there is no tensor instruction 'mma_8x8x8_bf16' [E1270]
  requires (1): there is an instruction of that name)");
  EXPECT_EQ(
      refusal(s, [&] { s.tensorize(t.c_tile[1], "mma_16x16x16_bf16"); }),
      R"(tensorize: block 'C' is no mma_16x16x16_bf16: the nest runs over 16 x 16, the instruction over 16 x 16 x 16 [E1271]
  requires (2): the nest has the loops of the instruction, around one store)");
  const std::string requires3 =
      "\n  requires (3): the store computes what the instruction does, on buffers of its dtypes "
      "and "
      "scopes, with rows of consecutive elements";
  EXPECT_EQ(
      refusal(s, [&] { s.tensorize(t.c_tile[0], "mma_16x16x16_f16"); }),
      "tensorize: block 'C' is no mma_16x16x16_f16: operand A is buffer 'A_shared_fragment' of "
      "bfloat16, should be float16 [E1273]" +
          requires3);
  EXPECT_EQ(
      refusal(s, [&] { s.tensorize(t.tile_of("A_shared"), "load_a_bf16"); }),
      "tensorize: block 'A_shared' is no load_a_bf16: operand A is buffer 'A_shared' in shared "
      "memory, should be in fragment [E1273]" +
          requires3);
  EXPECT_EQ(
      refusal(s, [&] { s.tensorize(t.tile_of(t.zero.name), "store_f32"); }),
      "tensorize: block 'C_init' is no store_f32: the block computes 0.0, the instruction C[i, "
      "j] [E1272]" +
          requires3);
  EXPECT_EQ(
      refusal(s, [&] { s.tensorize(t.tile_of(t.a_name), "load_a_transposed_bf16"); }),
      "tensorize: block 'A_shared_fragment' is no load_a_transposed_bf16: operand A_shared is "
      "A_shared[vi * 16 + vi_1, vk * 16 + vk_1], should be a tile with rows along one dimension "
      "and consecutive elements along the last [E1274]" +
          requires3);
  s.tensorize(t.tile_of(t.a_name), "load_b_bf16");
  EXPECT_EQ(
      refusal(s, [&] { s.tensorize(t.c_tile[0], "mma_16x16x16_bf16"); }),
      R"(tensorize: fragment 'A_shared_fragment' is laid out as left operand in block 'C', and as right operand in block 'A_shared_fragment' [E1277]
  requires (4): each fragment is one kind of operand in all instructions)");
}

TEST(AsyncCopy, refuses) {
  Tiled t(narrow_matmul("bfloat16"));
  Schedule& s = t.s;
  EXPECT_EQ(refusal(s, [&] { s.async_copy({"C"}); }),
            R"(async_copy: block 'C' does not copy elements as they are [E1278]
  requires (1): the block stores what it loads)");
  EXPECT_EQ(
      refusal(s, [&] { s.async_copy({t.a_name}); }),
      R"(async_copy: block 'A_shared_fragment' copies from shared to fragment memory, should from global to shared [E1278]
  requires (2): it loads from global and stores to shared memory)");
}

TEST(SoftwarePipeline, refuses) {
  Tiled t(narrow_matmul("bfloat16"));
  Schedule& s = t.s;
  const LoopRef ko = s.loops("C")[2];
  EXPECT_EQ(refusal(s, [&] { s.software_pipeline(ko, 1); }),
            R"(software_pipeline: stages = 1 for loop 'ko' should be 2 to 8 [E1279]
  requires (2): there are 2 to 8 stages)");
  const std::string requires3 =
      "\n  requires (3): each statement of its body is asynchronous copies, or holds none; there "
      "are "
      "both";
  EXPECT_EQ(refusal(s, [&] { s.software_pipeline(ko, 2); }),
            "software_pipeline: loop 'ko' holds no asynchronous copy [E1279]" + requires3);
  s.async_copy(t.a);
  s.async_copy(t.b);
  EXPECT_EQ(refusal(s, [&] { s.software_pipeline(s.loops("C")[1], 2); }).substr(0, 102),
            "software_pipeline: a statement in loop 'jo' holds asynchronous copies and block "
            "'A_shared_fragment' [E");
  s.software_pipeline(ko, 3);
  EXPECT_EQ(refusal(s, [&] { s.split(ko, {std::nullopt, 2}); }),
            R"(split: loop 'ko' is pipelined already and should be serial [E0205]
  requires (1): the loop is serial)");
  Schedule moved(testing::elementwise_chain(64));
  const BlockRef copy = moved.cache_read({"C"}, "T", "shared");
  moved.compute_at(copy, moved.loops("C")[0]);
  moved.async_copy(copy);
  moved.compute_at({"T"}, moved.loops("C")[0]);
  EXPECT_EQ(
      refusal(moved, [&] { moved.software_pipeline(moved.loops("C")[0], 2); }),
      R"(software_pipeline: block 'T' writes buffer 'T', which 'T_shared' reads ahead in loop 'i' [E1279]
  requires (4): what the copies read is not written in the loop, what they write is read in the loop only)");
  moved.unroll(moved.loops("C")[0]);
  EXPECT_EQ(refusal(moved, [&] { moved.software_pipeline(moved.loops("C")[0], 2); }),
            R"(software_pipeline: loop 'i' is unrolled already and should be serial [E0205]
  requires (1): the loop is serial)");
}

TEST(StorageAlign, refuses) {
  Tiled t(narrow_matmul("bfloat16"));
  Schedule& s = t.s;
  EXPECT_EQ(refusal(s, [&] { s.storage_align(t.out, 0, 8); }),
            R"(storage_align: buffer 'C' of block 'C_fragment' is in global memory [E0262]
  requires (2): in shared, local or register memory)");
  EXPECT_EQ(refusal(s, [&] { s.storage_align(t.a, 1, 8); }),
            R"(storage_align: axis 1 of buffer 'A_shared' should be 0 to 0 [E0269]
  requires (3): the axis is one of the buffer's, but the last)");
  EXPECT_EQ(
      refusal(s, [&] { s.storage_align(t.a, 0, 8, 8); }),
      R"(storage_align: factor = 8, offset = 8 should be a factor of at least 1 and an offset from 0 to below it [E0203]
  requires (4): the factor is at least 1, and the offset less than it)");
  s.storage_align(t.a, 0, 64, 8);
}

TEST(ComputeAt, makes_what_all_threads_need_of_shared_memory) {
  Schedule s(testing::matmul(64, 64, 64));
  const auto l = s.loops("C");
  const auto i = s.split(l[0], {std::nullopt, 16}), j = s.split(l[1], {std::nullopt, 16});
  const auto k = s.split(l[2], {std::nullopt, 16});
  s.reorder({i[0], j[0], i[1], j[1], k[0], k[1]});
  s.bind(i[0], "blockIdx.y");
  s.bind(j[0], "blockIdx.x");
  s.bind(i[1], "threadIdx.y");
  s.bind(j[1], "threadIdx.x");
  const BlockRef out = s.cache_write({"C"}, "local");
  s.reverse_compute_at(out, j[1]);
  const BlockRef a = s.cache_read({"C"}, "A", "shared"), b = s.cache_read({"C"}, "B", "shared");
  for (const BlockRef& copy : {a, b}) {
    s.compute_at(copy, k[0]);
    const auto c = s.loops(copy);
    s.bind(c[c.size() - 2], "threadIdx.y");
    s.bind(c[c.size() - 1], "threadIdx.x");
  }
  s.decompose_reduction({"C"}, k[0]);
  EXPECT_EQ("\n" + loop_text(split_root(s.function()->body).body) + "\n", R"(
    thread for io in 0..4 on blockIdx.y
      thread for jo in 0..4 on blockIdx.x
        thread for ii in 0..16 on threadIdx.y
          thread for ji in 0..16 on threadIdx.x
            C_local[io * 16 + ii, jo * 16 + ji] = 0.0
            for ko in 0..4
              thread for i in 0..16 on threadIdx.y
                thread for k in 0..16 on threadIdx.x
                  A_shared[io * 16 + i, ko * 16 + k] = A[io * 16 + i, ko * 16 + k]
              thread for k in 0..16 on threadIdx.y
                thread for j in 0..16 on threadIdx.x
                  B_shared[ko * 16 + k, jo * 16 + j] = B[ko * 16 + k, jo * 16 + j]
              for ki in 0..16
                C_local[io * 16 + ii, jo * 16 + ji] = fma(A_shared[io * 16 + ii, ko * 16 + ki], B_shared[ko * 16 + ki, jo * 16 + ji], C_local[io * 16 + ii, jo * 16 + ji])
            for i in 0..1
              for j in 0..1
                C[io * 16 + ii + i, jo * 16 + ji + j] = C_local[io * 16 + ii + i, jo * 16 + ji + j]
)");
}

}  // namespace
}  // namespace tenon
