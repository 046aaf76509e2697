#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tenon/graph/compile.h"
#include "tenon/graph/rewrite.h"

namespace tenon::graph {

/// Computes at compile time what uses no input, and keeps the results as constants.
///
/// Bounded, since a short model can ask for any amount: one value takes at most 64 MiB and 8 times
/// the bytes of the graph's constants, all together 256 MiB and 8 times these. What is larger is
/// computed when the network runs, where it is mostly only an index of what reads it, and the log
/// says so.
class ConstantFolding {
 public:
  /// `graph`: all of it; parts of it are folded one by one. The rest has to outlive this.
  ConstantFolding(const std::vector<Value>& graph, const Target& target,
                  const CompileOptions& options, RewriteLog* log);

  /// `part` with constants in place of what uses no input.
  std::vector<Value> fold(const std::vector<Value>& part);

 private:
  std::vector<Value> constant_parts(const std::vector<Value>& outputs);

  const Target& target_;
  const CompileOptions& options_;
  RewriteLog* log_;
  std::int64_t most_of_one_, left_;  ///< bytes
};

/// ShapeError [E1160] for an operator, or an output, whose result would have 2^47 bytes or more.
/// Views that are no outputs may be of any size.
void check_sizes(const std::vector<Value>& graph);

}  // namespace tenon::graph
