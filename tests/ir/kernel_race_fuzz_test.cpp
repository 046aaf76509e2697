/// Random kernels: the interpreter reports a finding where two accesses of different threads meet,
/// or an access meets an asynchronous copy, and nowhere else. What meets is found by comparing all
/// pairs.

#include <gtest/gtest.h>

#include <random>

#include "tenon/ir/interpret.h"
#include "tenon/ir/parse.h"
#include "tenon/ir/verify.h"

namespace tenon {
namespace {

constexpr int kSize = 64;  ///< elements of each buffer

/// When a statement is executed: its number, and that of the last barrier.
struct Moment {
  int statement, interval;
};
constexpr Moment kNever = {1 << 30, -1};

struct Access {
  int block, thread;
  Moment at;
  bool is_global, is_write;
  int element;
  bool is_copy = false;  ///< an asynchronous one, until `landed`
  Moment landed = {0, 0};
};

/// Whether an access meets a copy of the same block: it comes while the copy is under way, or
/// nothing orders it and the begin or end of another thread's copy.
bool meets_copy(const Access& a, const Access& copy) {
  if (copy.at.statement < a.at.statement && a.at.statement < copy.landed.statement) return true;
  return a.thread != copy.thread &&
         (a.at.interval == copy.at.interval || a.at.interval == copy.landed.interval);
}

bool meet(const Access& a, const Access& b) {
  if (a.is_global != b.is_global || a.element != b.element || !(a.is_write || b.is_write))
    return false;
  if (a.block != b.block) return a.is_global;
  if (a.is_copy && meets_copy(b, a)) return true;
  if (b.is_copy && meets_copy(a, b)) return true;
  return a.at.interval == b.at.interval && a.thread != b.thread;
}

/// A kernel of one line after the other: accesses at random places under random guards, in loops
/// and conditions that hold barriers as well.
class RandomKernel {
 public:
  explicit RandomKernel(unsigned seed) : random_(seed) {
    has_copies_ = seed % 2 == 1;
    blocks_ = number(1, 3);
    threads_ = number(2, 40);
    text_ = "loop function f(A: float32[64]) -> (G: float32[64])\n  thread for bx in 0.." +
            std::to_string(blocks_) +
            " on \"blockIdx.x\"\n    alloc S: float32[64] shared\n    thread for tx in 0.." +
            std::to_string(threads_) +
            " on \"threadIdx.x\"\n      alloc x: float32[1] local\n      x[0] = 0.0\n";
    const int loops = number(1, 3);
    for (int l = 0; l < loops; ++l) {
      const int trips = number(1, 2);
      text_ += "      for r" + std::to_string(l) + " in 0.." + std::to_string(trips) + "\n";
      std::vector<Line> lines(static_cast<std::size_t>(number(1, 4)));
      for (Line& line : lines) {
        line = draw();
        text_ += "        " + line.text;
      }
      for (int r = 0; r < trips; ++r) {
        for (const Line& line : lines) {
          execute(line);
          ++now_.statement;
        }
      }
    }
  }

  const std::string& text() const { return text_; }
  bool has_conflict() const {
    for (std::size_t i = 0; i < accesses_.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        if (meet(accesses_[i], accesses_[j])) return true;
      }
    }
    return false;
  }

 private:
  enum class Kind { kAccess, kCopy, kCommit, kWait, kBarrier };
  struct Line {
    Kind kind = Kind::kAccess;
    std::string text;
    bool is_global = false, is_write = false;
    int pending = 0;                                      ///< groups that a wait leaves
    int thread_factor = 0, block_factor = 0, offset = 0;  ///< of the element
    int below = 0;                                        ///< threads that do it
  };

  int number(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }

