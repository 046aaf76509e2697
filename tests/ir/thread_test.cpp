#include "tenon/ir/thread.h"

#include <gtest/gtest.h>

#include "tenon/ir/builder.h"
#include "tenon/ir/parse.h"
#include "tenon/ir/print.h"
#include "tenon/ir/simplify.h"
#include "tenon/ir/structural.h"

namespace tenon {
namespace {

const char* const kKernel =
    R"(loop function copy(A: float32[256], B: int64[64]) -> (C: float32[256])
  thread for bx in 0..2 on "blockIdx.x"
    alloc S: float32[128] shared
    thread for tx in 0..32 on "threadIdx.x"
      S[ramp(tx * 4, 1, 4)] = async_copy(A[ramp(bx * 128 + tx * 4, 1, 4) where broadcast(tx < 31, 4)])
      evaluate async_commit()
      evaluate async_wait(0)
      evaluate thread_barrier()
      let v = warp_shuffle_xor(S[tx], 16)
      let w = warp_shuffle(B[tx], 31 - tx)
      C[bx * 128 + tx] = v + float32(w)
)";

TEST(Thread, kernels_are_read_and_written_as_text) {
  const Function f = parse_function(kKernel);
  EXPECT_EQ(print(f), kKernel);
  EXPECT_TRUE(structural_equal(parse_function(print(f)), f));
}

TEST(Thread, builders_make_what_the_text_says) {
  const Buffer a = make_buffer("A", kFloat32, {imm(64)}),
               s = make_buffer("S", kFloat32, {imm(64)}, Scope::kShared);
  const Expr tx = var("tx"), v = var("v", kFloat32);
  const Stmt body = make_seq({
      store(s, {ramp(tx, imm(1), 2)}, async_copy(load(a, {ramp(tx, imm(1), 2)}))),
      async_commit(),
      async_wait(3),
      thread_barrier(),
      make_let(v, warp_shuffle_xor(load(s, {tx}), 8), store(s, {tx}, v)),
      make_let(v, warp_shuffle(load(s, {tx}), tx), store(s, {tx}, v)),
  });
  EXPECT_EQ(print(body), R"(S[ramp(tx, 1, 2)] = async_copy(A[ramp(tx, 1, 2)])
evaluate async_commit()
evaluate async_wait(3)
evaluate thread_barrier()
do
  let v = warp_shuffle_xor(S[tx], 8)
  S[tx] = v
let v = warp_shuffle(S[tx], tx)
S[tx] = v
)");
}

TEST(Thread, calls_are_recognised_where_they_stand) {
  const Buffer a = make_buffer("A", kFloat32, {imm(64)});
  const Expr v = var("v", kFloat32), one = load(a, {imm(0)});
  EXPECT_TRUE(is_thread_barrier(*thread_barrier().get()));
  EXPECT_FALSE(is_thread_barrier(*async_commit().get()));
  EXPECT_TRUE(is_async_copy(*store(a, {imm(0)}, async_copy(one)).get()));
  EXPECT_FALSE(is_async_copy(*store(a, {imm(0)}, one).get()));
  EXPECT_EQ(thread_call(*async_wait(1).get()), ThreadCall::kAsyncWait);
  EXPECT_EQ(thread_call(*make_let(v, warp_shuffle(one, imm(0)), thread_barrier()).get()),
            ThreadCall::kShuffle);
  EXPECT_EQ(thread_call(warp_shuffle_xor(one, 1)), ThreadCall::kShuffleXor);
  EXPECT_EQ(thread_call(one), ThreadCall::kNone);
  EXPECT_EQ(thread_call("exp"), ThreadCall::kNone);
}

TEST(Thread, axes_have_names_dimensions_and_limits) {
  const ThreadAxis z = *find_thread_axis("threadIdx.z");
  EXPECT_STREQ(to_string(z), "threadIdx.z");
  EXPECT_TRUE(is_thread_axis(z) && !is_block_axis(z));
  EXPECT_EQ(dimension_of(z), 2);
  EXPECT_EQ(max_extent(z), 64);
  EXPECT_TRUE(is_block_axis(*find_thread_axis("blockIdx.y")));
  EXPECT_EQ(max_extent(ThreadAxis::kBlockY), 65535);
  EXPECT_EQ(max_extent(ThreadAxis::kBlockX), 2147483647);
  EXPECT_FALSE(find_thread_axis("threadIdx.w"));
  EXPECT_EQ(thread_axis_names(),
            "blockIdx.x, blockIdx.y, blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z");
}

TEST(Thread, functions_with_thread_loops_are_told_apart) {
  EXPECT_TRUE(has_thread_loops(parse_function(kKernel)));
  EXPECT_FALSE(has_thread_loops(parse_function(R"(loop function f(A: float32[4]) -> (C: float32[4])
  parallel for i in 0..4
    C[i] = A[i]
)")));
}

TEST(Thread, the_simplifier_keeps_barriers_copies_and_shuffles) {
  EXPECT_EQ(print(simplify(parse_function(kKernel))), kKernel);
}

}  // namespace
}  // namespace tenon
