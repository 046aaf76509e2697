/// Kernels with planted faults: the interpreter finds each.

#include <gtest/gtest.h>

#include <random>

#include "ir/kernel_texts.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/interpret.h"
#include "tenon/ir/parse.h"
#include "tenon/ir/simplify.h"
#include "tenon/ir/visit.h"
#include "tenon/runtime/float_convert.h"

namespace tenon {
namespace {

/// Runs a loop function of float32 or bfloat16 arrays, filled with small integers, n = `n` for its
/// symbol.
InterpretReport run(const std::string& text, std::int64_t n = 3) {
  const Function f = parse_function(text);
  std::vector<std::vector<float>> data;
  std::vector<std::vector<std::uint16_t>> narrow;
  std::vector<ArrayView> views;
  VarMap symbols;
  for (const Symbol& s : f->symbols) symbols[s.var.get()] = imm(n);
  for (const Buffer& b : f->params()) {
    const std::int64_t count = *as_int(simplify(substitute(b->shape[0], symbols)));
    data.emplace_back(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < data.back().size(); ++i)
      data.back()[i] = static_cast<float>(i % 17);
  }
  for (std::size_t i = 0; i < data.size(); ++i) {
    narrow.emplace_back();
    for (const float v : data[i]) narrow[i].push_back(float_to_bfloat16(v));
    const DType t = f->params()[i]->dtype;
    void* at = t == kFloat32 ? static_cast<void*>(data[i].data()) : narrow[i].data();
    views.push_back({at, t, {static_cast<std::int64_t>(data[i].size())}});
  }
  InterpretOptions options;
  if (!f->symbols.empty()) options.symbols = {n};
  return interpret(f, views, options);
}

std::size_t count_of(const std::string& text, const std::string& what) {
  std::size_t count = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1))
    ++count;
  return count;
}

/// The text without its line number `which` of those that contain `what`.
std::string without(std::string text, const std::string& what, std::size_t which = 0) {
  std::size_t at = text.find(what);
  for (std::size_t i = 0; i < which; ++i) at = text.find(what, at + 1);
  const std::size_t begin = text.rfind('\n', at) + 1, end = text.find('\n', at) + 1;
  return text.erase(begin, end - begin);
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  EXPECT_EQ(count_of(text, from), 1U) << from;
  return text.replace(text.find(from), from.size(), to);
}

void expect_found(const InterpretReport& report, Finding::Kind kind, const std::string& message) {
  ASSERT_FALSE(report.ok()) << "nothing found, expected: " << message;
  EXPECT_EQ(report.findings[0].kind, kind) << report.text();
  EXPECT_NE(report.findings[0].message.find(message), std::string::npos) << report.text();
}

const char* const kBarrier = "evaluate thread_barrier()";

TEST(KernelFault, each_barrier_of_correct_kernels_is_needed) {
  std::size_t removed = 0;
  for (const std::string& text :
       {kSharedMatmul, kTreeReduction, kPipelinedCopy, kSoftmax, kTensorMatmul}) {
    ASSERT_EQ(run(text).text(), "");
    for (std::size_t i = 0; i < count_of(text, kBarrier); ++i, ++removed) {
      const InterpretReport report = run(without(text, kBarrier, i));
      ASSERT_FALSE(report.ok()) << "barrier " << i << " is not missed in\n" << text;
      for (const Finding& f : report.findings) EXPECT_EQ(f.kind, Finding::Kind::kRace) << f.message;
    }
  }
  EXPECT_EQ(removed, 9U);
}

TEST(KernelFault, a_missing_barrier_names_element_and_thread) {
  expect_found(run(without(kSharedMatmul, kBarrier, 0)), Finding::Kind::kRace,
               "race on As[1]: it is read here and written by thread (1, 0, 0), without a barrier "
               "between (by = 0, bx = 0, ty = 0, tx = 0, ko = 0, ki = 1)");
  expect_found(run(without(kSharedMatmul, kBarrier, 1)), Finding::Kind::kRace,
               "race on As[0]: it is written here and read by thread (15, 0, 0), without a barrier "
               "between (by = 0, bx = 0, ty = 0, tx = 0, ko = 1)");
}

