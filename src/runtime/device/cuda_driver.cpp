#include "runtime/device/cuda_driver.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <atomic>

#include "runtime/cuda_places.h"
#include "runtime/rt/message.h"

namespace tenon::device {
namespace {

using rt::fail;

pthread_mutex_t driver_mutex = PTHREAD_MUTEX_INITIALIZER;
constinit Driver the_driver;
constinit std::atomic<bool> driver_is_open{false};

tenon_status no_driver(const CudaSearch& search) {
  if (!is_cuda_looked_for()) {
    return fail(TENON_ERROR_RESOURCE, "E1120",
                "CUDA is switched off by TENON_CUDA_PATH=none\n  hint: unset it to use a GPU");
  }
  if (search.failures[0] != '\0') {
    return fail(TENON_ERROR_RESOURCE, "E1120", "the CUDA driver cannot be opened\n  %s",
                search.failures);
  }
  return fail(TENON_ERROR_RESOURCE, "E1120",
              "there is no CUDA driver (libcuda.so.1)\n  hint: install NVIDIA's driver, or use the "
              "target \"cpu\"");
}

/// The first function that the library lacks; null when it has all.
const char* connect(Driver& driver) {
  const char* missing = nullptr;
#define CUDA_FUNCTION(name, symbol, parameters)                                         \
  driver.name = reinterpret_cast<decltype(driver.name)>(dlsym(driver.library, symbol)); \
  if (driver.name == nullptr && missing == nullptr) missing = symbol;
#include "runtime/device/cuda_functions.def"
#undef CUDA_FUNCTION
  return missing;
}

tenon_status too_old(const Driver& driver, const char* what) {
  return fail(TENON_ERROR_RESOURCE, "E1121",
              "the CUDA driver %s is too old: it %s, needed is CUDA %d.%d\n  hint: update NVIDIA's "
              "driver",
              driver.path, what, kOldestDriver / 1000, kOldestDriver % 1000 / 10);
}

tenon_status start(Driver& driver) {
  const char* missing = connect(driver);
  // A driver that lacks a function may still say which version it is.
  char what[128];
  if (driver.cuDriverGetVersion != nullptr &&
      driver.cuDriverGetVersion(&driver.version) == kCudaSuccess &&
      driver.version < kOldestDriver) {
    snprintf(what, sizeof(what), "runs CUDA %d.%d", driver.version / 1000,
             driver.version % 1000 / 10);
    return too_old(driver, what);
  }
  if (missing != nullptr) {
    snprintf(what, sizeof(what), "has no function %s", missing);
    return too_old(driver, what);
  }
  Result result = driver.cuInit(0);
  int count = 0;
  if (result == kCudaSuccess) result = driver.cuDeviceGetCount(&count);
  if (result == kCudaSuccess && count == 0) result = kCudaNoDevice;
  if (result == kCudaSuccess) return TENON_OK;
  char text[256];
  driver.describe(result, text, sizeof(text));
  return fail(TENON_ERROR_RESOURCE, "E1122",
              "the CUDA driver %s does not start: %s\n  hint: check nvidia-smi, "
              "CUDA_VISIBLE_DEVICES and the rights on /dev/nvidia*",
              driver.path, text);
}

}  // namespace

void Driver::describe(Result result, char* text, std::size_t bytes) const {
  const char* name = nullptr;
  const char* meaning = nullptr;
  if (cuGetErrorName == nullptr || cuGetErrorName(result, &name) != kCudaSuccess) name = nullptr;
  if (cuGetErrorString == nullptr || cuGetErrorString(result, &meaning) != kCudaSuccess)
    meaning = nullptr;
  if (name == nullptr) {
    snprintf(text, bytes, "CUDA error %d", result);
  } else {
    snprintf(text, bytes, meaning != nullptr ? "%s (%s)" : "%s", name, meaning);
  }
}

tenon_status open_driver(Driver& driver) {
  CudaSearch search;
  driver.library = open_cuda_library(kCudaDriver, &search);
  if (driver.library == nullptr) return no_driver(search);
  snprintf(driver.path, sizeof(driver.path), "%.*s", static_cast<int>(sizeof(driver.path) - 1),
           search.path);
  const tenon_status status = start(driver);
  if (status != TENON_OK) {
    dlclose(driver.library);
    driver.library = nullptr;
  }
  return status;
}

tenon_status get_driver(const Driver** out) {
  *out = &the_driver;
  if (driver_is_open.load(std::memory_order_acquire)) return TENON_OK;
  pthread_mutex_lock(&driver_mutex);
  tenon_status status = TENON_OK;
  if (!driver_is_open.load(std::memory_order_relaxed)) {
    status = open_driver(the_driver);
    driver_is_open.store(status == TENON_OK, std::memory_order_release);
  }
  pthread_mutex_unlock(&driver_mutex);
  return status;
}

bool is_sticky(Result result) {
  switch (result) {
    case 214:  // ECC_UNCORRECTABLE
    case kCudaIllegalAddress:
    case 702:  // LAUNCH_TIMEOUT
    case 709:  // CONTEXT_IS_DESTROYED
    case 710:  // ASSERT
    case 714:  // HARDWARE_STACK_ERROR
    case 715:  // ILLEGAL_INSTRUCTION
    case 716:  // MISALIGNED_ADDRESS
    case 717:  // INVALID_ADDRESS_SPACE
    case 718:  // INVALID_PC
    case 719:  // LAUNCH_FAILED
    case 721:  // CONTAINED
    case 999:  // UNKNOWN
      return true;
    default:
      return false;
  }
}

}  // namespace tenon::device
