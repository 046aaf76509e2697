#pragma once

/// What must hold of loops bound to thread axes: the form of kernels, and that threads run apart.
///
/// **Who touches what.** An iteration of a loop on a block axis is a block of threads, an iteration
/// of a loop on a thread axis one thread. Memory that an iteration alone can see (`shared`,
/// `local`, `register` and `fragment` for blocks, the last three for threads) may not carry values
/// to another iteration. Memory that iterations share is touched in distinct elements, or (`shared`
/// memory under thread axes) written alike by all of them: then one thread, or all threads
/// together, write it once.

#include "schedule/step.h"
#include "tenon/ir/thread.h"

namespace tenon {

/// Numbers of the requirements that the checks cite; 0 cites none.
struct ThreadRules {
  int nest = 0;         ///< block axes outermost, directly nested, each once
  int same_axis = 0;    ///< loops inside loops of the same axis
  int threads = 0;      ///< threads of a kernel
  int blocks = 0;       ///< iterations of block axes are independent
  int independent = 0;  ///< iterations of thread axes are independent
};

/// Raises unless the bound loop at the end of the path may be where it is, in its kernel.
void check_kernel_form(Step& step, const Path& path, const ThreadRules& rules);
/// Raises unless the iterations of the bound loop at the end of the path may be threads. Blocks
/// outside of the kernel are not looked at: they may still move into it.
void check_thread_loop(Step& step, const Path& path, const ThreadRules& rules);
/// After a step with that result, for every bound loop: the form, and threads running apart as far
/// as the step moved blocks or changed buffers. Steps on the loops of a block leave the elements of
/// each thread as they are.
void check_thread_loops(Step& step, const ScheduleValue& result);

}  // namespace tenon
