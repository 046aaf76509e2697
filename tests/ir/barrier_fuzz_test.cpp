/// Random kernels over shared and global memory: with the barriers of insert_barriers the
/// interpreter finds no two threads that meet.

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "ir/transform/flatten_buffers.h"
#include "ir/transform/insert_barriers.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/interpret.h"
#include "tenon/ir/parse.h"
#include "tenon/ir/print.h"
#include "tenon/ir/thread.h"
#include "tenon/ir/verify.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

/// Statements of a kernel of 4 x 8 threads. Every store is of a different element in each thread
/// that runs it; reads go anywhere.
class RandomKernel {
 public:
  explicit RandomKernel(unsigned seed) : random_(seed) {}

  std::string text() {
    return "function f(A: float32[8, 16]) -> (C: float32[8, 16])\n"
           "  alloc S: float32[8, 16] shared\n"
           "  alloc T: float32[8, 16] shared\n"
           "  thread for bx in 0..2 on \"blockIdx.x\"\n"
           "    thread for ty in 0..4 on \"threadIdx.y\"\n"
           "      thread for tx in 0..8 on \"threadIdx.x\"\n" +
           statements(8, 2 + pick(3), 0);
  }

 private:
  int pick(int n) { return std::uniform_int_distribution<int>(0, n - 1)(random_); }
  template <std::size_t n>
  std::string one_of(const char* const (&all)[n]) {
    return all[pick(static_cast<int>(n))];
  }

  std::string statements(int indent, int count, int depth) {
    std::string out;
    for (int i = 0; i < count; ++i) out += statement(indent, depth);
    return out;
  }

  std::string statement(int indent, int depth) {
    const std::string pad(static_cast<std::size_t>(indent), ' ');
    const int kind = depth < 2 ? pick(8) : 7;
    if (kind < 2) {
      const std::string loop = loops_.size() < 2 ? (loops_.empty() ? "k" : "l") : "";
      if (!loop.empty()) {
        loops_.push_back(loop);
        std::string out = pad + "for " + loop + " in 0.." + std::to_string(2 + pick(2)) + "\n" +
                          statements(indent + 2, 1 + pick(3), depth + 1);
        loops_.pop_back();
        return out;
      }
    }
    if (kind == 2) {
      return pad + "if " + one_of({"tx < 5", "ty * 8 + tx < 20", "bx == 0", "ty == 1"}) + "\n" +
             statements(indent + 2, 1 + pick(2), depth + 1);
    }
    if (kind == 3) {
      const bool first = pick(2) == 0;
      return pad + "if tx == 0\n" + pad + "  " + (first ? "S" : "T") + "[ty, " + column() +
             "] = " + read(!first) + "\n";
    }
    // No barrier stands inside of a statement: it reads another buffer than it writes.
    const bool first = pick(2) == 0;
    return pad + write(first) + " = " + read(!first) + " + " + read(!first) + "\n";
  }

  /// A column below 16 that is the same for all threads.
  std::string column() {
    return loops_.empty() ? std::to_string(pick(16))
                          : loops_.back() + " + " + std::to_string(pick(8));
  }

  std::string write(bool first) {
    const std::string row = loops_.empty() || pick(2) == 0 ? "ty" : "ty + " + loops_[0];
    // Blocks write an element once: only what is linear is written twice here.
    std::string place = one_of({"tx", "7 - tx", "tx + 8", "tx * 2"});
    if (row == "ty" && pick(4) == 0) place = "(tx + 3) % 8";
    return std::string(first ? "S" : "T") + "[" + row + ", " + place + "]";
  }

  std::string read(bool first) {
    const std::string row = one_of({"ty", "3 - ty", "ty + 1", "tx", "0"});
    std::string place = one_of({"tx", "7 - tx", "tx + 8", "tx + 1", "ty", "tx * 2", "tx // 2"});
    if (!loops_.empty() && pick(3) == 0) place = column();
    return std::string(pick(4) == 0 ? "A" : first ? "S" : "T") + "[" + row + ", " + place + "]";
  }

  std::mt19937 random_;
  std::vector<std::string> loops_;
};

InterpretReport run(const Function& f) {
  std::vector<float> a(128), c(128);
  InterpretOptions options;
  options.check_initialised = false;
  return interpret(f, {{a.data(), kFloat32, {128}}, {c.data(), kFloat32, {128}}}, options);
}

/// Shared memory between block and thread loops, where lower_blocks puts it.
Function placed(const Function& f) {
  std::vector<Buffer> buffers;
  Stmt body = f->body;
  while (const auto* a = body.as<AllocateNode>()) {
    buffers.push_back(a->buffer);
    const Stmt inner = a->body;
    body = inner;
  }
  const auto* blocks = body.as<ForNode>();
  Stmt threads = blocks->body;
  for (const Buffer& b : buffers) threads = make_allocate(b, threads);
  return with_body(f, with_body(*blocks, threads));
}

TEST(BarrierFuzz, no_two_threads_meet) {
  int refused = 0;
  for (unsigned seed = 0; seed < 400; ++seed) {
    const Function before = placed(parse_function(RandomKernel(seed).text()));
    Function after;
    try {
      after = flatten_buffers(insert_barriers(before));
    } catch (const ScheduleError&) {
      ++refused;
      continue;
    }
    verify(after);
    const InterpretReport report = run(after);
    ASSERT_TRUE(report.ok()) << "seed " << seed << "\n" << report.text() << "\n" << print(after);
  }
  EXPECT_LT(refused, 40);
}

}  // namespace
}  // namespace tenon
