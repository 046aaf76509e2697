// What emitted CUDA text needs to run on a CPU: the text is compiled after this header. Threads of
// a block are fibers that run until they wait for each other; shared memory is static, since blocks
// run one after the other. Asynchronous copies land when they are waited for, not before.
#pragma once

#include <ucontext.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tenon/runtime/float_convert.h"

#define __global__
#define __device__
#define __shared__ static
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
};
struct float2 {
  float x, y;
};
struct float4 {
  float x, y, z, w;
};
struct double2 {
  double x, y;
};
struct int2 {
  int x, y;
};
struct int4 {
  int x, y, z, w;
};
struct uint2 {
  unsigned x, y;
};
struct uint4 {
  unsigned x, y, z, w;
};
struct longlong2 {
  long long x, y;
};
struct ulonglong2 {
  unsigned long long x, y;
};

namespace tenon_host {

constexpr std::size_t kStackBytes = 128 << 10;
constexpr unsigned kWarp = 32;

struct Copy {
  void* to;
  const void* from;
  int bytes;
  bool take;
};

enum class State { kReady, kAtBarrier, kAtCollective, kDone };

struct Thread {
  ucontext_t context;
  std::vector<char> stack = std::vector<char>(kStackBytes);
  State state = State::kReady;
  dim3 index;
  unsigned collectives = 0;               // how many it has passed
  alignas(16) unsigned char slot[2][64];  // what it brings to this one and to the next
  std::vector<Copy> open;                 // copies of the group that is not committed
  std::vector<std::vector<Copy>> groups;
};

inline std::vector<Thread*> threads;
inline unsigned current = 0;
inline ucontext_t scheduler;
inline std::string problem;  // why a launch stopped
inline void** arguments = nullptr;
inline void (*kernel)(void**) = nullptr;

inline void wait_as(State state) {
  Thread& self = *threads[current];
  self.state = state;
  swapcontext(&self.context, &scheduler);
}

/// Brings `bytes` of `value`; returns what lane `from` of the warp brought.
inline void exchange(const void* value, void* result, std::size_t bytes, unsigned from) {
  const unsigned me = current;
  const unsigned parity = threads[me]->collectives++ & 1;
  std::memcpy(threads[me]->slot[parity], value, bytes);
  wait_as(State::kAtCollective);
  const unsigned other = me / kWarp * kWarp + from;
  if (other >= threads.size()) {
    problem = "a shuffle from a lane that does not exist";
    return;
  }
  std::memcpy(result, threads[other]->slot[parity], bytes);
}

inline void land(std::vector<Copy>& group) {
  for (const Copy& c : group) {
    if (c.take) {
      std::memcpy(c.to, c.from, static_cast<std::size_t>(c.bytes));
    } else {
      std::memset(c.to, 0, static_cast<std::size_t>(c.bytes));
    }
  }
}

template <typename T>
T argument(void* p) {
  if constexpr (std::is_pointer_v<T>) {
    return static_cast<T>(p);
  } else {
    return static_cast<T>(reinterpret_cast<std::intptr_t>(p));
  }
}
template <typename... P, std::size_t... I>
void call(void (*f)(P...), void** a, std::index_sequence<I...>) {
  f(argument<P>(a[I])...);
}
template <typename... P>
void call(void (*f)(P...), void** a) {
  call(f, a, std::index_sequence_for<P...>());
}

}  // namespace tenon_host

inline dim3 threadIdx, blockIdx, blockDim, gridDim;
alignas(128) inline unsigned char tenon_shared[256 << 10];

