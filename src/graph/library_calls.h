#pragma once

/// Kernel calls that a routine of a library computes (`docs/design/extern.md`).

#include "graph/groups.h"
#include "tenon/graph/compile.h"
#include "tenon/runtime/plan.h"

namespace tenon::graph {

/// A routine in the place of a kernel.
struct LibraryCall {
  PlanExtern routine;
  std::vector<std::size_t> operands;  ///< which of the kernel's parameters they are
  std::vector<Expr> sizes;            ///< what the routine wants, over the network's symbols
  std::int64_t workspace_bytes = 0;   ///< that it may use
  std::string library;                ///< for reports: "cuBLASLt"
};

/// By index into `groups.calls`: products that are a kernel of their own, outside of branches and
/// loops. None under kNever, and under kAuto where this machine has no cuBLASLt.
std::map<std::size_t, LibraryCall> choose_library_calls(const Groups& groups, Libraries libraries);

}  // namespace tenon::graph
