/// The GPU functions of the golden texts: lowered, they compute what their blocks compute, without
/// a finding, and each barrier that lowering put in is needed.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "tenon/ir/builder.h"
#include "tenon/ir/interpret.h"
#include "tenon/ir/lower.h"
#include "tenon/ir/parse.h"
#include "tenon/ir/print.h"
#include "tenon/ir/simplify.h"
#include "tenon/ir/thread.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

constexpr std::int64_t kSize = 21;  ///< of every symbol

/// What a function of float32 arrays gives for small whole numbers.
struct Result {
  std::vector<std::vector<float>> arrays;
  InterpretReport report;

  explicit Result(const Function& f) {
    InterpretOptions options;
    VarMap sizes;
    for (const Symbol& s : f->symbols) {
      sizes[s.var.get()] = imm(kSize);
      options.symbols.push_back(kSize);
    }
    std::vector<ArrayView> views;
    for (const Buffer& b : f->params()) {
      std::vector<std::int64_t> shape;
      std::size_t count = 1;
      for (const Expr& d : b->shape) {
        shape.push_back(*as_int(simplify(substitute(d, sizes))));
        count *= static_cast<std::size_t>(shape.back());
      }
      arrays.emplace_back(count);
      const bool is_input = arrays.size() <= f->inputs.size();
      for (std::size_t i = 0; is_input && i < count; ++i)
        arrays.back()[i] = static_cast<float>(i * 7 % 23) - 11.0F;
      views.push_back({nullptr, b->dtype, shape});
    }
    for (std::size_t i = 0; i < views.size(); ++i) views[i].data = arrays[i].data();
    report = interpret(f, views, options);
  }
};

/// The functions before lowering whose golden texts are about `lower` and thread loops.
std::vector<Function> programs() {
  std::vector<Function> out;
  const auto folder = std::filesystem::path(TENON_TEST_FOLDER) / "ir" / "golden";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream file(entry.path());
    std::stringstream all;
    all << file.rdbuf();
    const std::string text = all.str();
    if (!text.starts_with("# lower:")) continue;
    const std::size_t first = text.find('\n') + 1;
    Function f = parse_function(text.substr(first, text.find("---\n") - first));
    bool is_float = true;
    for (const Buffer& b : f->params()) is_float = is_float && b->dtype == kFloat32;
    if (is_float && has_thread_loops(f)) out.push_back(std::move(f));
  }
  return out;
}

int num_barriers(const Function& f) {
  int count = 0;
  post_order_visit(f->body, [&](const Node& n) {
    if (n.kind == NodeKind::kEvaluate) count += is_thread_barrier(static_cast<const StmtNode&>(n));
  });
  return count;
}

/// `f` without barrier number `which`.
class WithoutBarrier : public Mutator {
 public:
  explicit WithoutBarrier(int which) : which_(which) {}

 protected:
  using Mutator::rewrite;
  Stmt rewrite(const EvaluateNode& n) override {
    return is_thread_barrier(n) && which_-- == 0 ? make_seq({}) : Stmt(&n);
  }

 private:
  int which_;
};

TEST(DevicePrograms, each_barrier_is_needed) {
  ASSERT_GE(programs().size(), 7U);
  int barriers = 0;
  for (const Function& f : programs()) {
    const Function kernels = lower(f);
    for (int i = 0; i < num_barriers(kernels); ++i, ++barriers) {
      const Function damaged = with_body(kernels, WithoutBarrier(i)(kernels->body));
      EXPECT_FALSE(Result(damaged).report.ok()) << "nothing misses barrier " << i << " of\n"
                                                << print(kernels);
    }
  }
  EXPECT_GE(barriers, 9);
}

}  // namespace
}  // namespace tenon
