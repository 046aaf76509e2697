#include "fake_cuda/control.h"

#include <dlfcn.h>

#include <cstdlib>
#include <stdexcept>

namespace fake_cuda {
namespace {

template <typename F>
F* function(const char* name) {
  static void* const library = dlopen(FAKE_CUDA_FOLDER "/fake_cuda/libcuda.so.1", RTLD_NOW);
  if (library == nullptr) throw std::runtime_error(dlerror());
  return reinterpret_cast<F*>(dlsym(library, name));
}

template <typename F>
F* library_function(const char* name) {
  static void* const library = dlopen(FAKE_CUDA_FOLDER "/fake_cuda/libcublasLt.so.13", RTLD_NOW);
  if (library == nullptr) throw std::runtime_error(dlerror());
  return reinterpret_cast<F*>(dlsym(library, name));
}

}  // namespace

void start() {
  setenv("TENON_CUDA_PATH", FAKE_CUDA_FOLDER "/fake_cuda", 1);
  function<void()>("fake_cuda_reset")();
}
Controls& controls() { return *function<Controls*()>("fake_cuda_controls")(); }
const Counters& counters() { return *function<const Counters*()>("fake_cuda_counters")(); }
void set_kernel(const char* name, Kernel kernel) {
  function<void(const char*, Kernel)>("fake_cuda_set_kernel")(name, kernel);
}
bool is_valid(const void* address, std::size_t bytes) {
  return function<int(const void*, std::size_t)>("fake_cuda_is_valid")(address, bytes) != 0;
}
fake_cublaslt::Controls& cublaslt() {
  return *library_function<fake_cublaslt::Controls*()>("fake_cublaslt_controls")();
}
const fake_cublaslt::Counters& cublaslt_counters() {
  return *library_function<const fake_cublaslt::Counters*()>("fake_cublaslt_counters")();
}
void reset_cublaslt() { library_function<void()>("fake_cublaslt_reset")(); }
const std::vector<Launch>& log() {
  return *function<const std::vector<Launch>*()>("fake_cuda_log")();
}

}  // namespace fake_cuda
