/// The verifier's rules of kernels in launch form.

#include <gtest/gtest.h>

#include "ir/kernel_texts.h"
#include "tenon/ir/launch.h"
#include "tenon/ir/parse.h"
#include "tenon/ir/print.h"
#include "tenon/ir/verify.h"

namespace tenon {
namespace {

const std::string kHead = "loop function f[n](A: float32[n]) -> (C: float32[n])\n";

void expect_broken(const std::string& body, const std::string& rule, const std::string& message) {
  const Function f = parse_function(kHead + body);
  const std::vector<Violation> found = find_violations(f);
  ASSERT_FALSE(found.empty()) << "no violation, expected " << rule << " in\n" << print(f);
  EXPECT_EQ(found[0].rule, rule) << found[0].message;
  EXPECT_NE(found[0].message.find(message), std::string::npos) << found[0].message;
  EXPECT_THROW(verify(f), VerifyError);
}

void expect_valid(const std::string& body) {
  EXPECT_NO_THROW(verify(parse_function(kHead + body))) << body;
}

/// A kernel of one block of 64 threads, with a shared buffer, whose threads do `body`.
std::string threads(const std::string& body, const std::string& axes = "tx in 0..64") {
  return "  thread for bx in 0..n on \"blockIdx.x\"\n    alloc S: float32[64] shared\n    thread "
         "for " +
         axes + " on \"threadIdx.x\"\n" + body;
}

TEST(LaunchRule, launch_takes_the_head_apart) {
  const Function f = parse_function(kSharedMatmul);
  const Launch launch = launch_of(*f->body.as<ForNode>());
  ASSERT_EQ(launch.block_loops.size(), 2U);
  EXPECT_EQ(*axis_of(*launch.block_loops[0]), ThreadAxis::kBlockY);
  EXPECT_EQ(launch.between.size(), 2U);
  ASSERT_EQ(launch.thread_loops.size(), 2U);
  EXPECT_EQ(launch.loop(ThreadAxis::kThreadX), launch.thread_loops[1]);
  EXPECT_EQ(launch.loop(ThreadAxis::kThreadZ), nullptr);
  EXPECT_EQ(launch.body->kind, NodeKind::kAllocate);
}

TEST(LaunchRule, kernels_without_block_or_thread_axes_are_valid) {
  expect_valid("  thread for tx in 0..64 on \"threadIdx.x\"\n    C[tx] = A[tx]\n");
  expect_valid("  thread for bx in 0..n on \"blockIdx.x\"\n    C[bx] = A[bx]\n");
  expect_valid(R"(  alloc T: float32[n]
  for t in 0..4
    if n > t
      thread for bx in 0..n on "blockIdx.x"
        let base = bx * 2
        alloc S: float32[4] shared
        S[0] = A[base]
        T[bx] = S[0]
      thread for bx in 0..n on "blockIdx.x"
        C[bx] = T[bx]
)");
}

TEST(LaunchRule, axis) {
  expect_broken("  thread for i in 0..4 on \"threadIdx.w\"\n    C[i] = 1.0\n", "axis",
                "unknown thread axis 'threadIdx.w', should be one of blockIdx.x, ");
}

TEST(LaunchRule, launch) {
  expect_broken(R"(  thread for bx in 0..4 on "blockIdx.x"
    thread for by in 0..4 on "blockIdx.x"
      C[bx * 4 + by] = 1.0
)",
                "launch", "two loops of a kernel are bound to blockIdx.x");
  expect_broken(R"(  thread for tx in 0..4 on "threadIdx.x"
    thread for bx in 0..4 on "blockIdx.x"
      C[bx * 4 + tx] = 1.0
)",
                "launch", "the loop of blockIdx.x stands inside of a kernel");
  expect_broken(threads(R"(      for i in 0..4
        thread for ty in 0..4 on "threadIdx.y"
          C[tx] = 1.0
)"),
                "launch", "the loop of threadIdx.y stands inside of a kernel");
  expect_broken(R"(  thread for bx in 0..4 on "blockIdx.x"
    C[bx] = 1.0
    thread for tx in 0..4 on "threadIdx.x"
      C[tx] = 1.0
)",
                "launch", "the loop of threadIdx.x stands inside of a kernel");
}

