/// The float32 FMA peak of this machine, as a probe that other programs load: no Tenon, no LLVM.

#include <immintrin.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <barrier>
#include <chrono>
#include <thread>
#include <vector>

namespace {

constexpr int kAccumulators = 12;  // hides a latency of 4 to 6 cycles on up to two pipes
constexpr long kSteps = 200'000;   // a fraction of a millisecond

using Probe = double (*)();  // FLOP done by one call

// The empty assembly hides values: the compiler may neither drop nor merge the accumulators.
#define TENON_PROBE_BODY(Vector, fma)                                      \
  Vector acc[kAccumulators] = {};                                          \
  Vector factor = Vector{} + 0.5f, term = Vector{} + 1.0f;                 \
  _Pragma("GCC unroll 16") for (auto& a : acc) asm volatile("" : "+v"(a)); \
  for (long step = 0; step < kSteps; ++step) {                             \
    _Pragma("GCC unroll 16") for (auto& a : acc) a = fma(a, factor, term); \
    asm volatile("" : "+v"(factor), "+v"(term));                           \
  }                                                                        \
  _Pragma("GCC unroll 16") for (auto& a : acc) asm volatile("" : "+v"(a)); \
  return 2.0 * kSteps * kAccumulators * (sizeof(Vector) / sizeof(float))

__attribute__((target("avx512f"))) double run_512() { TENON_PROBE_BODY(__m512, _mm512_fmadd_ps); }

__attribute__((target("avx2,fma"))) double run_256() { TENON_PROBE_BODY(__m256, _mm256_fmadd_ps); }

Probe best_probe() {
  if (__builtin_cpu_supports("avx512f")) return run_512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return run_256;
  return nullptr;
}

// Moves a thread to the rank-th of the cores that this process may use.
void pin_to_core(std::thread& thread, int rank) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (!CPU_ISSET(core, &allowed) || rank-- > 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    pthread_setaffinity_np(thread.native_handle(), sizeof one, &one);
    return;
  }
}

}  // namespace

/// The largest rate, in GFLOP/s, that `num_threads` threads together reached in `seconds`.
///
/// Returns 0 when the processor has no FMA instructions. The threads start each repeat together.
extern "C" __attribute__((visibility("default"))) double tenon_peak_gflops(int num_threads,
                                                                           double seconds) {
  using Clock = std::chrono::steady_clock;
  const Probe probe = best_probe();
  if (probe == nullptr || num_threads < 1) return 0.0;
  double best = 0.0;
  bool finished = false;
  const auto begin = Clock::now();
  auto repeat_begin = begin;
  double flop_per_call = 0.0;
  auto between_repeats = [&]() noexcept {
    const auto now = Clock::now();
    const double rate =
        num_threads * flop_per_call / std::chrono::duration<double>(now - repeat_begin).count();
    best = std::max(best, rate * 1e-9);
    finished = std::chrono::duration<double>(now - begin).count() > seconds;
    repeat_begin = now;
  };
  std::barrier barrier(num_threads, between_repeats);
  auto work = [&](int rank) {
    while (true) {
      const double flop = probe();
      if (rank == 0) flop_per_call = flop;
      barrier.arrive_and_wait();
      if (finished) return;
    }
  };
  std::vector<std::thread> threads;
  for (int rank = 0; rank < num_threads; ++rank) {
    pin_to_core(threads.emplace_back(work, rank), rank);
  }
  for (std::thread& thread : threads) thread.join();
  return best;
}
