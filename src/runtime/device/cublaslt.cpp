#include "runtime/device/cublaslt.h"

#include <dlfcn.h>
#include <stdio.h>

#include <atomic>

#include "runtime/cuda_places.h"
#include "runtime/rt/message.h"

namespace tenon::device {
namespace {

using rt::fail;

pthread_mutex_t cublaslt_mutex = PTHREAD_MUTEX_INITIALIZER;
constinit CublasLt the_cublaslt;
constinit std::atomic<bool> cublaslt_is_open{false};

tenon_status no_library(const CudaSearch& search) {
  if (!is_cuda_looked_for()) {
    return fail(TENON_ERROR_RESOURCE, "E1310",
                "cuBLASLt is not looked for: CUDA is switched off by TENON_CUDA_PATH=none\n  hint: "
                "unset it, or compile without libraries");
  }
  if (search.failures[0] != '\0') {
    return fail(TENON_ERROR_RESOURCE, "E1310", "cuBLASLt cannot be opened\n  %s", search.failures);
  }
  return fail(TENON_ERROR_RESOURCE, "E1310",
              "there is no cuBLASLt (%s)\n  hint: pip install %s, set TENON_CUDA_PATH, or compile "
              "without libraries",
              kCublasLt.names[0], kCublasLt.package);
}

const char* name_of(LibraryResult result) {
  switch (result) {
    case 1:
      return "CUBLAS_STATUS_NOT_INITIALIZED";
    case 3:
      return "CUBLAS_STATUS_ALLOC_FAILED";
    case 7:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case 8:
      return "CUBLAS_STATUS_ARCH_MISMATCH";
    case 11:
      return "CUBLAS_STATUS_MAPPING_ERROR";
    case 13:
      return "CUBLAS_STATUS_EXECUTION_FAILED";
    case 14:
      return "CUBLAS_STATUS_INTERNAL_ERROR";
    case 15:
      return "CUBLAS_STATUS_NOT_SUPPORTED";
    case 16:
      return "CUBLAS_STATUS_LICENSE_ERROR";
    default:
      return "an unknown status";
  }
}

}  // namespace

tenon_status open_cublaslt(CublasLt& out) {
  CudaSearch search;
  out.library = open_cuda_library(kCublasLt, &search);
  if (out.library == nullptr) return no_library(search);
  snprintf(out.path, sizeof(out.path), "%.*s", static_cast<int>(sizeof(out.path) - 1), search.path);
  const char* missing = nullptr;
#define CUBLASLT_FUNCTION(name, parameters)                                   \
  out.name = reinterpret_cast<decltype(out.name)>(dlsym(out.library, #name)); \
  if (out.name == nullptr && missing == nullptr) missing = #name;
#include "runtime/device/cublaslt_functions.def"
#undef CUBLASLT_FUNCTION
  if (missing == nullptr) return TENON_OK;
  dlclose(out.library);
  out.library = nullptr;
  return fail(TENON_ERROR_RESOURCE, "E1311",
              "cuBLASLt %s has no function %s\n  hint: pip install -U %s", out.path, missing,
              kCublasLt.package);
}

tenon_status get_cublaslt(Device& device, const CublasLt** out, Handle* handle) {
  *out = &the_cublaslt;
  tenon_status status = TENON_OK;
  if (!cublaslt_is_open.load(std::memory_order_acquire)) {
    const MutexLock lock(cublaslt_mutex);
    if (!cublaslt_is_open.load(std::memory_order_relaxed)) {
      status = open_cublaslt(the_cublaslt);
      cublaslt_is_open.store(status == TENON_OK, std::memory_order_release);
    }
  }
  if (status != TENON_OK) return status;
  // The library allocates: no capture may run meanwhile.
  const MutexLock lock(device.capture_mutex);
  if (device.cublaslt == nullptr) {
    status = check_cublaslt(the_cublaslt.cublasLtCreate(&device.cublaslt), "cublasLtCreate",
                            device.name);
    if (status != TENON_OK) device.cublaslt = nullptr;
  }
  *handle = device.cublaslt;
  return status;
}

tenon_status check_cublaslt(LibraryResult result, const char* call, const char* subject) {
  if (result == 0) return TENON_OK;
  return fail(TENON_ERROR_RESOURCE, "E1313", "%s: %s failed with %s (%d)", subject, call,
              name_of(result), result);
}

}  // namespace tenon::device