TEST(LaunchRule, mixed) {
  expect_broken(threads("      parallel for i in 0..4\n        C[i] = 1.0\n"), "mixed",
                "a parallel loop 'i' in a function with thread loops");
}

TEST(LaunchRule, what_a_schedule_can_break_is_left_to_code_generation) {
  EXPECT_NO_THROW(verify_lowered(
      parse_function(kHead + "  C[0] = 1.0\n" + threads("      C[tx] = 1.0\n", "tx in 0..1025"))));
  EXPECT_THROW(verify_lowered(parse_function(
                   kHead + threads("      if tx < 16\n        evaluate thread_barrier()\n"))),
               VerifyError);
}

TEST(LaunchRule, extent) {
  expect_broken(threads("      C[tx] = 1.0\n", "tx in 0..n"), "extent",
                "the extent of threadIdx.x is n, should be constant");
  expect_broken(threads("      C[tx] = 1.0\n", "tx in 1..64"), "extent",
                "the loop of threadIdx.x starts at 1, should start at 0");
  expect_broken(R"(  thread for by in 0..4 on "blockIdx.y"
    thread for bx in 0..by on "blockIdx.x"
      C[bx] = 1.0
)",
                "extent", "the extent of blockIdx.x depends on another coordinate: by");
}

TEST(LaunchRule, launch_limit) {
  expect_broken(threads("      C[tx] = 1.0\n", "tx in 0..1025"), "launch_limit",
                "threadIdx.x has extent 1025, at most 1024 can run");
  expect_broken(R"(  thread for ty in 0..32 on "threadIdx.y"
    thread for tx in 0..33 on "threadIdx.x"
      C[tx] = 1.0
)",
                "launch_limit", "a block has 1056 threads, at most 1024 can run");
  expect_broken("  thread for z in 0..65 on \"threadIdx.z\"\n    C[z] = 1.0\n", "launch_limit",
                "threadIdx.z has extent 65, at most 64 can run");
  expect_broken(R"(  thread for bx in 0..n on "blockIdx.x"
    alloc S: float32[40000] shared
    alloc T: float32[40000] shared
    thread for tx in 0..4 on "threadIdx.x"
      C[tx] = 1.0
)",
                "launch_limit", "a block has 320000 bytes of shared memory, at most 232448 fit");
}

TEST(LaunchRule, memory) {
  expect_broken(R"(  thread for bx in 0..n on "blockIdx.x"
    alloc S: float32[n] shared
    thread for tx in 0..4 on "threadIdx.x"
      C[tx] = 1.0
)",
                "memory", "buffer 'S' in shared memory has the size n, should be constant");
  expect_broken(threads("      alloc T: float32[4] shared\n      C[tx] = 1.0\n"), "memory",
                "buffer 'T' in shared memory is allocated inside of the thread loops");
  expect_broken(threads("      alloc T: float32[4]\n      C[tx] = 1.0\n"), "memory",
                "buffer 'T' in global memory is allocated inside of the thread loops");
  expect_broken(threads("      alloc T: float32[n] local\n      C[tx] = 1.0\n"), "memory",
                "buffer 'T' in local memory has the size n, should be constant");
  expect_broken("  alloc T: float32[4] shared\n" + threads("      C[tx] = 1.0\n"), "memory",
                "buffer 'T' in shared memory is allocated outside of kernels");
}

