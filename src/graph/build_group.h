#pragma once

/// The function of one group.

#include "graph/pass/pass.h"

namespace tenon::graph {

struct GroupKernel {
  Function function;  ///< inputs are `params`, the output is `result`
  std::vector<KernelParam> params;
  Value result;
  std::vector<std::string> operators;
  Expr rows;  ///< the symbol that the function has for the product of `lead`, or null
  Expr lead_product;
  bool is_scheduled = false;  ///< by the user
};

/// `anchors`: inputs of the network, which define symbols that no parameter has.
GroupKernel build_group(const Fusion::Group& group, const KernelBuilder::Stored& stored,
                        const std::vector<Value>& anchors);

}  // namespace tenon::graph