TEST(KernelFault, waits_that_are_missing_or_leave_too_much_under_way) {
  const std::string wait = "evaluate async_wait(0)";
  expect_found(run(without(kPipelinedCopy, wait)), Finding::Kind::kCopying,
               "read of S[63] while an asynchronous copy to it is under way");
  expect_found(run(replaced(kPipelinedCopy, wait, "evaluate async_wait(1)")),
               Finding::Kind::kCopying, "(bx = 0, tx = 0, i = 0, e = 0)");
  // Without the commit before the loop the wait of the first iteration waits for nothing.
  expect_found(run(without(kPipelinedCopy, "evaluate async_commit()", 0)), Finding::Kind::kCopying,
               "read of S[63]");
}

TEST(KernelFault, a_wait_is_no_barrier) {
  expect_found(run(without(kPipelinedCopy, kBarrier)), Finding::Kind::kRace,
               "race on S[63]: it is read here and written by thread (15, 0, 0)");
}

TEST(KernelFault, a_slot_is_not_written_while_it_is_being_copied) {
  expect_found(run(R"(loop function f(A: float32[32]) -> (C: float32[32])
  thread for bx in 0..1 on "blockIdx.x"
    alloc S: float32[32] shared
    thread for tx in 0..32 on "threadIdx.x"
      S[tx] = async_copy(A[tx])
      evaluate async_commit()
      S[tx] = 0.0
      evaluate async_wait(0)
      C[tx] = S[tx]
)"),
               Finding::Kind::kCopying, "write to S[0] while an asynchronous copy to it");
  expect_found(run(replaced(kPipelinedCopy, "S[ramp((i + 1) % 2 * 64", "S[ramp(i % 2 * 64")),
               Finding::Kind::kCopying, "read of S[63]");
}

TEST(KernelFault, own_copies_are_visible_after_the_wait_alone) {
  EXPECT_EQ(run(R"(loop function f(A: float32[32]) -> (C: float32[32])
  thread for bx in 0..1 on "blockIdx.x"
    alloc S: float32[32] shared
    thread for tx in 0..32 on "threadIdx.x"
      S[tx] = async_copy(A[tx])
      evaluate async_commit()
      S[tx] = 1.0 where A[tx] < 0.0
      evaluate async_wait(0)
      C[tx] = S[tx]
)")
                .text(),
            "");
}

std::string one_block(const std::string& body, const std::string& threads = "64") {
  return "loop function f(A: float32[64]) -> (C: float32[64])\n"
         "  thread for bx in 0..1 on \"blockIdx.x\"\n"
         "    alloc S: float32[64] shared\n"
         "    thread for tx in 0.." +
         threads + " on \"threadIdx.x\"\n" + body;
}