namespace tenon_host {

inline void enter() {
  kernel(arguments);
  threads[current]->state = State::kDone;
  swapcontext(&threads[current]->context, &scheduler);
}

inline void resume(unsigned t) {
  current = t;
  threadIdx = threads[t]->index;
  swapcontext(&scheduler, &threads[t]->context);
}

/// Frees those that have all arrived; false when nobody can go on.
inline bool release() {
  bool any = false, all_at_barrier = true, all_done = true;
  for (std::size_t begin = 0; begin < threads.size(); begin += kWarp) {
    const std::size_t end = std::min<std::size_t>(begin + kWarp, threads.size());
    bool ready = true, some = false;
    for (std::size_t t = begin; t < end; ++t) {
      const State s = threads[t]->state;
      all_done = all_done && s == State::kDone;
      all_at_barrier = all_at_barrier && (s == State::kAtBarrier || s == State::kDone);
      some = some || s == State::kAtCollective;
      ready = ready && s == State::kAtCollective;
    }
    if (!some || !ready) continue;
    for (std::size_t t = begin; t < end; ++t) threads[t]->state = State::kReady;
    any = true;
  }
  if (any || all_done) return any;
  if (all_at_barrier) {
    for (Thread* t : threads) {
      if (t->state == State::kDone) problem = "a barrier that not all threads reach";
      if (t->state == State::kAtBarrier) t->state = State::kReady;
    }
    return true;
  }
  problem = "threads wait for each other at different places";
  return false;
}

inline void run_block(unsigned count) {
  while (threads.size() < count) threads.push_back(new Thread);
  while (threads.size() > count) {
    delete threads.back();
    threads.pop_back();
  }
  for (unsigned t = 0; t < count; ++t) {
    Thread& thread = *threads[t];
    thread.state = State::kReady;
    thread.collectives = 0;
    thread.open.clear();
    thread.groups.clear();
    thread.index = {t % blockDim.x, t / blockDim.x % blockDim.y, t / (blockDim.x * blockDim.y)};
    getcontext(&thread.context);
    thread.context.uc_stack.ss_sp = thread.stack.data();
    thread.context.uc_stack.ss_size = thread.stack.size();
    thread.context.uc_link = nullptr;
    makecontext(&thread.context, enter, 0);
  }
  // Threads run forwards and backwards in turn: an order that a missing barrier would show in.
  for (bool forward = true; problem.empty(); forward = !forward) {
    bool ran = false;
    for (unsigned i = 0; i < count; ++i) {
      const unsigned t = forward ? i : count - 1 - i;
      if (threads[t]->state != State::kReady) continue;
      resume(t);
      ran = true;
    }
    if (!ran && !release()) break;
  }
}

}  // namespace tenon_host

/// Runs a kernel; the reason why it stopped, or "".
extern "C" inline const char* tenon_host_launch(void (*kernel)(void**), void** arguments,
                                                const unsigned* grid, const unsigned* block) {
  tenon_host::kernel = kernel;
  tenon_host::arguments = arguments;
  tenon_host::problem.clear();
  gridDim = {grid[0], grid[1], grid[2]};
  blockDim = {block[0], block[1], block[2]};
  for (unsigned z = 0; z < grid[2]; ++z) {
    for (unsigned y = 0; y < grid[1]; ++y) {
      for (unsigned x = 0; x < grid[0] && tenon_host::problem.empty(); ++x) {
        blockIdx = {x, y, z};
        std::memset(tenon_shared, 0xff, sizeof tenon_shared);
        tenon_host::run_block(block[0] * block[1] * block[2]);
      }
    }
  }
  return tenon_host::problem.c_str();
}

// --- what CUDA has

inline void __syncthreads() { tenon_host::wait_as(tenon_host::State::kAtBarrier); }
inline unsigned __activemask() { return 0xffffffffu; }
template <typename T>
T __shfl_sync(unsigned, T v, int lane) {
  T out{};
  tenon_host::exchange(&v, &out, sizeof v, static_cast<unsigned>(lane) % tenon_host::kWarp);
  return out;
}
template <typename T>
T __shfl_xor_sync(unsigned, T v, int mask) {
  T out{};
  const unsigned lane = tenon_host::current % tenon_host::kWarp;
  tenon_host::exchange(&v, &out, sizeof v, lane ^ static_cast<unsigned>(mask));
  return out;
}
inline int atomicCAS(int* p, int expected, int desired) {
  const int before = *p;
  if (before == expected) *p = desired;
  return before;
}
inline float __int_as_float(int v) { return std::bit_cast<float>(v); }
inline float __uint_as_float(unsigned v) { return std::bit_cast<float>(v); }
inline unsigned __float_as_uint(float v) { return std::bit_cast<unsigned>(v); }
inline double __longlong_as_double(long long v) { return std::bit_cast<double>(v); }
inline long long __double_as_longlong(double v) { return std::bit_cast<long long>(v); }

// --- what the prelude writes in PTX

inline float tenon_bf16_value(unsigned short bits);
inline unsigned short tenon_bf16_bits(float x) { return tenon::float_to_bfloat16(x); }
inline unsigned short tenon_f16_bits(float x) { return tenon::float_to_float16(x); }
inline float tenon_f16_value(unsigned short bits) { return tenon::float16_to_float(bits); }
inline float tenon_min_f32(float a, float b) {
  if (a != a || b != b) return NAN;
  if (a == b) return std::signbit(a) ? a : b;
  return a < b ? a : b;
}
inline float tenon_max_f32(float a, float b) {
  if (a != a || b != b) return NAN;
  if (a == b) return std::signbit(a) ? b : a;
  return a > b ? a : b;
}
template <int bytes>
void tenon_copy_async(void* to, const void* from, bool take) {
  if (reinterpret_cast<std::uintptr_t>(to) % bytes != 0 ||
      (take && reinterpret_cast<std::uintptr_t>(from) % bytes != 0)) {
    tenon_host::problem = "an asynchronous copy that is not aligned";
  }
  std::memset(to, 0xff, bytes);  // nobody may read it before it is waited for
  tenon_host::threads[tenon_host::current]->open.push_back({to, from, bytes, take});
}
inline void tenon_commit_async() {
  tenon_host::Thread& self = *tenon_host::threads[tenon_host::current];
  self.groups.push_back(std::move(self.open));
  self.open.clear();
}
template <int pending>
void tenon_wait_async() {
  tenon_host::Thread& self = *tenon_host::threads[tenon_host::current];
  while (self.groups.size() > pending) {
    tenon_host::land(self.groups.front());
    self.groups.erase(self.groups.begin());
  }
}

