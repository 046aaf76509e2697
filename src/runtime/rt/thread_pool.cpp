#include "runtime/rt/thread_pool.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <climits>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "runtime/rt/process.h"
#include "runtime/rt/shared_pool.h"
#include "tenon/runtime/c_api.h"

namespace tenon::rt {
namespace {

/// Chunks per worker at most: fine enough to balance, coarse enough to cost nothing.
constexpr std::int64_t kChunksPerWorker = 64;
/// `gate`: the loop takes workers while this bit is set; the bits below count those inside.
constexpr std::uint32_t kGateOpen = 1u << 31;

/// The chunks [low, high) that a worker still has, in one word.
struct alignas(64) ChunkRange {
  std::atomic<std::uint64_t> bounds{0};

  void set(std::uint32_t low, std::uint32_t high) {
    bounds.store((static_cast<std::uint64_t>(high) << 32) | low, std::memory_order_relaxed);
  }
  /// Takes one chunk, from the low end for the owner and from the high end for others; -1 when none
  /// is left.
  std::int64_t take(bool owner) {
    std::uint64_t now = bounds.load(std::memory_order_relaxed);
    for (;;) {
      const std::uint32_t low = static_cast<std::uint32_t>(now);
      const std::uint32_t high = static_cast<std::uint32_t>(now >> 32);
      if (low >= high) return -1;
      const std::uint64_t next = owner ? now + 1 : now - (std::uint64_t{1} << 32);
      if (bounds.compare_exchange_weak(now, next, std::memory_order_relaxed))
        return owner ? low : high - 1;
    }
  }
};

/// The loop that runs now, in one cache line with the words that workers watch: who sees a new loop
/// has it. All but the atomics is written while the gate is closed and nobody is inside.
struct alignas(64) Job {
  std::atomic<std::uint32_t> epoch{0};  ///< counts loops; workers wait for a change (futex)
  std::atomic<std::uint32_t> gate{0};
  tenon_kernel_context* ctx = nullptr;
  tenon_task_fn task = nullptr;
  void* closure = nullptr;
  std::int64_t num_iterations = 0;
  std::int64_t grain = 0;
  std::int32_t num_workers = 0;
  std::atomic<std::int32_t> status{0};
};
static_assert(sizeof(Job) == 64);

struct Pool {
  Job job;
  alignas(64) std::atomic<std::uint32_t> sleepers{0};
  std::atomic<std::uint32_t> busy{
      0};  ///< held by the thread whose loop runs, or who changes the pool
  std::atomic<std::int32_t> wanted{0};  ///< set number of threads; 0: the default
  std::atomic<std::uint32_t> stopping{0};
  std::int32_t num_started = 0;  ///< guarded by busy, as are the next two
  std::uint32_t start_epoch = 0;
  pthread_t handles[kMaxThreads] = {};
  ChunkRange ranges[kMaxThreads];
};

constinit Pool pool;
constinit std::atomic<tenon_parallel_for_fn> override_parallel_for{nullptr};

/// The loop that this thread is inside of, if any.
struct Inside {
  tenon_kernel_context* ctx = nullptr;
  std::int32_t worker = 0;
};
constinit thread_local Inside inside __attribute__((tls_model("initial-exec")));

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

std::int64_t now_nanoseconds() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}

void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t value) {
  syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAIT_PRIVATE, value, nullptr,
          nullptr, 0);
}

void futex_wake_all(std::atomic<std::uint32_t>& word) {
  syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAKE_PRIVATE, INT_MAX, nullptr,
          nullptr, 0);
}

bool interrupted(const tenon_kernel_context* ctx) {
  return ctx->interrupt != nullptr && __atomic_load_n(ctx->interrupt, __ATOMIC_RELAXED) != 0;
}

/// Runs chunk `chunk`; false when the loop is over (a failure or an interrupt).
bool run_chunk(Job& job, std::int64_t chunk, std::int32_t worker) {
  if (job.status.load(std::memory_order_relaxed) != 0) return false;
  std::int32_t status = TENON_KERNEL_INTERRUPTED;
  if (!interrupted(job.ctx)) {
    const std::int64_t begin = chunk * job.grain;
    const std::int64_t end =
        job.num_iterations - begin < job.grain ? job.num_iterations : begin + job.grain;
    status = job.task(job.ctx, job.closure, begin, end, worker);
  }
  if (status == 0) return true;
  std::int32_t none = 0;
  job.status.compare_exchange_strong(none, status, std::memory_order_relaxed);
  return false;
}