TEST(KernelFault, barriers_that_some_threads_do_not_reach) {
  expect_found(run(one_block(R"(      if tx < 16
        evaluate thread_barrier()
      C[tx] = A[tx]
)")),
               Finding::Kind::kDivergence,
               "thread_barrier is reached by 16 of the 64 threads of the block, under 'if tx < 16' "
               "(bx = 0, tx = 0)");
  expect_found(run(one_block(R"(      if A[0] < 1.0
        if tx < 60
          C[tx] = 1.0
        else
          C[tx] = 2.0
          evaluate thread_barrier()
)")),
               Finding::Kind::kDivergence,
               "4 of the 64 threads of the block, under 'else of if tx < 60' (bx = 0, tx = 60)");
  expect_found(run(one_block(R"(      for i in 0..tx
        if i < 63 - tx
          evaluate thread_barrier()
      C[tx] = A[tx]
)")),
               Finding::Kind::kDivergence,
               "62 of the 64 threads of the block, under 'for i in 0..+tx', 'if i < 63 - tx'");
  expect_found(run(one_block(R"(      alloc n: float32[1] local
      n[0] = A[tx]
      while n[0] > 0.0
        n[0] = n[0] - 1.0
        evaluate thread_barrier()
      C[tx] = n[0]
)")),
               Finding::Kind::kDivergence, "under 'while n[0] > 0.0'");
}

TEST(KernelFault, uniform_conditions_and_loops_may_hold_barriers) {
  EXPECT_EQ(run(one_block(R"(      S[tx] = 0.0
      evaluate thread_barrier()
      while S[0] < 3.0
        evaluate thread_barrier()
        S[63 - tx] = S[63 - tx] + 1.0
        evaluate thread_barrier()
      if S[1] < 3.0
        evaluate thread_barrier()
      for i in 0..int64(S[2])
        evaluate thread_barrier()
      C[tx] = S[tx]
)"))
                .text(),
            "");
}

TEST(KernelFault, shuffles_that_some_lanes_do_not_reach) {
  expect_found(run(one_block(R"(      if tx < 48
        let v = warp_shuffle_xor(A[tx], 1)
        C[tx] = v
)")),
               Finding::Kind::kDivergence,
               "warp_shuffle_xor is reached by 16 of the 32 threads of the warp, under 'if tx < "
               "48' (bx = 0, tx = 32)");
  EXPECT_EQ(run(one_block(R"(      if tx < 32
        let v = warp_shuffle_xor(A[tx], 1)
        C[tx] = v
      else
        C[tx] = 0.0
)"))
                .text(),
            "")
      << "a whole warp may go its way";
}

TEST(KernelFault, shuffles_from_lanes_that_do_not_exist) {
  expect_found(run(one_block(R"(      let v = warp_shuffle(A[tx], tx % 32 + 1)
      C[tx] = v
)")),
               Finding::Kind::kLane, "warp_shuffle from lane 32 of a warp of 32 (bx = 0, tx = 31)");
  expect_found(run(one_block(R"(      let v = warp_shuffle_xor(A[tx], 16)
      C[tx] = v
)",
                             "40")),
               Finding::Kind::kLane,
               "warp_shuffle_xor from lane 16 of a warp of 8 (bx = 0, tx = 32)");
}

TEST(KernelFault, tensor_instructions_need_whole_warps_that_agree) {
  ASSERT_EQ(run(kTensorMatmul).text(), "");
  const std::string mma = "          evaluate mma_16x16x16_bf16(Cf[0], Af[0], Bf[0], 16, 16, 16)";
  expect_found(run(replaced(kTensorMatmul, mma, "          if tx < 31\n  " + mma)),
               Finding::Kind::kDivergence,
               "mma_16x16x16_bf16 is reached by 31 of the 32 threads of the warp, under 'if tx < "
               "31' (bx = 0, ty = 0, tx = 0, k = 0)");
  EXPECT_EQ(run(replaced(kTensorMatmul, mma, "          if ty < 2\n  " + mma)).text(), "");
  expect_found(run(replaced(kTensorMatmul, "As[k * 16]", "As[k * 16 + tx // 8 * 8]")),
               Finding::Kind::kDivergence,
               "the lanes of a warp give different places for operand A_shared of load_a_bf16: "
               "elements 0 and 8 (bx = 0, ty = 0, tx = 8, k = 0)");
  expect_found(run(replaced(kTensorMatmul, "As[k * 16]", "As[k * 12]")), Finding::Kind::kAlignment,
               "operand A_shared of load_a_bf16 begins at element 12 with rows of 32, should be "
               "multiples of 8");
  expect_found(run(one_block(R"(      alloc F: float32[256] fragment
      evaluate fill_zero_f32(F[0], 16)
)",
                             "40")),
               Finding::Kind::kLane, "fill_zero_f32 in a warp of 8 threads (bx = 0, tx = 32)");
}

TEST(KernelFault, tensor_instructions_race_and_read_what_was_written) {
  expect_found(
      run(without(kTensorMatmul, "fill_zero")), Finding::Kind::kUninitialised,
      "read of Cf[0], which is uninitialised (bx = 0, ty = 0, tx = 0, k = 0, i = 0, j = 0, k = 0) "
      "at <text>:19");
  expect_found(run(without(kTensorMatmul, "async_wait")), Finding::Kind::kCopying, "read of As[0]");
  expect_found(run(replaced(kTensorMatmul, "C[bx * 512 + ty * 16]", "C[bx * 512]")),
               Finding::Kind::kRace, "race on C[0]: it is written here and by warp 0, without a");
  expect_found(run(replaced(kTensorMatmul, "C[bx * 512 + ty * 16]", "C[ty * 16]")),
               Finding::Kind::kRace, "race on C[0]: it is written here and in another block");
  expect_found(run(replaced(kTensorMatmul, "Bs[k * 512 + ty * 16]", "Bs[k * 528 + ty * 16]")),
               Finding::Kind::kOutOfBounds, "read of Bs[1024]");
}

TEST(KernelFault, private_memory_is_not_seen_by_other_threads) {
  std::string text = replaced(kTreeReduction, "    alloc T: float32[128] shared\n", "");
  text = replaced(text, "      for r in 0..2",
                  "      alloc T: float32[128] local\n      for r in 0..2");
  expect_found(run(text), Finding::Kind::kUninitialised, "read of T[64], which is uninitialised");
}

TEST(KernelFault, shared_memory_is_not_kept_from_block_to_block) {
  expect_found(run(R"(loop function f(A: float32[64]) -> (C: float32[64])
  thread for bx in 0..2 on "blockIdx.x"
    alloc S: float32[32] shared
    thread for tx in 0..32 on "threadIdx.x"
      if bx == 0
        S[tx] = A[tx]
      C[bx * 32 + tx] = S[tx]
)"),
               Finding::Kind::kUninitialised, "read of S[0]");
}

TEST(KernelFault, races_between_blocks) {
  const std::string head = "loop function f(A: float32[64]) -> (C: float32[64])\n";
  expect_found(run(head + R"(  thread for bx in 0..2 on "blockIdx.x"
    thread for tx in 0..64 on "threadIdx.x"
      C[tx] = A[tx]
)"),
               Finding::Kind::kRace, "race on C[0]: it is written here and in another block");
  // A barrier orders the threads of a block, not the blocks.
  expect_found(run(head + R"(  thread for by in 0..2 on "blockIdx.y"
    thread for bx in 0..2 on "blockIdx.x"
      thread for tx in 0..16 on "threadIdx.x"
        C[(by * 2 + bx) * 16 + tx] = A[tx]
        evaluate thread_barrier()
        C[tx] = C[(by * 2 + bx) * 16 + tx] where by * 2 + bx == 3
)"),
               Finding::Kind::kRace, "race on C[0]: it is written here and in another block");
  expect_found(run(head + R"(  alloc T: float32[64]
  for i in 0..1
    thread for tx in 0..64 on "threadIdx.x"
      T[tx] = A[tx]
  thread for bx in 0..2 on "blockIdx.x"
    thread for tx in 0..32 on "threadIdx.x"
      C[bx * 32 + tx] = T[0] + T[tx]
      evaluate thread_barrier()
      T[tx] = 0.0 where bx == 1
)"),
               Finding::Kind::kRace, "race on T[0]: it is written here and read in another block");
}

TEST(KernelFault, kernels_run_one_after_the_other) {
  EXPECT_EQ(run(R"(loop function f(A: float32[64]) -> (C: float32[64])
  alloc T: float32[64]
  for t in 0..3
    thread for bx in 0..2 on "blockIdx.x"
      thread for tx in 0..32 on "threadIdx.x"
        T[bx * 32 + tx] = A[bx * 32 + tx] + float32(t)
    thread for bx in 0..2 on "blockIdx.x"
      thread for tx in 0..32 on "threadIdx.x"
        C[bx * 32 + tx] = T[63 - (bx * 32 + tx)]
)")
                .text(),
            "");
}

TEST(KernelFault, out_of_bounds_and_uninitialised_elements_name_the_thread) {
  expect_found(run(one_block("      C[tx + 1] = A[tx]\n")), Finding::Kind::kOutOfBounds,
               "write to C[64] is out of bounds: index 64 of dimension 0 is not in 0..64 (bx = 0, "
               "tx = 63)");
  expect_found(run(one_block(R"(      alloc x: float32[2] register
      x[0] = A[tx]
      C[tx] = x[1]
)")),
               Finding::Kind::kUninitialised,
               "read of x[1], which is uninitialised (bx = 0, tx = 0)");
}

TEST(KernelFault, launches_beyond_the_limits_are_not_run) {
  const std::string text = R"(loop function f[n](A: float32[n]) -> (C: float32[n])
  thread for by in 0..n on "blockIdx.y"
    thread for tx in 0..1 on "threadIdx.x"
      C[by] = A[by]
)";
  EXPECT_EQ(run(text, 65535).text(), "");
  expect_found(run(text, 65536), Finding::Kind::kLaunch,
               "launch: blockIdx.y has extent 65536, at most 65535 can run");
  expect_found(run(one_block("      C[tx] = A[tx]\n", "1025")), Finding::Kind::kLaunch,
               "launch: threadIdx.x has extent 1025, at most 1024 can run");
}

TEST(KernelFault, what_is_not_in_launch_form_is_not_run) {
  EXPECT_THROW(run("loop function f(A: float32[4]) -> (C: float32[4])\n  C[0] = A[0]\n"
                   "  thread for tx in 0..4 on \"threadIdx.x\"\n    C[tx] = A[tx]\n"),
               InternalError);
}

/// A kernel of phases: each thread writes its element, a barrier, it reads an element of another
/// thread, a barrier.
std::string random_phases(std::mt19937* random) {
  const auto pick = [&](int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(*random);
  };
  const int threads = pick(2, 70), phases = pick(1, 4);
  const bool in_loop = pick(0, 1) == 1;
  const std::string n = std::to_string(threads), indent = in_loop ? "        " : "      ";
  std::string text = "loop function f(A: float32[" + n + "]) -> (C: float32[" + n +
                     "])\n  thread for bx in 0..1 on \"blockIdx.x\"\n    alloc S: float32[" + n +
                     "] shared\n    thread for tx in 0.." + n +
                     " on \"threadIdx.x\"\n      alloc x: float32[1] register\n      x[0] = "
                     "A[tx]\n";
  if (in_loop) text += "      for r in 0..2\n";
  for (int p = 0; p < phases; ++p) {
    const std::string shift = std::to_string(pick(1, threads - 1));
    text += indent + "S[tx] = x[0]\n" + indent + kBarrier + "\n" + indent +
            "x[0] = x[0] + S[(tx + " + shift + ") % " + n + "]\n";
    if (in_loop || p + 1 < phases) text += indent + kBarrier + "\n";
  }
  return text + "      C[tx] = x[0]\n";
}

TEST(KernelFault, any_barrier_removed_from_random_kernels_is_missed) {
  std::mt19937 random(7);
  for (int k = 0; k < 60; ++k) {
    const std::string text = random_phases(&random);
    ASSERT_EQ(run(text).text(), "") << text;
    const std::size_t n = count_of(text, kBarrier);
    const std::size_t which = std::uniform_int_distribution<std::size_t>(0, n - 1)(random);
    const InterpretReport report = run(without(text, kBarrier, which));
    EXPECT_FALSE(report.ok()) << "barrier " << which << " is not missed in\n" << text;
  }
}

}  // namespace
}  // namespace tenon
