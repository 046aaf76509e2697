#pragma once

/// How much a function computes and moves, counted in its IR.

#include <cstdint>
#include <vector>

#include "tenon/ir/function.h"

namespace tenon::graph {

/// Of one call. Counts beyond 2^53 are rounded.
struct KernelCost {
  /// Arithmetic on elements: + - * / min max and comparisons count one, fma two, each call of exp,
  /// tanh and the like one. Index arithmetic, conversions and selects count nothing. Both sides of
  /// a select or branch count, and so do terms that a condition leaves out (the padding of a
  /// convolution).
  double operations = 0;
  /// What must come from memory and go there at least once: the elements of parameters that the
  /// function reads and writes, each once. An upper bound where indices depend on data or overlap.
  double bytes_read = 0;
  double bytes_written = 0;
};

/// Counts for the values `sizes` of the function's symbols, in order. Best on a function without a
/// schedule, which computes nothing twice.
KernelCost cost_of(const Function& f, const std::vector<std::int64_t>& sizes);

}  // namespace tenon::graph
