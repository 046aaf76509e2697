#pragma once

/// What a caller of a compiled kernel has to know beside its code. Needs no LLVM.

#include <string>
#include <vector>

#include "tenon/ir/function.h"

namespace tenon {

/// Scratch memory of one call: int64 expressions over the function's symbols, multiples of 64.
struct WorkspaceInfo {
  Expr shared_bytes;  ///< once for a call
  Expr worker_bytes;  ///< for each worker of its parallel loops
};

/// An assert of the body; `site` continues the numbering of the function's checked_index calls.
struct AssertSite {
  int site = 0;
  std::string message;
  Span span;
  Stmt stmt;  ///< the AssertNode
};

struct KernelInfo {
  WorkspaceInfo workspace;
  std::vector<AssertSite> asserts;
  int num_index_sites = 0;  ///< 1 + the largest site of a checked_index call
  bool has_parallel_loop = false;
};

/// Scratch memory that the kernel made of `f` (loop IR) needs.
///
/// Allocations of at most 16 KiB of constant size live on the stack (in registers, where every
/// index is constant), register tiles up to 64 KiB; others outside parallel loops in the shared
/// part, those inside in the worker's part. InternalError for an extent that is neither made of
/// symbols nor bounded by one that is.
WorkspaceInfo workspace_of(const Function& f);
/// All of it.
KernelInfo kernel_info(const Function& f);
/// All but the workspace, which only CPUs have.
KernelInfo kernel_checks(const Function& f);
/// The symbol of the kernel in an object: "tenon_" and the function's name, where each character
/// that C does not have in identifiers is written as `_<hex>_`.
std::string kernel_symbol(const Function& f);

}  // namespace tenon
