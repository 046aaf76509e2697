#pragma once

/// The fake CUDA driver as seen by a test program that runs on it: the runtime opens the library
/// through TENON_CUDA_PATH, and this reaches the same copy.

#include "fake_cuda/fake_cublaslt.h"
#include "fake_cuda/fake_cuda.h"

namespace fake_cuda {

/// Makes this process use the fake driver. Called before anything uses a device; starts anew each
/// time.
void start();
Controls& controls();
const Counters& counters();
void set_kernel(const char* name, Kernel kernel);
bool is_valid(const void* address, std::size_t bytes);
const std::vector<Launch>& log();

/// The fake cuBLASLt, which lies beside the driver.
fake_cublaslt::Controls& cublaslt();
const fake_cublaslt::Counters& cublaslt_counters();
void reset_cublaslt();

}  // namespace fake_cuda
