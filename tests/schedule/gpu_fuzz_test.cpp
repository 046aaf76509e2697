// Random GPU schedules: lowered and run by the interpreter as threads, they compute what the
// unscheduled function computes, and no two threads meet. TENON_FUZZ_SCHEDULES=5000 in the
// environment runs more of them.

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>

#include "schedule/fuzz_workloads.h"
#include "schedule/loop_tree.h"
#include "schedule/random_step.h"
#include "tenon/ir/lower.h"
#include "tenon/ir/print.h"
#include "tenon/ir/structural.h"
#include "tenon/schedule/schedule.h"

namespace tenon {
namespace {

constexpr int kSchedules = 300;

class GpuFuzzer {
 public:
  int done = 0, left_out = 0, refused = 0;
  int padded = 0, pipelined = 0;

  void run_one(unsigned seed) {
    random_.seed(seed);
    const auto& workloads = testing::fuzz_workloads();
    const testing::Workload& w = workloads[seed % workloads.size()];
    Schedule s(w.make());
    tile(&s);
    for (int i = 0; i < 25; ++i) bind_or_place(&s);
    if (!bind_every_nest(&s)) {
      ++left_out;
      return;
    }
    SCOPED_TRACE(s.trace().to_python());
    Function lowered;
    try {
      lowered = lower(s.function());
    } catch (const ScheduleError& e) {
      // Memory of a kernel that another one uses, a barrier that some threads miss, a pipeline that
      // later steps took apart.
      ++refused;
      EXPECT_TRUE(e.code() >= "E1240" && e.code() <= "E1259") << e.what();
      return;
    }
    testing::expect_same(w, testing::run(w.make()), testing::magnitudes(w), testing::run(lowered),
                         s.trace().reassociates(), "the lowered schedule");
    Schedule replayed(w.make());
    Trace::from_json(s.trace().to_json()).replay(&replayed);
    ASSERT_TRUE(structural_equal(replayed.function(), s.function()));
    ++done;
  }

 private:
  int pick(std::size_t n) {
    return std::uniform_int_distribution<int>(0, static_cast<int>(n) - 1)(random_);
  }
  template <typename T>
  const T& one_of(const std::vector<T>& all) {
    return all[static_cast<std::size_t>(pick(all.size()))];
  }

  static bool accepted(const std::function<void()>& step) {
    try {
      step();
      return true;
    } catch (const ScheduleError&) {
      return false;
    }
  }

  /// Steps that any schedule takes.
  void tile(Schedule* s) {
    const testing::DrawCounts counts;
    for (int i = pick(8); i > 0; --i) {
      const auto step = testing::draw_step(*s, counts, &random_);
      if (!step || step->primitive == "parallel") continue;
      accepted([&] { s->apply(step->primitive, step->arguments); });
    }
  }

  void bind_or_place(Schedule* s) {
    const BlockRef block = one_of(s->blocks());
    const std::vector<LoopRef> loops = s->loops(block);
    if (loops.empty()) return;
    const LoopRef loop = one_of(loops);
    const std::string scope = pick(3) != 0 ? "shared" : "local";
    switch (pick(9)) {
      case 0:
        accepted([&] { s->split(loop, {std::nullopt, 1 << (1 + pick(3))}); });
        break;
      case 1: {
        const std::vector<LoopRef> others = s->loops(one_of(s->blocks()));
        if (!others.empty() && accepted([&] { s->compute_at(block, one_of(others)); }))
          accepted([&] { s->set_scope(block, scope); });
        break;
      }
      case 2: {
        Schedule with_copy = *s;
        const std::string buffer = one_of(std::vector<std::string>{"A", "B", "T", "E"});
        if (accepted([&] {
              const BlockRef copy = with_copy.cache_read(block, buffer, scope);
              const LoopRef around = one_of(with_copy.loops(block));
              with_copy.compute_at(copy, around);
              pad_and_run_ahead(&with_copy, copy, around);
            }))
          *s = with_copy;
        break;
      }
      case 3:
        accepted([&] { s->decompose_reduction(block, loop); });
        break;
      default:
        accepted([&] {
          s->bind(loop, one_of(std::vector<std::string>{"blockIdx.x", "blockIdx.y", "threadIdx.x",
                                                        "threadIdx.x", "threadIdx.y"}));
        });
    }
  }

  /// Padded rows for some copies; some run ahead of what uses them.
  void pad_and_run_ahead(Schedule* s, const BlockRef& copy, const LoopRef& around) {
    if (pick(3) == 0 && accepted([&] { s->storage_align(copy, 0, 4, pick(4)); })) ++padded;
    if (pick(2) == 0 || !accepted([&] { s->async_copy(copy); })) return;
    if (accepted([&] { s->software_pipeline(around, 2 + pick(2)); })) ++pipelined;
  }

  /// False when a block has no loop that can be bound.
  static bool bind_every_nest(Schedule* s) {
    for (const BlockRef& block : s->blocks()) {
      bool bound = false;
      for (const LoopRef& loop : s->loops(block)) {
        const Path path = path_to_loop(s->function()->body, loop.var);
        bound |= path.back().as<ForNode>()->attrs.kind == ForKind::kThread;
      }
      for (const LoopRef& loop : s->loops(block)) {
        if (bound) break;
        bound = accepted([&] { s->bind(loop, "blockIdx.x"); }) ||
                accepted([&] { s->bind(loop, "threadIdx.x"); });
      }
      if (!bound) return false;
    }
    return true;
  }

  std::mt19937 random_;
};

TEST(GpuFuzz, random_gpu_schedules_keep_the_results) {
  GpuFuzzer fuzzer;
  const char* wanted = std::getenv("TENON_FUZZ_SCHEDULES");
  const int schedules = wanted != nullptr ? std::atoi(wanted) : kSchedules;
  for (unsigned seed = 0; fuzzer.done < schedules && !HasFailure(); ++seed) fuzzer.run_one(seed);
  std::printf("%d run, %d with a nest that cannot be bound, %d refused when lowered\n", fuzzer.done,
              fuzzer.left_out, fuzzer.refused);
  std::printf("%d copies padded, %d pipelines\n", fuzzer.padded, fuzzer.pipelined);
  EXPECT_LT(fuzzer.left_out + fuzzer.refused, fuzzer.done);
  EXPECT_GE(fuzzer.padded, 5);
  EXPECT_GE(fuzzer.pipelined, 10);
}

}  // namespace
}  // namespace tenon
