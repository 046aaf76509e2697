// Random schedules compute what the unscheduled function computes: the same bits, unless a step
// reassociates; then within 2 n eps sum|terms|. TENON_FUZZ_SCHEDULES=5000 in the environment runs
// more of them.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>

#include "schedule/random_step.h"
#include "schedule/workloads.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/interpret.h"
#include "tenon/ir/lower.h"
#include "tenon/ir/print.h"
#include "tenon/ir/simplify.h"
#include "tenon/ir/structural.h"
#include "tenon/ir/verify.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

constexpr int kSchedules = 300;
constexpr int kMaxSteps = 12;
constexpr std::int64_t kRows = 7;  // the value of every symbol
constexpr double kEpsilon = 0x1p-23;

struct Workload {
  const char* name;
  Function (*make)();
  int terms;         ///< of the longest sum
  bool sums_inputs;  ///< the outputs are sums of products of inputs: with absolute inputs they are
                     ///< sum|terms|
};

const Workload kWorkloads[] = {
    {"matmul", [] { return testing::matmul(10, 12, 9); }, 9, true},
    {"transposed matmul", [] { return testing::matmul(9, 10, 12, true); }, 12, true},
    {"window sum", [] { return testing::window_sum(22); }, 3, true},
    {"softmax chain", [] { return testing::softmax_chain(5, 13); }, 13, false},
    {"gather", [] { return testing::gather(7, 9, 6); }, 1, true},
    {"column reduction", [] { return testing::column_sum(13, 11); }, 13, true},
    {"padded select", [] { return testing::padded_select(19); }, 2, true},
    {"symbolic size", [] { return testing::symbolic_matmul(10, 9); }, 9, true},
};

using Arrays = std::vector<std::vector<char>>;

std::vector<std::int64_t> shape_of(const Function& f, const Buffer& b) {
  VarMap values;
  for (const Symbol& s : f->symbols) values[s.var.get()] = imm(kRows);
  std::vector<std::int64_t> shape;
  for (const Expr& e : b->shape) shape.push_back(*as_int(simplify(substitute(e, values))));
  return shape;
}

/// Inputs with values of a few bits (rounding happens), outputs with a pattern that nobody writes.
Arrays make_arrays(const Function& f, bool absolute) {
  std::mt19937 random(7);
  Arrays arrays;
  for (const Buffer& b : f->params()) {
    std::int64_t size = 1;
    for (const std::int64_t n : shape_of(f, b)) size *= n;
    std::vector<char> bytes(
        static_cast<std::size_t>(size) * static_cast<std::size_t>(b->dtype.bytes()), 0x7f);
    for (std::int64_t i = 0; i < size; ++i) {
      if (b->dtype == kInt64) {
        const std::int64_t v = std::uniform_int_distribution<std::int64_t>(0, 5)(random);
        std::memcpy(bytes.data() + 8 * i, &v, 8);
      } else {
        float v = std::uniform_real_distribution<float>(-4, 4)(random);
        if (absolute) v = std::fabs(v);
        std::memcpy(bytes.data() + 4 * i, &v, 4);
      }
    }
    arrays.push_back(std::move(bytes));
  }
  return arrays;
}

/// The only output after running `f`; findings of the interpreter are failures.
std::vector<float> run(const Function& f, bool absolute = false) {
  Arrays arrays = make_arrays(f, absolute);
  std::vector<ArrayView> views;
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    const Buffer b = f->params()[i];
    views.push_back({arrays[i].data(), b->dtype, shape_of(f, b)});
  }
  InterpretOptions options;
  for (std::size_t i = 0; i < f->symbols.size(); ++i) options.symbols.push_back(kRows);
  const InterpretReport report = interpret(f, views, options);
  EXPECT_TRUE(report.ok()) << report.text() << print(f);
  std::vector<float> out(arrays.back().size() / sizeof(float));
  std::memcpy(out.data(), arrays.back().data(), arrays.back().size());
  return out;
}

void expect_same(const Workload& w, const std::vector<float>& expected,
                 const std::vector<float>& magnitude, const std::vector<float>& got,
                 bool reassociates, const std::string& what) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double bound = reassociates ? 2 * w.terms * kEpsilon * magnitude[i] : 0;
    ASSERT_LE(std::fabs(static_cast<double>(got[i]) - expected[i]), bound)
        << what << " of " << w.name << ", element " << i;
  }
}

class Fuzzer {
 public:
  void run_one(unsigned seed) {
    std::mt19937 random(seed);
    const Workload& w = kWorkloads[seed % std::size(kWorkloads)];
    Schedule s(w.make());
    const std::vector<float> expected = run(s.function());
    const int steps = std::uniform_int_distribution<int>(1, kMaxSteps)(random);
    for (int i = 0; i < steps; ++i) apply_one(&s, &random);
    SCOPED_TRACE(s.trace().to_python());
    ASSERT_NO_THROW(verify(s.function(), "schedule")) << print(s.function());
    std::vector<float> magnitude = w.sums_inputs ? run(w.make(), true) : expected;
    if (!w.sums_inputs) {
      for (float& m : magnitude) m = 2 * std::fabs(m);  // a quotient by the sum
    }
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
