#pragma once

/// CUDA text to machine code for a GPU, by NVRTC. Needs no GPU and no toolkit: NVRTC is opened when
/// it is first used (runtime/cuda_places.h says where it is looked for).

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tenon {

/// What one kernel takes of a multiprocessor. All but the spills is read from the cubin itself.
struct CudaKernelResources {
  std::string name;
  int registers = 0;                ///< of one thread
  std::int64_t shared_bytes = 0;    ///< static, of one block, without what the system reserves
  std::int64_t local_bytes = 0;     ///< stack of one thread: arrays in local memory and spills
  std::int64_t param_bytes = 0;     ///< of the parameters
  std::int64_t constant_bytes = 0;  ///< of constant bank 0: parameters and launch constants
  int max_threads = 0;              ///< of a block, by __launch_bounds__; 0: not bounded
  /// Stored to and loaded from local memory for want of registers, as ptxas' log says; absent when
  /// the log does not say it.
  std::optional<std::int64_t> spill_store_bytes;
  std::optional<std::int64_t> spill_load_bytes;

  bool operator==(const CudaKernelResources&) const = default;
};

struct CudaCompileOptions {
  int max_registers = 0;  ///< of a thread, 16 to 255; 0: what ptxas chooses
};

/// Machine code for one architecture.
struct Cubin {
  std::string arch;                          ///< such as "sm_90a"
  std::vector<std::uint8_t> bytes;           ///< an ELF file, for cuModuleLoadData
  std::vector<CudaKernelResources> kernels;  ///< by name
  std::string log;                           ///< of the compiler and ptxas: warnings, resources
  double seconds = 0;                        ///< that NVRTC took; 0 for one from the cache
  bool is_from_cache = false;

  /// The kernel of this name; null when there is none.
  const CudaKernelResources* kernel(std::string_view name) const;
};

/// Compiles CUDA C++ without includes to a cubin for `arch` ("sm_80", "sm_90a", ...).
///
/// Code gets what the text says: no contraction to fma, subnormals kept, division and square root
/// correctly rounded, C++17, unannotated functions are device functions. Kernels should be
/// extern "C", so that their names are as written. Thread-safe.
///
/// Raises ResourceError: E1100 when there is no NVRTC that works, E1102 when NVRTC itself fails;
/// TargetError E1101 for an architecture that this NVRTC does not know; UserError E1104 for options
/// out of range. InternalError when the text does not compile, or when ptxas says that it gives up
/// what makes a kernel fast (serialised wgmma, setmaxnreg ignored): the text is Tenon's own.
Cubin compile_cuda(const std::string& source, const std::string& arch,
                   const CudaCompileOptions& options = {});

/// The PTX that NVRTC makes of the text, for people. Raises what compile_cuda raises.
std::string cuda_ptx(const std::string& source, const std::string& arch);

/// What compile_cuda depends on besides its source, for keys: the build of NVRTC that compile_cuda
/// would use, the architecture, and the options as NVRTC gets them. NVRTC is not opened for this.
/// Raises E1100 and E1104 as compile_cuda does. Where the loader knows a place of NVRTC that the
/// search does not see, the key changes once NVRTC is open.
std::string cuda_compile_key(const std::string& arch, const CudaCompileOptions& options = {});

/// The kernels of a cubin, by name; `log` of ptxas gives the spills. Raises ModelError [E1103] when
/// the bytes are no cubin that holds together; reads nothing outside them.
std::vector<CudaKernelResources> read_cubin(std::span<const std::uint8_t> bytes,
                                            std::string_view log = {});

/// The NVRTC that is used, opened now: "13.5", its path.
struct NvrtcInfo {
  int major = 0;
  int minor = 0;
  std::string path;
  std::vector<int> archs;  ///< that it compiles for: 75, 80, ...
};
/// Raises E1100.
NvrtcInfo nvrtc_info();

}  // namespace tenon
