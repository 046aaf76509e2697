/// Before/after texts of the lowering passes, one case per file in tests/ir/golden: a first line `#
/// <pass>: <what it shows>`, the function before, a line `---`, the function after. Set
/// TENON_UPDATE_GOLDEN=1 to rewrite what comes after.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <numeric>
#include <sstream>

#include "ir/transform/branch_reductions.h"
#include "ir/transform/flatten_buffers.h"
#include "ir/transform/guard_loads.h"
#include "ir/transform/hoist_conditions.h"
#include "ir/transform/insert_barriers.h"
#include "ir/transform/lower_blocks.h"
#include "ir/transform/lower_thread_reductions.h"
#include "ir/transform/partition_loops.h"
#include "ir/transform/pipeline_loops.h"
#include "ir/transform/settle_async_copies.h"
#include "ir/transform/specialize_extents.h"
#include "ir/transform/split_borders.h"
#include "ir/transform/transpose_tiles.h"
#include "ir/transform/unify_threads.h"
#include "ir/transform/unroll_loops.h"
#include "ir/transform/vectorize_loops.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/interpret.h"
#include "tenon/ir/lower.h"
#include "tenon/ir/parse.h"
#include "tenon/ir/print.h"
#include "tenon/ir/simplify.h"
#include "tenon/ir/structural.h"
#include "tenon/ir/thread.h"
#include "tenon/ir/verify.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

namespace fs = std::filesystem;

using Pass = Function (*)(const Function&);

const std::map<std::string, Pass>& passes() {
  static const std::map<std::string, Pass> kPasses = {
      {"flatten_buffers", flatten_buffers},
      {"guard_loads", guard_loads},
      {"lower", [](const Function& f) { return lower(f); }},
      {"lower_blocks", lower_blocks},
      {"partition_loops", [](const Function& f) { return simplify(partition_loops(f)); }},
      {"simplify", [](const Function& f) { return simplify(f); }},
      {"branch_reductions", branch_reductions},
      {"hoist_conditions", hoist_conditions},
      {"insert_barriers", insert_barriers},
      {"lower_thread_reductions", lower_thread_reductions},
      {"pipeline_loops", pipeline_loops},
      {"settle_async_copies", settle_async_copies},
      {"specialize_extents", specialize_extents},
      {"split_borders", split_borders},
      {"transpose_tiles", transpose_tiles},
      {"unify_threads", unify_threads},
      {"unroll_loops", [](const Function& f) { return with_body(f, unroll_loops(f->body)); }},
      {"vectorize_loops", [](const Function& f) { return with_body(f, vectorize_loops(f->body)); }},
  };
  return kPasses;
}

fs::path folder() { return fs::path(TENON_TEST_FOLDER) / "ir" / "golden"; }

struct Case {
  std::string head, pass, before, after;
};

Case read_case(const std::string& name) {
  std::ifstream file(folder() / name);
  std::stringstream all;
  all << file.rdbuf();
  const std::string text = all.str();
  const std::size_t first = text.find('\n') + 1;
  const std::size_t middle = text.find("---\n");
  Case c;
  c.head = text.substr(0, first);
  c.pass = c.head.substr(2, c.head.find(':') - 2);
  c.before = text.substr(first, middle == std::string::npos ? middle : middle - first);
  if (middle != std::string::npos) c.after = text.substr(middle + 4);
  return c;
}

/// The arguments of a function whose symbols are all 21: small whole numbers in the inputs, nothing
/// yet in the outputs.
struct Arguments {
  std::vector<std::vector<std::uint8_t>> memory;
  std::vector<ArrayView> views;

  explicit Arguments(const Function& f) {
    VarMap sizes;
    for (const Symbol& s : f->symbols) sizes[s.var.get()] = imm(21);
    std::size_t position = 0;
    for (const Buffer& b : f->params()) {
      ArrayView view;
      view.dtype = b->dtype;
      for (const Expr& d : b->shape)
        view.shape.push_back(as_int(simplify(substitute(d, sizes))).value());
      const auto size = std::accumulate(view.shape.begin(), view.shape.end(), std::int64_t{1},
                                        std::multiplies<>());
      memory.emplace_back(static_cast<std::size_t>(size * b->dtype.bytes()));
      if (b->dtype == kFloat32 && position < f->inputs.size()) fill(&memory.back());
      view.data = memory.back().data();
      views.push_back(view);
      ++position;
    }
  }

  static void fill(std::vector<std::uint8_t>* bytes) {
    for (std::size_t i = 0; i * sizeof(float) < bytes->size(); ++i) {
      const auto value = static_cast<float>(i * 7 % 23) - 11.0F;
      std::memcpy(bytes->data() + i * sizeof(float), &value, sizeof value);
    }
  }
};

std::vector<std::vector<std::uint8_t>> results(const Function& f) {
  Arguments arguments(f);
  InterpretOptions options;
  options.symbols.assign(f->symbols.size(), 21);
  const InterpretReport report = interpret(f, arguments.views, options);
  EXPECT_TRUE(report.ok()) << report.text() << "\n" << print(f);
  return arguments.memory;
}

/// Sums over threads are joined in another order.
void expect_nearly_equal(const std::vector<std::vector<std::uint8_t>>& a,
                         const std::vector<std::vector<std::uint8_t>>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(a[i].size(), b[i].size());
    for (std::size_t at = 0; at + sizeof(float) <= a[i].size(); at += sizeof(float)) {
      float x = 0, y = 0;
      std::memcpy(&x, a[i].data() + at, sizeof x);
      std::memcpy(&y, b[i].data() + at, sizeof y);
      ASSERT_NEAR(x, y, 1e-6F * std::max(1.0F, std::abs(x))) << "argument " << i << ", byte " << at;
    }
  }
}

class Golden : public ::testing::TestWithParam<std::string> {};

TEST_P(Golden, the_pass_gives_this_text_and_the_same_results) {
  const Case c = read_case(GetParam());
  ASSERT_EQ(passes().count(c.pass), 1U) << "no pass is called '" << c.pass << "'";
  const Function before = parse_function(c.before, GetParam());
  const Function after = passes().at(c.pass)(before);
  if (std::getenv("TENON_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(folder() / GetParam()) << c.head << print(before) << "---\n" << print(after);
  } else {
    EXPECT_EQ(print(before), c.before);
    EXPECT_EQ(print(after), c.after);
  }
  EXPECT_TRUE(structural_equal(after, parse_function(print(after))));
  verify_between_levels(after);
  // Passes on the way of a kernel share loops out that the block level runs for each thread.
  if (!has_thread_loops(before)) {
    EXPECT_EQ(results(before), results(after));
  } else if (after->level == Level::kLoop) {
    expect_nearly_equal(results(before), results(after));
  }
}

std::vector<std::string> cases() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder()))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::string title(const ::testing::TestParamInfo<std::string>& info) {
  return info.param.substr(0, info.param.find('.'));
}

INSTANTIATE_TEST_SUITE_P(Passes, Golden, ::testing::ValuesIn(cases()), title);

}  // namespace
}  // namespace tenon
