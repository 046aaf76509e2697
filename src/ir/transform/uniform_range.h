#pragma once

#include <vector>

#include "tenon/ir/analyzer.h"

namespace tenon {

/// The loop with a range that all threads share, around the condition that keeps each thread to its
/// own iterations. `coordinates` are the threads'; the analyzer knows their ranges. Null where a
/// bound is unknown, or depends on memory.
Stmt with_uniform_range(const ForNode& n, const std::vector<Expr>& coordinates, Analyzer* analyzer);

}  // namespace tenon
