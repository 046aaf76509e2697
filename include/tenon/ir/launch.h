#pragma once

/// The launch form of a kernel, taken apart. The form is in docs/design/gpu.md.

#include <vector>

#include "tenon/ir/thread.h"

namespace tenon {

/// A top-level nest with thread loops: loops over block axes, what each block does first, loops
/// over thread axes, what each thread does.
struct Launch {
  std::vector<const ForNode*> block_loops;  ///< outermost first; may be empty
  /// Allocations in shared memory and lets (AllocateNode, LetStmtNode), outermost first; without
  /// what is around the thread loops, which is the next one.
  std::vector<const StmtNode*> between;
  std::vector<const ForNode*> thread_loops;  ///< outermost first; empty: one thread
  Stmt body;                                 ///< of one thread

  /// The loop over an axis; null when there is none, which means an extent of 1.
  const ForNode* loop(ThreadAxis axis) const;
};

/// Takes the nest apart as far as it has the form: `body` begins at the first statement that is
/// none of its head. Checks nothing: a function in launch form (see the verifier) has no thread
/// loop in any body.
Launch launch_of(const ForNode& outermost);

}  // namespace tenon
