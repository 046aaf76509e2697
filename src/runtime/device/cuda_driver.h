#pragma once

/// The CUDA driver, opened while the program runs. What is used of its interface is declared here,
/// so that no file of NVIDIA is needed to build.

#include <cstddef>
#include <cstdint>

#include "tenon/runtime/c_api.h"

namespace tenon::device {

/// CUresult; 0 is success.
using Result = int;
/// CUdevice.
using DeviceHandle = int;
/// CUcontext, CUstream, CUmodule and the others: pointers to what only the driver knows.
using Handle = void*;
/// CUdeviceptr.
using Address = unsigned long long;

enum CudaResult : Result {
  kCudaSuccess = 0,
  kCudaOutOfMemory = 2,
  kCudaNotInitialized = 3,
  kCudaNoDevice = 100,
  kCudaInvalidImage = 200,
  kCudaNoBinaryForGpu = 209,
  kCudaNotFound = 500,
  kCudaIllegalAddress = 700,
};
enum CudaDeviceAttribute {
  kMaxThreadsPerBlock = 1,
  kMaxBlockZ = 4,
  kMaxGridX = 5,
  kMaxGridY = 6,
  kMaxGridZ = 7,
  kNumMultiprocessors = 16,
  kCapabilityMajor = 75,
  kCapabilityMinor = 76,
  kMaxSharedBytesOptIn = 97,
};
enum CudaFunctionAttribute {
  kFunctionMaxThreads = 0,
  kFunctionSharedBytes = 1,
  kFunctionMaxDynamicSharedBytes = 8,
};
inline constexpr unsigned kStreamNonBlocking = 1;
inline constexpr int kCaptureThreadLocal = 1;

/// The oldest CUDA version of a driver that is used, as cuDriverGetVersion gives it.
inline constexpr int kOldestDriver = 12000;

/// The driver's functions. All are set.
struct Driver {
  // NOLINTNEXTLINE(bugprone-macro-parentheses): a name and a list of parameters
#define CUDA_FUNCTION(name, symbol, parameters) Result(*name) parameters = nullptr;
#include "runtime/device/cuda_functions.def"
#undef CUDA_FUNCTION
  void* library = nullptr;
  int version = 0;  ///< 12040 for CUDA 12.4
  char path[512] = {};

  /// "CUDA_ERROR_ILLEGAL_ADDRESS (an illegal memory access was encountered)", in `text`.
  void describe(Result result, char* text, std::size_t bytes) const;
};

/// Opens the driver and starts it. On failure `driver.library` is null and the message is set:
/// E1120 when there is none (or TENON_CUDA_PATH=none), E1121 when it is too old or lacks a
/// function, E1122 when it does not start or finds no device. All TENON_ERROR_RESOURCE.
tenon_status open_driver(Driver& driver);

/// The driver of this process, opened by the first call that succeeds.
tenon_status get_driver(const Driver** out);

/// Whether every later call of a context fails after this result.
bool is_sticky(Result result);

}  // namespace tenon::device