  Line draw() {
    Line line;
    const int kind = number(0, has_copies_ ? 9 : 5);
    if (kind < 2) {
      line.kind = Kind::kBarrier;
      line.text = "evaluate thread_barrier()\n";
      return line;
    }
    if (kind == 6) {
      line.kind = Kind::kCommit;
      line.text = "evaluate async_commit()\n";
      return line;
    }
    if (kind == 7) {
      line.kind = Kind::kWait;
      line.pending = number(0, 2) == 0 ? 1 : 0;
      line.text = "evaluate async_wait(" + std::to_string(line.pending) + ")\n";
      return line;
    }
    if (kind > 7) line.kind = Kind::kCopy;
    line.is_global = kind < 6 && number(0, 2) == 0;
    line.is_write = kind > 7 || number(0, 1) == 0;
    line.thread_factor = number(0, 4) == 0 ? 0 : number(0, 3) == 0 ? -1 : 1;
    line.block_factor = number(0, 2) == 0 ? 0 : threads_;
    line.offset = number(0, 3) == 0 ? number(0, 3) : 0;
    line.below = number(0, 1) == 0 ? threads_ : number(1, threads_);
    const std::string at = std::string(line.is_global ? "G" : "S") + "[(tx * " +
                           std::to_string(line.thread_factor) + " + bx * " +
                           std::to_string(line.block_factor) + " + " + std::to_string(line.offset) +
                           ") % 64";
    const std::string guard = "tx < " + std::to_string(line.below);
    const std::string value = line.kind == Kind::kCopy ? "async_copy(A[tx])" : "1.0";
    line.text = line.is_write ? at + "] = " + value + " where " + guard + "\n"
                              : "x[0] = x[0] + " + at + " where " + guard + "]\n";
    return line;
  }

  void execute(const Line& line) {
    if (line.kind == Kind::kBarrier) {
      ++now_.interval;
    } else if (line.kind == Kind::kCommit) {
      groups_.push_back(accesses_.size());
    } else if (line.kind == Kind::kWait) {
      wait(line.pending);
    } else {
      access(line);
    }
  }

  /// All threads close and wait for the same groups.
  void wait(int pending) {
    if (std::ssize(groups_) <= pending) return;
    for (std::size_t i = 0; i < groups_[groups_.size() - static_cast<std::size_t>(pending) - 1];
         ++i) {
      Access& a = accesses_[i];
      if (a.is_copy && a.landed.statement == kNever.statement) a.landed = now_;
    }
  }

  void access(const Line& line) {
    for (int b = 0; b < blocks_; ++b) {
      for (int t = 0; t < line.below; ++t) {
        const int e = t * line.thread_factor + b * line.block_factor + line.offset;
        accesses_.push_back({b, t, now_, line.is_global, line.is_write, (e % kSize + kSize) % kSize,
                             line.kind == Kind::kCopy, kNever});
      }
    }
  }

  std::mt19937 random_;
  bool has_copies_;
  int blocks_, threads_;
  Moment now_ = {0, 0};
  std::vector<std::size_t> groups_;  ///< the number of accesses before each commit
  std::string text_;
  std::vector<Access> accesses_;
};

TEST(KernelRaceFuzz, conflicts_are_found_where_accesses_meet_and_nowhere_else) {
  int racy = 0, copying = 0;
  constexpr unsigned kKernels = 600;
  for (unsigned seed = 0; seed < kKernels; ++seed) {
    const RandomKernel kernel(seed);
    const Function f = parse_function(kernel.text());
    ASSERT_NO_THROW(verify(f)) << kernel.text();
    std::vector<float> a(kSize), g(kSize);
    InterpretOptions options;
    options.check_initialised = false;
    const InterpretReport report =
        interpret(f, {{a.data(), kFloat32, {kSize}}, {g.data(), kFloat32, {kSize}}}, options);
    ASSERT_EQ(!report.ok(), kernel.has_conflict()) << report.text() << kernel.text();
    for (const Finding& found : report.findings) {
      copying += found.kind == Finding::Kind::kCopying ? 1 : 0;
      ASSERT_TRUE(found.kind == Finding::Kind::kRace || found.kind == Finding::Kind::kCopying)
          << report.text();
    }
    racy += report.ok() ? 0 : 1;
  }
  EXPECT_GT(copying, 50);
  EXPECT_GT(racy, static_cast<int>(kKernels / 5));
  EXPECT_LT(racy, static_cast<int>(kKernels * 4 / 5));
}

}  // namespace
}  // namespace tenon