TEST(LaunchRule, host) {
  expect_broken("  C[0] = 1.0\n" + threads("      C[tx] = 1.0\n"), "host",
                "a store to 'C' stands outside of the kernels");
  expect_broken(
      "  if A[0] > 0.0\n    thread for tx in 0..4 on \"threadIdx.x\"\n      C[tx] = 1.0\n", "host",
      "'A' is read outside of kernels");
  expect_broken(
      "  parallel for i in 0..4\n    thread for tx in 0..4 on \"threadIdx.x\"\n      "
      "C[tx] = 1.0\n",
      "mixed", "a parallel loop 'i'");
}

TEST(LaunchRule, thread_call) {
  expect_broken("  evaluate thread_barrier()\n", "thread_call",
                "thread_barrier stands as a statement inside of the thread loops only");
  expect_broken("  evaluate async_commit()\n" + threads("      C[tx] = 1.0\n"), "thread_call",
                "async_commit stands as a statement");
  expect_broken(threads("      C[tx] = warp_shuffle_xor(A[tx], 1)\n"), "thread_call",
                "warp_shuffle_xor stands as the value of a let statement");
  expect_broken(threads("      let v = warp_shuffle_xor(A[tx], 1) + 1.0\n      C[tx] = v\n"),
                "thread_call", "warp_shuffle_xor stands as the value of a let statement");
  expect_broken(threads("      let v = async_copy(A[tx])\n      C[tx] = v\n"), "thread_call",
                "async_copy stands as the value of a store");
  expect_broken(threads("      C[thread_barrier()] = 1.0\n"), "thread_call",
                "thread_barrier stands as a statement");
}

TEST(LaunchRule, collective_calls_stand_where_all_threads_arrive) {
  expect_broken(threads("      if tx < 16\n        evaluate thread_barrier()\n"), "collective",
                "a thread_barrier stands under 'if tx < 16', which may differ among the threads of "
                "a block");
  expect_broken(threads(R"(      let half = tx // 2
      for i in 0..half
        for j in 0..4
          evaluate thread_barrier()
)"),
                "collective", "under the extent half of loop 'i'");
  expect_broken(threads(R"(      alloc x: float32[1] local
      x[0] = 1.0
      while x[0] > 0.0
        evaluate thread_barrier()
)"),
                "collective", "under 'while x[0] > 0.0'");
  expect_broken(threads(R"(      for i in tx..+4
        if i < 4
          evaluate thread_barrier()
)"),
                "collective", "under 'if i < 4'");
  expect_broken(threads(R"(      if A[tx] > 0.0
        C[tx] = 1.0
      else
        evaluate thread_barrier()
)"),
                "collective", "under 'if A[tx] > 0.0'");
  expect_broken(threads(R"(      if tx < 48
        let v = warp_shuffle_xor(A[tx], 1)
        C[tx] = v
)"),
                "collective",
                "a warp_shuffle_xor stands under 'if tx < 48', which may differ among "
                "the threads of a warp");
  expect_broken(threads(R"(      if tx // 32 == 0
        evaluate thread_barrier()
)"),
                "collective", "a thread_barrier stands under 'if tx // 32 == 0'");
  expect_broken(threads(R"(      let v = warp_shuffle(A[tx], 0)
      if v > 0.0
        evaluate thread_barrier()
)"),
                "collective", "under 'if v > 0.0'");
}

