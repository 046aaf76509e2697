#pragma once

/// What random schedules are tried on, and how their results are compared.

#include <cstdint>
#include <string>
#include <vector>

#include "tenon/ir/function.h"

namespace tenon::testing {

struct Workload {
  const char* name;
  Function (*make)();
  int terms;         ///< of the longest sum
  bool sums_inputs;  ///< the outputs are sums of products of inputs: with absolute inputs they are
                     ///< sum|terms|
};
const std::vector<Workload>& fuzz_workloads();

/// The only output after running `f` on inputs with values of a few bits (rounding happens);
/// `absolute` makes them positive. Every symbol is 7. Findings of the interpreter are failures.
std::vector<float> run(const Function& f, bool absolute = false);
/// What the terms of each element add up to when they are taken as positive.
std::vector<float> magnitudes(const Workload& w);
/// The same bits, or within 2 n eps sum|terms| where a step reassociates.
void expect_same(const Workload& w, const std::vector<float>& expected,
                 const std::vector<float>& magnitude, const std::vector<float>& got,
                 bool reassociates, const std::string& what);

}  // namespace tenon::testing
