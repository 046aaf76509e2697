#include "schedule/fuzz_workloads.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "schedule/workloads.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/interpret.h"
#include "tenon/ir/print.h"
#include "tenon/ir/simplify.h"
#include "tenon/ir/visit.h"

namespace tenon::testing {
namespace {

constexpr std::int64_t kRows = 7;  // the value of every symbol
constexpr double kEpsilon = 0x1p-23;

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

}  // namespace

const std::vector<Workload>& fuzz_workloads() {
  static const std::vector<Workload> kWorkloads = {
      {"matmul", [] { return matmul(10, 12, 9); }, 9, true},
      {"transposed matmul", [] { return matmul(9, 10, 12, true); }, 12, true},
      {"window sum", [] { return window_sum(22); }, 3, true},
      {"softmax chain", [] { return softmax_chain(5, 13); }, 13, false},
      {"gather", [] { return gather(7, 9, 6); }, 1, true},
      {"column reduction", [] { return column_sum(13, 11); }, 13, true},
      {"padded select", [] { return padded_select(19); }, 2, true},
      {"symbolic size", [] { return symbolic_matmul(10, 9); }, 9, true},
  };
  return kWorkloads;
}

std::vector<float> run(const Function& f, bool absolute) {
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

std::vector<float> magnitudes(const Workload& w) {
  std::vector<float> out = run(w.make(), w.sums_inputs);
  if (!w.sums_inputs) {
    for (float& m : out) m = 2 * std::fabs(m);  // a quotient by the sum
  }
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

}  // namespace tenon::testing