TEST(LaunchRule, collective_calls_under_uniform_conditions_are_valid) {
  expect_valid(threads(R"(      for i in 0..n
        if bx + i < n and A[bx] > 0.0
          evaluate thread_barrier()
          while S[i % 4] > 0.0
            evaluate thread_barrier()
)"));
  expect_valid(threads(R"(      if tx // 32 == 0
        let v = warp_shuffle_xor(A[tx], 1)
        if tx < 4
          C[tx] = v
      let first = warp_shuffle(A[tx], 0)
      if first > 0.0
        let w = warp_shuffle_xor(A[tx], 1)
        C[tx] = w
)"));
  expect_valid(R"(  thread for ty in 0..4 on "threadIdx.y"
    thread for tx in 0..32 on "threadIdx.x"
      if ty < 2
        let v = warp_shuffle_xor(A[tx], 1)
        C[tx] = v
)");
  expect_broken(R"(  thread for ty in 0..4 on "threadIdx.y"
    thread for tx in 0..16 on "threadIdx.x"
      if ty < 3
        let v = warp_shuffle_xor(A[tx], 1)
        C[tx] = v
)",
                "collective", "under 'if ty < 3'");
  expect_valid(threads("      if tx < 1\n        evaluate thread_barrier()\n", "tx in 0..1"));
}

TEST(LaunchRule, shuffle) {
  expect_broken(threads("      let v = warp_shuffle_xor(A[tx], 32)\n      C[tx] = v\n"), "shuffle",
                "the mask of warp_shuffle_xor is 32, should be a constant of 0..32");
  expect_broken(threads("      let v = warp_shuffle(A[tx], 3i32)\n      C[tx] = v\n"), "shuffle",
                "warp_shuffle takes a scalar of its dtype and an int64");
}

TEST(LaunchRule, async_copy) {
  expect_broken(
      threads("      C[tx] = async_copy(A[tx])\n"), "async_copy",
      "should store a load from global memory to shared memory, got 'C' in global memory");
  expect_broken(threads("      S[tx] = async_copy(A[tx] + 1.0)\n"), "async_copy",
                "should store a load from global memory");
  expect_broken(threads("      evaluate async_wait(tx)\n"), "async_copy",
                "async_wait takes a constant number of groups");
}

TEST(LaunchRule, tensor) {
  const std::string fragments =
      "      alloc F: float32[256] fragment\n      alloc G: bfloat16[256] fragment\n";
  const auto tensor = [&](const std::string& call) {
    return threads(fragments + "      evaluate " + call + "\n");
  };
  expect_valid(tensor("store_f32(C[0], F[0], 16, 16)"));
  expect_broken(tensor("store_f32(C[0], F[0], 16)"), "tensor",
                "store_f32 takes 2 places and as many strides, got 3 operands");
  expect_broken(tensor("store_f32(C[0], S[0], 16, 16)"), "tensor",
                "operand C is S[0], should be the first element of a float32 tile in fragment");
  expect_broken(tensor("store_f32(C[0], G[0], 16, 16)"), "tensor", "operand C is G[0]");
  expect_broken(tensor("store_f32(C[0], F[0] + 1.0, 16, 16)"), "tensor", "operand C is F[0] + 1.0");
  expect_broken(tensor("store_f32(C[int64(F[0])], F[0], 16, 16)"), "fragment", "fragment 'F'");
  expect_broken(tensor("store_f32(C[0], F[0], 16, 16i32)"), "tensor",
                "the stride of operand C is 16i32, should be int64");
  expect_broken(tensor("mma_16x16x16_bf16(F[0], G[0], G[0], 16, 16, 16)"), "fragment",
                "fragment 'G' is laid out as right operand here and as left operand before");
  expect_broken(threads(fragments + "      C[0] = store_f32(C[0], F[0], 16, 16)\n"), "fragment",
                "fragment 'F'");
  expect_broken(threads(fragments + "      if tx < 16\n        evaluate fill_zero_f32(F[0], 16)\n"),
                "collective",
                "a fill_zero_f32 stands under 'if tx < 16', which may differ among "
                "the threads of a warp");
}

TEST(LaunchRule, fragment) {
  expect_broken(threads("      alloc F: float32[256] fragment\n      F[tx] = 1.0\n"), "fragment",
                "fragment 'F' is accessed by something else than a tensor instruction");
  expect_broken(threads("      alloc F: float32[256] fragment\n      C[tx] = F[tx]\n"), "fragment",
                "fragment 'F' is accessed by something else");
}

}  // namespace
}  // namespace tenon
