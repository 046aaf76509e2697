#pragma once

/// Finding a tensor instruction in a nest of loops.

#include <string>
#include <vector>

#include "tenon/ir/tensor_instruction.h"

namespace tenon {

/// What keeps a nest from being an instruction, from the coarsest to the finest.
enum class TensorFault : std::uint8_t {
  kNone,
  kLoops,       ///< not a nest of the instruction's loops around one store
  kExpression,  ///< the store computes something else
  kDType,
  kScope,
  kIndices,  ///< an operand is no tile with rows of consecutive elements
};

struct TensorMatch {
  TensorFault fault = TensorFault::kNone;
  std::string text;  ///< of the fault: what is there, and what should be
  /// For each operand the load of its first element, all loops of the nest at their start, and the
  /// dimension of its buffer that rows run along.
  std::vector<Expr> first;
  std::vector<std::size_t> row_dimension;
};

/// Unifies loops around one store with the semantics of an instruction: by structure, in any order
/// of the loops, the factors of a product either way round. Loops of one iteration count as none.
TensorMatch match_tensor_instruction(const TensorInstruction& instruction, const Stmt& nest);

/// The call that stands for a block with the annotation kTensorInstructionKey; `nest` is its body
/// with the buffers that have their final strides. ScheduleError where the nest is not (or no
/// longer) the instruction: E1275; where an operand lies in memory as the instruction cannot take
/// it: E1276.
Stmt lower_tensor_block(const BlockNode& block, const Stmt& nest);

}  // namespace tenon
