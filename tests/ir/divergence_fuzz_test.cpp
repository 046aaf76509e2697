/// Random kernels with barriers and shuffles under nested conditions and loops: what the verifier
/// accepts, the interpreter runs without a divergence.

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "tenon/ir/interpret.h"
#include "tenon/ir/parse.h"
#include "tenon/ir/print.h"
#include "tenon/ir/verify.h"

namespace tenon {
namespace {

class RandomKernel {
 public:
  explicit RandomKernel(unsigned seed) : random_(seed) {
    struct Extents {
      int y, x;
    };
    const Extents extents[] = {{1, 64}, {2, 32}, {4, 16}, {1, 40}, {3, 32}, {2, 48}};
    const Extents e = extents[number(0, 5)];
    text_ =
        "loop function f(A: float32[256]) -> (C: float32[256])\n  thread for bx in 0..2 on "
        "\"blockIdx.x\"\n    alloc S: float32[256] shared\n    thread for ty in 0.." +
        std::to_string(e.y) + " on \"threadIdx.y\"\n      thread for tx in 0.." +
        std::to_string(e.x) +
        " on \"threadIdx.x\"\n        alloc L: float32[1] local\n        L[0] = A[tx]\n"
        "        S[tx] = A[tx + bx]\n        evaluate thread_barrier()\n";
    integers_ = {"bx", "tx", "ty", "tx // 32", "tx // 16", "3"};
    floats_ = {"A[bx]", "A[tx]", "S[5]", "S[ty]", "L[0]", "A[tx // 32]"};
    body(8, 3);
    text_ += "        C[bx * 128 + tx] = L[0] where ty == 0\n";
  }
  const std::string& text() const { return text_; }

 private:
  int number(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  const std::string& one_of(const std::vector<std::string>& names) {
    return names[static_cast<std::size_t>(number(0, static_cast<int>(names.size()) - 1))];
  }
  std::string integer() {
    const std::string a = one_of(integers_);
    return number(0, 3) == 0 ? "(" + a + " + " + one_of(integers_) + ")" : a;
  }
  std::string condition() {
    if (number(0, 2) == 0) return one_of(floats_) + " < " + std::to_string(number(-1, 1)) + ".0";
    return integer() + " < " + std::to_string(number(0, 20));
  }
  void line(int indent, const std::string& text) {
    text_ += std::string(static_cast<std::size_t>(indent), ' ') + text + "\n";
  }

  /// One to three statements; names that lets define are forgotten after them.
  void body(int indent, int depth) {
    const auto integers = integers_, floats = floats_;
    const int count = number(1, 3);
    for (int i = 0; i < count; ++i) statement(indent, depth);
    line(indent, "L[0] = L[0] + 1.0");
    integers_ = integers;
    floats_ = floats;
  }

  void statement(int indent, int depth) {
    const std::string name = "v" + std::to_string(num_names_++);
    switch (number(depth > 0 ? 0 : 4, 8)) {
      case 0:
      case 1:
        line(indent, "if " + condition());
        body(indent + 2, depth - 1);
        if (number(0, 1) == 0) {
          line(indent, "else");
          body(indent + 2, depth - 1);
        }
        return;
      case 2:
      case 3: {
        const auto integers = integers_;
        line(indent, "for " + name + " in " + (number(0, 2) == 0 ? integer() : "0") + "..+min(" +
                         integer() + ", 2)");
        integers_.push_back(name);
        body(indent + 2, depth - 1);
        integers_ = integers;
        return;
      }
      case 4:
        line(indent, "let " + name + " = " + integer());
        integers_.push_back(name);
        return;
      case 5:
        line(indent, "let " + name + " = warp_shuffle(" + one_of(floats_) + ", " +
                         (number(0, 1) == 0 ? "0" : "tx % 8") + ")");
        floats_.push_back(name);
        return;
      case 6:
        line(indent, "let " + name + " = warp_shuffle_xor(" + one_of(floats_) + ", 1)");
        floats_.push_back(name);
        return;
      case 7:
        line(indent, "L[0] = " + one_of(floats_));
        return;
      default:
        line(indent, "evaluate thread_barrier()");
    }
  }

  std::mt19937 random_;
  std::string text_;
  std::vector<std::string> integers_, floats_;
  int num_names_ = 0;
};

TEST(DivergenceFuzz, what_the_verifier_accepts_does_not_diverge) {
  int accepted = 0, refused = 0, diverged = 0;
  for (unsigned seed = 0; seed < 800; ++seed) {
    const RandomKernel kernel(seed);
    const Function f = parse_function(kernel.text());
    const std::vector<Violation> violations = find_violations(f);
    for (const Violation& v : violations) ASSERT_EQ(v.rule, "collective") << v.message << print(f);
    std::vector<float> a(256), c(256);
    for (std::size_t i = 0; i < a.size(); ++i) a[i] = static_cast<float>(i * 7 % 5) - 2;
    InterpretOptions options;
    options.max_findings = 1000;
    const InterpretReport report =
        interpret(f, {{a.data(), kFloat32, {256}}, {c.data(), kFloat32, {256}}}, options);
    const bool diverges =
        std::any_of(report.findings.begin(), report.findings.end(),
                    [](const Finding& x) { return x.kind == Finding::Kind::kDivergence; });
    if (violations.empty()) {
      ++accepted;
      ASSERT_FALSE(diverges) << report.text() << print(f);
    } else {
      ++refused;
      diverged += diverges ? 1 : 0;
    }
  }
  EXPECT_GT(accepted, 150);
  EXPECT_GT(2 * diverged, refused)
      << accepted << " accepted, " << refused << " refused, " << diverged << " of these diverge";
}

}  // namespace
}  // namespace tenon
