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

struct ProgramStep;
using Program = std::vector<ProgramStep>;

/// A kernel call, or a branch or loop.
struct ProgramStep {
  std::size_t call = 0;  ///< index into Groups::calls
  Value control;         ///< null: a call
  /// Of a branch: then, else. Of a loop: what runs before its condition is looked at, the rest.
  std::vector<Program> parts;
};

/// Kernels in the order of their calls, those of bodies where these are, and which of them are one.
struct Groups {
  std::vector<GroupKernel> calls;
  std::vector<Function> distinct;
  std::vector<bool> is_scheduled;           ///< for each of distinct: by the user
  std::vector<std::size_t> code_of;         ///< index into distinct, for each call
  std::map<std::size_t, InPlace> in_place;  ///< by output
  Program program;
  /// The results of each branch and loop that something uses.
  std::unordered_map<const ValueNode*, std::vector<Value>> items;
};

/// `in_place`: pairs of an output and the input whose memory it takes. `is_for_gpu`: weights are
/// not packed in the panels that CPUs want, and kernels of loops take slices at any element.
/// `keeps_products`: as fuse.
Groups make_groups(const std::vector<Value>& inputs, const std::vector<Value>& outputs,
                   const std::vector<std::pair<std::size_t, std::size_t>>& in_place,
                   bool is_for_gpu, bool keeps_products = false);

}  // namespace tenon::graph
