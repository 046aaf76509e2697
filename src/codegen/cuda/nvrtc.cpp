#include "codegen/cuda/nvrtc.h"

#include <dlfcn.h>
#include <glob.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <mutex>

#include "codegen/cuda/build_id.h"
#include "runtime/cuda_places.h"
#include "tenon/support/error.h"

namespace tenon::cuda {
namespace {

[[noreturn]] void raise_missing(const CudaSearch& search) {
  char places[6000];
  describe_cuda_places(places, sizeof(places));
  if (!is_cuda_looked_for()) {
    detail::raise<ResourceError>(
        "E1100",
        "NVRTC, which compiles for GPUs, is not looked for because TENON_CUDA_PATH=none\n  hint: "
        "unset TENON_CUDA_PATH, or set it to the folder that has NVRTC");
  }
  std::string text = detail::concat(
      "NVRTC, which compiles for GPUs, was not found\n  looked for: ", kNvrtc.names[0], ", ",
      kNvrtc.names[1], ", ", kNvrtc.names[2], "\n  in: ", places);
  if (search.failures[0] != '\0') text += detail::concat("\n  that do not open: ", search.failures);
  text += detail::concat("\n  hint: pip install ", kNvrtc.package,
                         ", or set TENON_CUDA_PATH to a CUDA toolkit of version 12 or newer");
  detail::raise<ResourceError>("E1100", text);
}

/// NVRTC opens its builtins by their plain name, which the loader knows only when they are open
/// already or stand in its places; they lie beside NVRTC.
void open_builtins_beside(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path();
  glob_t found = {};
  if (::glob((folder + "/libnvrtc-builtins.so.*").c_str(), 0, nullptr, &found) == 0) {
    for (std::size_t i = 0; i < found.gl_pathc; ++i) {
      ::dlopen(found.gl_pathv[i], RTLD_NOW | RTLD_LOCAL);
    }
  }
  ::globfree(&found);
}

class Functions {
 public:
  Functions(void* library, const char* path) : library_(library), path_(path) {}
  template <typename F>
  void get(F* function, const char* name) const {
    *function = reinterpret_cast<F>(::dlsym(library_, name));
    TENON_USER_CHECK(*function != nullptr, ResourceError, "E1100", "NVRTC at '", path_,
                     "' lacks the function ", name,
                     "\n  hint: install NVRTC 12 or newer: pip install ", kNvrtc.package);
  }

 private:
  void* library_;
  const char* path_;
};

std::unique_ptr<Nvrtc> open_nvrtc() {
  CudaSearch search;
  void* library = open_cuda_library(kNvrtc, &search);
  if (library == nullptr) raise_missing(search);
  auto opened = std::make_unique<Nvrtc>();
  const Functions functions(library, search.path);
  functions.get(&opened->version, "nvrtcVersion");
  functions.get(&opened->num_supported_archs, "nvrtcGetNumSupportedArchs");
  functions.get(&opened->supported_archs, "nvrtcGetSupportedArchs");
  functions.get(&opened->create_program, "nvrtcCreateProgram");
  functions.get(&opened->destroy_program, "nvrtcDestroyProgram");
  functions.get(&opened->compile_program, "nvrtcCompileProgram");
  functions.get(&opened->cubin_size, "nvrtcGetCUBINSize");
  functions.get(&opened->cubin, "nvrtcGetCUBIN");
  functions.get(&opened->ptx_size, "nvrtcGetPTXSize");
  functions.get(&opened->ptx, "nvrtcGetPTX");
  functions.get(&opened->log_size, "nvrtcGetProgramLogSize");
  functions.get(&opened->log, "nvrtcGetProgramLog");
  functions.get(&opened->error_string, "nvrtcGetErrorString");
  opened->path = search.path;
  opened->identity = build_identity(opened->path);
  int count = 0;
  bool works = opened->version(&opened->major, &opened->minor) == kNvrtcSuccess &&
               opened->num_supported_archs(&count) == kNvrtcSuccess && count > 0;
  if (works) {
    opened->archs.resize(static_cast<std::size_t>(count));
    works = opened->supported_archs(opened->archs.data()) == kNvrtcSuccess;
  }
  TENON_USER_CHECK(works, ResourceError, "E1100", "NVRTC at '", opened->path,
                   "' does not say its version and architectures\n  hint: pip install ",
                   kNvrtc.package);
  open_builtins_beside(opened->path);
  return opened;
}

std::atomic<const Nvrtc*> the_library{nullptr};

}  // namespace

const Nvrtc& nvrtc() {
  static std::mutex mutex;
  if (!is_cuda_looked_for()) raise_missing({});
  if (const Nvrtc* opened = the_library.load()) return *opened;
  const std::lock_guard lock(mutex);
  if (the_library.load() == nullptr) the_library.store(open_nvrtc().release());
  return *the_library.load();
}

std::string nvrtc_identity() {
  if (!is_cuda_looked_for()) raise_missing({});
  if (const Nvrtc* opened = the_library.load()) return opened->identity;
  CudaSearch search;
  if (find_cuda_library(kNvrtc, &search)) return build_identity(search.path);
  return nvrtc().identity;
}

}  // namespace tenon::cuda
