#pragma once

/// The words of GPU schedules: thread axes, launch limits, and the calls that lowering puts into
/// loop IR. Their meaning and the launch form are in docs/design/gpu.md.

#include <optional>
#include <string>
#include <string_view>

#include "tenon/ir/function.h"

namespace tenon {

// --- axes and limits

/// A coordinate of a thread, in the order of the names.
enum class ThreadAxis : std::uint8_t {
  kBlockX,
  kBlockY,
  kBlockZ,
  kThreadX,
  kThreadY,
  kThreadZ,
};
inline constexpr int kNumThreadAxes = 6;

/// "blockIdx.x".
const char* to_string(ThreadAxis axis);
/// The axis of a name; nothing when there is none.
std::optional<ThreadAxis> find_thread_axis(std::string_view name);
/// The names, for messages: "blockIdx.x, blockIdx.y, ...".
std::string thread_axis_names();
bool is_block_axis(ThreadAxis axis);
/// An axis of a block's threads.
bool is_thread_axis(ThreadAxis axis);
/// 0 for x, 1 for y, 2 for z.
int dimension_of(ThreadAxis axis);
/// The axis that a loop of kind kThread is bound to; nothing for other loops and unknown names.
std::optional<ThreadAxis> axis_of(const ForNode& loop);

/// Lanes of a warp: consecutive threads of a block, x fastest, then y, then z.
inline constexpr std::int64_t kWarpSize = 32;
/// Threads of one block.
inline constexpr std::int64_t kMaxBlockThreads = 1024;
/// Shared memory of one block on the architecture that has most; targets say their own
/// (GpuFeatures).
inline constexpr std::int64_t kMaxSharedBytes = 227 * 1024;
/// The largest extent of an axis: blocks 2^31 - 1, 65535, 65535; threads 1024, 1024, 64.
std::int64_t max_extent(ThreadAxis axis);

/// Whether a loop in it is bound to a thread axis.
bool has_thread_loops(const Stmt& s);
bool has_thread_loops(const Function& f);

// --- calls of loop IR

/// All threads of the block arrive.
Stmt thread_barrier();
/// Closes the thread's group of asynchronous copies.
Stmt async_commit();
/// Waits until at most `pending` groups of the thread are under way.
Stmt async_wait(std::int64_t pending);
/// The value of a load from global memory, as the value of a store to shared memory (same lanes).
Expr async_copy(const Expr& load);
/// v of lane `lane ^ mask`, of lane number `lane` of the warp; the value of a let statement.
Expr warp_shuffle_xor(const Expr& v, std::int64_t mask);
Expr warp_shuffle(const Expr& v, const Expr& lane);

enum class ThreadCall : std::uint8_t {
  kNone,
  kBarrier,      ///< thread_barrier()
  kShuffleXor,   ///< warp_shuffle_xor(v, mask)
  kShuffle,      ///< warp_shuffle(v, lane)
  kAsyncCopy,    ///< async_copy(load)
  kAsyncCommit,  ///< async_commit()
  kAsyncWait,    ///< async_wait(n)
};
/// Which of them a call of this name is.
ThreadCall thread_call(std::string_view name);
/// Which of them an expression is, at its root; kNone for all others.
ThreadCall thread_call(const Expr& e);
/// The call that a statement stands for: of an evaluate its value, of a store or let its value.
ThreadCall thread_call(const StmtNode& s);
bool is_thread_barrier(const StmtNode& s);
bool is_async_copy(const StmtNode& s);

}  // namespace tenon
