#pragma once

/// The host part of a function in launch form: which nests are kernels, and what stands around
/// them.

#include <vector>

#include "tenon/ir/function.h"

namespace tenon::codegen::cuda {

/// A loop of the host around kernels.
struct HostLoop {
  int id = 0;
  Expr var, min, extent;
};

/// One nest with thread loops (or an assert between them).
struct HostKernel {
  Stmt body;
  std::vector<HostLoop> loops;   ///< around it, outermost first
  std::vector<Expr> conditions;  ///< under which it runs; over symbols and variables of `loops`
};

/// Global intermediates.
struct ScratchBuffer {
  Buffer buffer;
  Expr offset_bytes;
};

struct HostPart {
  std::vector<HostKernel> kernels;
  std::vector<ScratchBuffer> scratch;
  Expr scratch_bytes;
};

/// Raises ScheduleError E1284 and E1285 (cuda_module.h).
HostPart split_kernels(const Function& f);

/// `e` with the variables of `loops` replaced by what makes it largest; over symbols alone.
/// ScheduleError [E1286] where that is not found.
Expr largest(const Function& f, const std::vector<HostLoop>& loops, const Expr& e);

}  // namespace tenon::codegen::cuda