/// Own chunks first, then the others', from their far ends.
void take_part(Job& job, std::int32_t worker) {
  const Inside before = inside;
  inside = {job.ctx, worker};
  bool going = true;
  for (std::int32_t k = 0; k < job.num_workers && going; ++k) {
    ChunkRange& range = pool.ranges[(worker + k) % job.num_workers];
    for (std::int64_t chunk = range.take(k == 0); chunk >= 0 && going;
         chunk = going ? range.take(k == 0) : -1) {
      going = run_chunk(job, chunk, worker);
    }
  }
  inside = before;
}

/// Joins the running loop, if there is one.
void try_job(std::int32_t worker) {
  std::uint32_t gate = pool.job.gate.load(std::memory_order_relaxed);
  do {
    if ((gate & kGateOpen) == 0) return;
  } while (!pool.job.gate.compare_exchange_weak(gate, gate + 1, std::memory_order_acquire,
                                                std::memory_order_relaxed));
  if (worker < pool.job.num_workers) take_part(pool.job, worker);
  pool.job.gate.fetch_sub(1, std::memory_order_release);
}

/// Waits until the epoch is not `seen`: spins first, then sleeps.
std::uint32_t wait_for_epoch(std::uint32_t seen, bool may_spin) {
  const std::int64_t deadline = may_spin ? now_nanoseconds() + kSpinNanoseconds : 0;
  while (may_spin) {
    for (int i = 0; i < 32; ++i) {
      const std::uint32_t epoch = pool.job.epoch.load(std::memory_order_acquire);
      if (epoch != seen) return epoch;
      relax();
    }
    may_spin = now_nanoseconds() < deadline;
  }
  pool.sleepers.fetch_add(1, std::memory_order_seq_cst);
  std::uint32_t epoch = pool.job.epoch.load(std::memory_order_seq_cst);
  while (epoch == seen) {
    futex_wait(pool.job.epoch, seen);
    epoch = pool.job.epoch.load(std::memory_order_seq_cst);
  }
  pool.sleepers.fetch_sub(1, std::memory_order_seq_cst);
  return epoch;
}

void announce() {
  pool.job.epoch.fetch_add(1, std::memory_order_seq_cst);
  if (pool.sleepers.load(std::memory_order_seq_cst) != 0) futex_wake_all(pool.job.epoch);
}

void* worker_main(void* argument) {
  const std::int32_t worker = static_cast<std::int32_t>(reinterpret_cast<std::intptr_t>(argument));
#if defined(__x86_64__)
  _mm_setcsr(0x1f80);  // round to nearest, subnormals kept, whatever the creating thread had
#endif
  std::uint32_t seen = pool.start_epoch;
  const bool may_spin = worker < default_num_threads();
  while (pool.stopping.load(std::memory_order_acquire) == 0) {
    seen = wait_for_epoch(seen, may_spin);
    try_job(worker);
  }
  return nullptr;
}

