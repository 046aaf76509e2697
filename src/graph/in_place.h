#pragma once

/// Results in the memory of inputs.

#include "graph/groups.h"

namespace tenon::graph {

/// Lets the results of `pairs` (output, input) take the memory of those inputs: their kernels read
/// and write one buffer where they read the input at the place that they write, run after all
/// others that read it and after all that can fail, and calls are reordered for that. Where that is
/// impossible, the result is computed elsewhere and copied at the end (`InPlace::is_copied`).
void settle_in_place(const std::vector<Value>& inputs, const std::vector<Value>& outputs,
                     const std::vector<std::pair<std::size_t, std::size_t>>& pairs, Groups* groups);

}  // namespace tenon::graph
