#pragma once

/// What the graph knows of an operator that is a tensor expression.

#include <cstdint>

#include "graph/operator.h"
#include "tenon/te/tensor.h"

namespace tenon::graph {

/// The user's own schedule of an operator: what runs, as it is, in a kernel of its own.
struct ScheduledKernel {
  Function function;
  std::vector<std::size_t> operands;  ///< for each input of the function
};

/// One computed tensor over placeholders, with what follows from its structure.
struct Expression {
  std::vector<te::Tensor> placeholders;  ///< one for each operand, of its shape; all are read
  std::vector<te::Tensor> tensors;       ///< computed, producers first; the last is the result
  std::vector<bool> rereads;             ///< for each operand: elements are read more than once
  std::vector<int> num_reads;            ///< for each operand, in the code of the expression
  std::vector<Expr> symbols;             ///< that it uses
  const Operator* op = nullptr;          ///< how it is built, by its structural class
  Function function;                     ///< of a fixed name, for comparisons
  std::uint64_t hash = 0;
  std::shared_ptr<const ScheduledKernel> scheduled;  ///< null: the default rules schedule it

  const te::Tensor& output() const { return tensors.back(); }
};

/// Classifies the computation of `tensors` (the last is the result) over `placeholders`.
std::shared_ptr<const Expression> analyse_expression(std::vector<te::Tensor> placeholders,
                                                     std::vector<te::Tensor> tensors);

/// The same expression, computed by a kernel that is scheduled already: its operands are in memory,
/// and nothing is fused with it.
std::shared_ptr<const Expression> scheduled_expression(const Expression& e, ScheduledKernel kernel);

/// Whether two expressions compute the same of equal operands.
bool same_expression(const Expression& a, const Expression& b);

}  // namespace tenon::graph
