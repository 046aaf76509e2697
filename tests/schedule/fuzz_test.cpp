// Random schedules compute what the unscheduled function computes: the same bits, unless a step
// reassociates; then within 2 n eps sum|terms|. TENON_FUZZ_SCHEDULES=5000 in the environment runs
// more of them.

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <random>

#include "schedule/fuzz_workloads.h"
#include "schedule/random_step.h"
#include "tenon/ir/lower.h"
#include "tenon/ir/print.h"
#include "tenon/ir/structural.h"
#include "tenon/ir/verify.h"

namespace tenon {
namespace {

using testing::expect_same;
using testing::run;
using testing::Workload;

constexpr int kSchedules = 300;
constexpr int kMaxSteps = 12;

class Fuzzer {
 public:
  void run_one(unsigned seed) {
    std::mt19937 random(seed);
    const auto& workloads = testing::fuzz_workloads();
    const Workload& w = workloads[seed % workloads.size()];
    Schedule s(w.make());
    const std::vector<float> expected = run(s.function());
    const int steps = std::uniform_int_distribution<int>(1, kMaxSteps)(random);
    for (int i = 0; i < steps; ++i) apply_one(&s, &random);
    SCOPED_TRACE(s.trace().to_python());
    ASSERT_NO_THROW(verify(s.function(), "schedule")) << print(s.function());
    const std::vector<float> magnitude = testing::magnitudes(w);
    expect_same(w, expected, magnitude, run(s.function()), s.trace().reassociates(),
                "the schedule");
    expect_same(w, expected, magnitude, run(lower(s.function())), s.trace().reassociates(),
                "the lowered schedule");
    Schedule replayed(w.make());
    Trace::from_json(s.trace().to_json()).replay(&replayed);
    ASSERT_TRUE(structural_equal(replayed.function(), s.function()));
  }

  void print_table() const {
    std::printf("%-24s %6s %8s\n", "primitive", "legal", "refused");
    for (const auto& [name, count] : counts_)
      std::printf("%-24s %6d %8d\n", name.c_str(), count.legal, count.refused);
  }
  const testing::DrawCounts& counts() const { return counts_; }

 private:
  void apply_one(Schedule* s, std::mt19937* random) {
    const auto step = testing::draw_step(*s, counts_, random);
    if (!step) return;
    const Function before = s->function();
    try {
      s->apply(step->primitive, step->arguments);
      ++counts_[step->primitive].legal;
    } catch (const ScheduleError& e) {
      ++counts_[step->primitive].refused;
      EXPECT_TRUE(s->function().same_as(before));
      EXPECT_NE(std::string(e.what()).find("\n  got: s."), std::string::npos) << e.what();
    } catch (const InternalError& e) {
      ADD_FAILURE() << step->primitive << ": " << e.what() << "\n"
                    << s->trace().to_python() << print(before);
    }
  }

  testing::DrawCounts counts_;
};

TEST(Fuzz, random_schedules_keep_the_results) {
  Fuzzer fuzzer;
  const char* wanted = std::getenv("TENON_FUZZ_SCHEDULES");
  const unsigned schedules =
      wanted != nullptr ? static_cast<unsigned>(std::atoi(wanted)) : kSchedules;
  for (unsigned seed = 0; seed < schedules && !HasFailure(); ++seed) fuzzer.run_one(seed);
  fuzzer.print_table();
  int legal = 0, all = 0;
  for (const Primitive* p : primitives()) {
    if (testing::is_for_gpu(p->name)) continue;
    const auto found = fuzzer.counts().find(p->name);
    ASSERT_NE(found, fuzzer.counts().end()) << p->name << " was never drawn";
    EXPECT_GE(found->second.legal, 10) << p->name;
    legal += found->second.legal;
    all += found->second.legal + found->second.refused;
  }
  EXPECT_GE(2 * legal, all);
}

}  // namespace
}  // namespace tenon
