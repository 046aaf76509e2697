#pragma once

/// The kernels of a graph in the order of their calls.

#include "graph/build_group.h"

namespace tenon::graph {

/// Kernels in the order of their calls, and which of them are one.
struct Groups {
  std::vector<GroupKernel> calls;
  std::vector<Function> distinct;
  std::vector<std::size_t> code_of;  ///< index into distinct, for each call
};

Groups make_groups(const std::vector<Value>& inputs, const std::vector<Value>& outputs);

}  // namespace tenon::graph
