#pragma once

/// The library NVRTC, opened when it is first needed and for the rest of the process.

#include <cstddef>
#include <string>
#include <vector>

namespace tenon::cuda {

/// Results of NVRTC's functions that are told apart here; nvrtc.h has the others.
enum NvrtcResult : int {
  kNvrtcSuccess = 0,
  kNvrtcInvalidOption = 5,
  kNvrtcCompilation = 6,
};

/// NVRTC's functions, declared here because its header belongs to the toolkit.
struct Nvrtc {
  using Program = void*;
  int (*version)(int* major, int* minor) = nullptr;
  int (*num_supported_archs)(int* count) = nullptr;
  int (*supported_archs)(int* archs) = nullptr;
  int (*create_program)(Program* program, const char* source, const char* name, int num_headers,
                        const char* const* headers, const char* const* names) = nullptr;
  int (*destroy_program)(Program* program) = nullptr;
  int (*compile_program)(Program program, int num_options, const char* const* options) = nullptr;
  int (*cubin_size)(Program program, std::size_t* bytes) = nullptr;
  int (*cubin)(Program program, char* bytes) = nullptr;
  int (*ptx_size)(Program program, std::size_t* bytes) = nullptr;
  int (*ptx)(Program program, char* text) = nullptr;
  int (*log_size)(Program program, std::size_t* bytes) = nullptr;
  int (*log)(Program program, char* text) = nullptr;
  const char* (*error_string)(int result) = nullptr;

  std::string path;
  std::string identity;  ///< see nvrtc_identity
  int major = 0;
  int minor = 0;
  std::vector<int> archs;
};

/// The opened library. Thread-safe. ResourceError [E1100] when there is none that works, also when
/// one is open but TENON_CUDA_PATH has become "none"; a later call looks again.
const Nvrtc& nvrtc();

/// Names the build of NVRTC that `nvrtc()` gives, for keys: the build id that its linker wrote into
/// it, or path, size and time where there is none. Opens nothing. Raises E1100 when there is none.
std::string nvrtc_identity();

}  // namespace tenon::cuda
