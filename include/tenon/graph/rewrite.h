#pragma once

/// What graph passes did, for reports.

#include <string>
#include <vector>

#include "tenon/graph/value.h"

namespace tenon::graph {

/// What became of one operator.
struct Rewrite {
  std::string pass;
  std::string node;    ///< "relu -> float32[batch, 64]"
  std::string line;    ///< the user's line that made it; may be empty
  std::string action;  ///< "removed", "computed", "merged", "added", "moved", "fused"
  std::string reason;  ///< why, for people
  int call = -1;       ///< the kernel call that it is fused into, or -1
};

/// In the order of the passes. A null log is legal everywhere: nothing is written down.
using RewriteLog = std::vector<Rewrite>;

/// Appends one entry for `v`; nothing when `log` is null.
void note(RewriteLog* log, const char* pass, const ValueNode& v, const char* action,
          std::string reason);

}  // namespace tenon::graph
