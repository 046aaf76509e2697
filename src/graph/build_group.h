#pragma once

/// The function of one group.

#include "graph/pass/pass.h"

namespace tenon::graph {

/// An operator that a kernel computes on the way to its result.
struct FusedOperator {
  Value value;
  const char* reason;  ///< why it has no kernel of its own
};

struct GroupKernel {
  Function function;  ///< inputs are `params`, the output is `result`
  std::vector<KernelParam> params;
  Value result;
  std::vector<std::string> operators;
  std::vector<FusedOperator> fused;  ///< those without the result of the kernel, movement included
  Expr rows;  ///< the symbol that the function has for the product of `lead`, or null
  Expr lead_product;
  bool is_scheduled = false;  ///< by the user
};

/// `anchors`: inputs of the network, which define symbols that no parameter has.
/// `packs_constants`: constant weights are read in the panels that CPUs want.
GroupKernel build_group(const Fusion::Group& group, const KernelBuilder::Stored& stored,
                        const std::vector<Value>& anchors, bool packs_constants);

}  // namespace tenon::graph
