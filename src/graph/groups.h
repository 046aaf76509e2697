#pragma once

/// The kernels of a graph in the order of their calls.

#include <map>
#include <utility>

#include "graph/build_group.h"

namespace tenon::graph {

/// A result that may have the memory of an input.
struct InPlace {
  std::size_t input = 0;
  bool is_copied = false;   ///< from a temporary, at the end
  bool is_reading = false;  ///< its kernel reads and writes the result, which starts as the input
};

/// Kernels in the order of their calls, and which of them are one.
struct Groups {
  std::vector<GroupKernel> calls;
  std::vector<Function> distinct;
  std::vector<bool> is_scheduled;           ///< for each of distinct: by the user
  std::vector<std::size_t> code_of;         ///< index into distinct, for each call
  std::map<std::size_t, InPlace> in_place;  ///< by output
};

/// `in_place`: pairs of an output and the input whose memory it takes.
Groups make_groups(const std::vector<Value>& inputs, const std::vector<Value>& outputs,
                   const std::vector<std::pair<std::size_t, std::size_t>>& in_place);

}  // namespace tenon::graph