/// Starts workers up to `num_threads` - 1. Holds busy. Fewer start when the system refuses; loops
/// then use those.
void start_workers(std::int32_t num_threads) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // signals go to the application's threads
  if (pool.num_started == 0) pool.start_epoch = pool.job.epoch.load(std::memory_order_relaxed);
  while (pool.num_started + 1 < num_threads) {
    void* argument = reinterpret_cast<void*>(static_cast<std::intptr_t>(pool.num_started + 1));
    if (pthread_create(&pool.handles[pool.num_started], nullptr, worker_main, argument) != 0) break;
    ++pool.num_started;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

/// Ends all workers. Holds busy.
void stop_workers() {
  pool.stopping.store(1, std::memory_order_release);
  announce();
  for (std::int32_t i = 0; i < pool.num_started; ++i) pthread_join(pool.handles[i], nullptr);
  pool.num_started = 0;
  pool.stopping.store(0, std::memory_order_release);
}

bool try_hold() {
  std::uint32_t free = 0;
  return pool.busy.load(std::memory_order_relaxed) == 0 &&
         pool.busy.compare_exchange_strong(free, 1, std::memory_order_acquire,
                                           std::memory_order_relaxed);
}

void hold() {
  while (!try_hold()) sched_yield();
}

void release() { pool.busy.store(0, std::memory_order_release); }

std::int32_t run_serially(tenon_kernel_context* ctx, std::int64_t num_iterations,
                          tenon_task_fn task, void* closure) {
  const std::int32_t worker = inside.ctx == ctx ? inside.worker : 0;
  const Inside before = inside;
  inside = {ctx, worker};
  const std::int64_t grain = num_iterations / kChunksPerWorker + 1;
  std::int32_t status = 0;
  for (std::int64_t begin = 0; begin < num_iterations && status == 0; begin += grain) {
    const std::int64_t end = num_iterations - begin < grain ? num_iterations : begin + grain;
    status = interrupted(ctx) ? static_cast<std::int32_t>(TENON_KERNEL_INTERRUPTED)
                              : task(ctx, closure, begin, end, worker);
  }
  inside = before;
  return status;
}

/// Fills the job and each worker's run of chunks. The gate is closed.
void prepare(tenon_kernel_context* ctx, std::int64_t num_iterations, tenon_task_fn task,
             void* closure, std::int32_t num_workers) {
  Job& job = pool.job;
  const std::int64_t most_chunks = kChunksPerWorker * num_workers;
  job.ctx = ctx;
  job.task = task;
  job.closure = closure;
  job.num_iterations = num_iterations;
  job.grain = (num_iterations - 1) / most_chunks + 1;
  job.num_workers = num_workers;
  job.status.store(0, std::memory_order_relaxed);
  const std::int64_t chunks = (num_iterations - 1) / job.grain + 1;
  for (std::int32_t w = 0; w < num_workers; ++w) {
    pool.ranges[w].set(static_cast<std::uint32_t>(chunks * w / num_workers),
                       static_cast<std::uint32_t>(chunks * (w + 1) / num_workers));
  }
}

/// A task as an application's own parallel loop sees it: marks its thread as inside the loop, so
/// that nested loops run serially with the same worker number.
struct WrappedTask {
  tenon_task_fn task;
  void* closure;
};

std::int32_t run_wrapped(tenon_kernel_context* ctx, void* closure, std::int64_t begin,
                         std::int64_t end, std::int32_t worker) {
  const WrappedTask* wrapped = static_cast<const WrappedTask*>(closure);
  if (interrupted(ctx)) return TENON_KERNEL_INTERRUPTED;
  const Inside before = inside;
  inside = {ctx, worker};
  const std::int32_t status = wrapped->task(ctx, wrapped->closure, begin, end, worker);
  inside = before;
  return status;
}

/// Closes the gate and waits for those inside.
void drain() {
  std::uint32_t gate = pool.job.gate.fetch_and(~kGateOpen, std::memory_order_acquire) & ~kGateOpen;
  for (int spins = 0; gate != 0; ++spins) {
    if (spins < 4096) {
      relax();
    } else {
      sched_yield();  // more threads than processors
    }
    gate = pool.job.gate.load(std::memory_order_acquire);
  }
}

std::int32_t get_num_threads() {
  const std::int32_t wanted = pool.wanted.load(std::memory_order_relaxed);
  return wanted > 0 ? wanted : default_num_threads();
}

bool set_num_threads(std::int32_t num_threads) {
  if (inside.ctx != nullptr) return false;
  enter_process();
  hold();
  pool.wanted.store(num_threads, std::memory_order_relaxed);
  if (pool.num_started + 1 > get_num_threads()) stop_workers();
  release();
  return true;
}

void stop_threads() {
  if (inside.ctx != nullptr) return;
  enter_process();
  hold();
  stop_workers();
  release();
}

void set_parallel_for(tenon_parallel_for_fn parallel_for) {
  override_parallel_for.store(parallel_for, std::memory_order_release);
}

std::int32_t parallel_for(tenon_kernel_context* ctx, std::int64_t num_iterations,
                          tenon_task_fn task, void* closure) {
  if (num_iterations <= 0) return 0;
  const tenon_parallel_for_fn other = override_parallel_for.load(std::memory_order_acquire);
  if (other != nullptr && inside.ctx == nullptr) {
    WrappedTask wrapped{task, closure};
    return other(ctx, num_iterations, run_wrapped, &wrapped);
  }
  std::int32_t num_workers = ctx->num_workers < kMaxThreads ? ctx->num_workers : kMaxThreads;
  if (num_iterations == 1 || num_workers <= 1 || inside.ctx != nullptr) {
    return run_serially(ctx, num_iterations, task, closure);
  }
  enter_process();
  if (!try_hold()) return run_serially(ctx, num_iterations, task, closure);
  if (pool.num_started + 1 < num_workers) {
    const std::int32_t allowed = get_num_threads();
    start_workers(num_workers < allowed ? num_workers : allowed);
    if (num_workers > pool.num_started + 1) num_workers = pool.num_started + 1;
  }
  prepare(ctx, num_iterations, task, closure, num_workers);
  pool.job.gate.store(kGateOpen, std::memory_order_release);
  announce();
  take_part(pool.job, 0);
  drain();
  const std::int32_t status = pool.job.status.load(std::memory_order_relaxed);
  release();
  return status;
}

}  // namespace

constinit const SharedPool kOwnPool = {sizeof(SharedPool), parallel_for, set_num_threads,
                                       get_num_threads,    stop_threads, set_parallel_for};

void reset_thread_pool_after_fork() {
  pool.num_started = 0;
  pool.job.gate.store(0);
  pool.sleepers.store(0);
  pool.stopping.store(0);
  pool.busy.store(0);
}

}  // namespace tenon::rt
