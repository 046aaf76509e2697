#pragma once

/// cuBLASLt, opened while the program runs. What is used of its interface is declared here, so that
/// no file of NVIDIA is needed to build.

#include "runtime/device/device.h"

namespace tenon::device {

/// cublasStatus_t; 0 is success.
using LibraryResult = int;

enum CublasLtNames : int {
  kCublasNoTranspose = 0,
  kCublasTranspose = 1,
  kTypeFloat32 = 0,  // cudaDataType
  kTypeFloat16 = 2,
  kTypeBFloat16 = 14,
  kComputeFloat32 = 68,  // cublasComputeType_t
  kComputeTf32 = 77,
  kDescTransposeA = 3,  // cublasLtMatmulDescAttributes_t
  kDescTransposeB = 4,
  kLayoutBatchCount = 5,  // cublasLtMatrixLayoutAttribute_t
  kLayoutBatchStride = 6,
  kPreferWorkspaceBytes = 1,  // cublasLtMatmulPreferenceAttributes_t
  kPreferReductions = 3,
  kPreferAlignmentA = 5,  // then those of B, C and D
};
/// The one way to add up blocks of k that is used: in memory, in order. (In-place atomics have
/// other bits from run to run; the others round what they add.)
inline constexpr std::uint32_t kReduceInComputeType = 2;

/// cublasLtMatmulAlgo_t.
struct MatmulAlgorithm {
  std::uint64_t data[8];
};
/// cublasLtMatmulHeuristicResult_t.
struct MatmulChoice {
  MatmulAlgorithm algorithm;
  std::size_t workspace_bytes;
  LibraryResult state;
  float waves;
  int reserved[4];
};
static_assert(sizeof(MatmulChoice) == 96);

/// The library's functions. All are set.
struct CublasLt {
  // NOLINTNEXTLINE(bugprone-macro-parentheses): a name and a list of parameters
#define CUBLASLT_FUNCTION(name, parameters) LibraryResult(*name) parameters = nullptr;
#include "runtime/device/cublaslt_functions.def"
#undef CUBLASLT_FUNCTION
  void* library = nullptr;
  char path[512] = {};
};

/// Opens the library. On failure `out.library` is null: E1310 when there is none (or
/// TENON_CUDA_PATH=none), E1311 when it lacks a function. Both TENON_ERROR_RESOURCE.
tenon_status open_cublaslt(CublasLt& out);

/// The library of this process, opened by the first call that succeeds, and its handle for a
/// device, whose context is current. Not while a run is captured.
tenon_status get_cublaslt(Device& device, const CublasLt** out, Handle* handle);

/// TENON_OK for 0, else E1313 naming the call, the subject and the status.
tenon_status check_cublaslt(LibraryResult result, const char* call, const char* subject);

}  // namespace tenon::device