// --- what tensor instructions write in PTX, for one lane, by the layouts in the PTX manual

namespace tenon_host {

/// What every lane of the warp brings.
template <typename T>
std::array<T, 32> gather(const T& mine) {
  std::array<T, 32> all{};
  const unsigned me = current, parity = threads[me]->collectives++ & 1;
  std::memcpy(threads[me]->slot[parity], &mine, sizeof mine);
  wait_as(State::kAtCollective);
  for (unsigned lane = 0; lane < kWarp; ++lane) {
    std::memcpy(&all[lane], threads[me / kWarp * kWarp + lane]->slot[parity], sizeof mine);
  }
  return all;
}

inline void ldmatrix(bool transposed, unsigned* r, const void* address) {
  if (reinterpret_cast<std::uintptr_t>(address) % 16 != 0)
    problem = "ldmatrix of a row that is not aligned";
  const auto rows = gather(static_cast<const unsigned short*>(address));
  const unsigned lane = current % kWarp;
  for (unsigned m = 0; m < 4; ++m) {
    unsigned short element[2];
    for (unsigned i = 0; i < 2; ++i) {
      const unsigned row = transposed ? lane % 4 * 2 + i : lane / 4;
      const unsigned column = transposed ? lane / 4 : lane % 4 * 2 + i;
      element[i] = rows[m * 8 + row][column];
    }
    r[m] = element[0] | static_cast<unsigned>(element[1]) << 16;
  }
  gather(0);  // all have read before one writes
}

struct Operands {
  unsigned a[4], b[2];
};

/// mma.sync.m16n8k16: C += A * B.
template <float value(std::uint16_t)>
void mma(float* c, const Operands& mine) {
  const auto all = gather(mine);
  const unsigned lane = current % kWarp;
  const auto half = [](unsigned pair, unsigned i) {
    return value(static_cast<std::uint16_t>(i == 0 ? pair : pair >> 16));
  };
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned row = lane / 4 + (i < 2 ? 0 : 8), column = lane % 4 * 2 + i % 2;
    for (unsigned k = 0; k < 16; ++k) {
      const unsigned holder_a = row % 8 * 4 + k % 8 / 2, holder_b = column * 4 + k % 8 / 2;
      const unsigned a = all[holder_a].a[(row < 8 ? 0 : 1) + (k < 8 ? 0 : 2)];
      const unsigned b = all[holder_b].b[k < 8 ? 0 : 1];
      c[i] = std::fmaf(half(a, k % 2), half(b, k % 2), c[i]);
    }
  }
}

}  // namespace tenon_host

inline void tenon_ldmatrix_sync_aligned_m8n8_x4_shared_b16(unsigned& r0, unsigned& r1, unsigned& r2,
                                                           unsigned& r3, const void* address) {
  unsigned r[4];
  tenon_host::ldmatrix(false, r, address);
  r0 = r[0], r1 = r[1], r2 = r[2], r3 = r[3];
}
inline void tenon_ldmatrix_sync_aligned_m8n8_x4_trans_shared_b16(unsigned& r0, unsigned& r1,
                                                                 unsigned& r2, unsigned& r3,
                                                                 const void* address) {
  unsigned r[4];
  tenon_host::ldmatrix(true, r, address);
  r0 = r[0], r1 = r[1], r2 = r[2], r3 = r[3];
}
#define TENON_HOST_MMA(type, value)                                                      \
  inline void tenon_mma_sync_aligned_m16n8k16_row_col_f32_##type##_##type##_f32(         \
      float& c0, float& c1, float& c2, float& c3, unsigned a0, unsigned a1, unsigned a2, \
      unsigned a3, unsigned b0, unsigned b1) {                                           \
    float c[4] = {c0, c1, c2, c3};                                                       \
    tenon_host::mma<tenon::value>(c, {{a0, a1, a2, a3}, {b0, b1}});                      \
    c0 = c[0], c1 = c[1], c2 = c[2], c3 = c[3];                                          \
  }
TENON_HOST_MMA(bf16, bfloat16_to_float)
TENON_HOST_MMA(f16, float16_to_float)
