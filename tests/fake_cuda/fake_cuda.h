#pragma once

/// Controls of the fake CUDA driver (fake_cuda.cpp), for tests that run plans for a device without
/// one.
///
/// Device memory is host memory that only the driver may touch: outside of its own work it is
/// protected, so that code which reads a device address on the host dies. Each block has guards on
/// both sides. Work on a stream is queued and done when somebody waits for it, so that a missing
/// wait shows.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace fake_cuda {

/// What a kernel of a test gets.
struct Launch {
  std::string name;
  unsigned grid[3];
  unsigned block[3];
  unsigned shared_bytes;
  std::vector<std::uint64_t> params;

  template <typename T>
  T* pointer(std::size_t i) const {
    return reinterpret_cast<T*>(params[i]);
  }
  std::int64_t size(std::size_t i) const { return static_cast<std::int64_t>(params[i]); }
};

/// Computes what a kernel computes; returns 0 or a CUDA error such as 700.
using Kernel = int (*)(const Launch& launch);

/// Faults and limits; `reset` restores the defaults.
struct Controls {
  int version = 13000;
  int num_devices = 1;
  int init_result = 0;
  int capability = 90;
  int shared_bytes_opt_in = 227 << 10;
  std::uint64_t memory_bytes = 64 << 20;
  int fail_launch = -1;          ///< the launch with this number, from 0, ...
  int fail_launch_result = 700;  ///< ... gives this result when it runs
  int launch_result = 0;         ///< what cuLaunchKernel returns
  int fail_capture = 0;          ///< 1: captures end invalid
};

/// What happened since the reset.
struct Counters {
  int launches = 0;  ///< that ran, those of graphs included
  int graph_launches = 0;
  int captures = 0;
  int allocations = 0;
  int frees = 0;
  int live_allocations = 0;  ///< now
  int waits = 0;
};

/// The functions of the library; each is found by its name with dlsym.
extern "C" {
/// Controls and counters back to defaults, kernels and log forgotten; memory stays, as pools hold
/// it. When the driver starts, FAKE_CUDA_* in the environment override defaults: VERSION, DEVICES,
/// INIT, CAPABILITY, MEMORY; KERNELS is a library whose fake_cuda_add_kernels sets kernels.
void fake_cuda_reset();
Controls* fake_cuda_controls();
const Counters* fake_cuda_counters();
/// The function that runs for kernels of this name; without one a launch only counts.
void fake_cuda_set_kernel(const char* name, Kernel kernel);
/// Whether [address, address + bytes) lies within one live block.
int fake_cuda_is_valid(const void* address, std::size_t bytes);
/// The launches that ran; cleared by `reset`.
const std::vector<Launch>* fake_cuda_log();
/// For fakes of libraries: work on a stream, done when somebody waits for it, and again by each
/// graph that captured it; it returns 0 or a CUDA error. `data` lives as long as the process.
int fake_cuda_enqueue(void* stream, int (*work)(void*), void* data);
}

}  // namespace fake_cuda
