#pragma once

/// What one kernel contains: its axes, buffers, variables and shared memory.

#include <array>
#include <unordered_set>
#include <vector>

#include "tenon/ir/function.h"
#include "tenon/ir/thread.h"

namespace tenon::codegen::cuda {

struct KernelFacts {
  /// The loop of each axis; null where there is none.
  std::array<const ForNode*, kNumThreadAxes> axes = {};
  std::vector<Buffer> shared;  ///< allocations, in order
  std::unordered_set<const BufferNode*> allocated, used, stored;
  std::unordered_set<const ExprNode*> vars;  ///< that are used
  /// Variables that places of fragments depend on, directly or through lets: loops over them have
  /// to be unrolled, since registers have no addresses.
  std::unordered_set<const ExprNode*> fragment_vars;
  bool has_collectives = false;  ///< threads wait for each other
  bool has_fma = false;          ///< or a tensor instruction
  bool has_tensor = false;       ///< instructions
  bool has_checks = false;       ///< of indices, and asserts
};

KernelFacts facts_of(const Stmt& kernel);

/// The extent of the axis: 1 where there is no loop. InternalError when it is not constant.
std::int64_t block_extent(const KernelFacts& facts, ThreadAxis axis);
std::int64_t shared_bytes(const Buffer& buffer);

}  // namespace tenon::codegen::cuda
