#pragma once

/// Where CUDA's libraries are: one search for the driver, NVRTC, cuBLASLt and cuDNN.
///
/// A library is known by its names, the newest first. The places, in order:
///   1. the folder TENON_CUDA_PATH: its lib64, its lib, itself
///   2. where the system's loader looks: LD_LIBRARY_PATH, /etc/ld.so.cache, /lib64, /usr/lib64,
///      /lib, /usr/lib, and what dlopen makes of the plain name
///   3. /usr/local/cuda/lib64, then /usr/local/cuda-*/lib64, the highest version first
///   4. the packages of PyPI: nvidia/*/lib in the folders of set_cuda_package_folders
/// Within one of the four the newest name wins, then the first folder. TENON_CUDA_PATH=none: CUDA
/// is not looked for and nothing is ever found.
///
/// Nothing here raises, or needs more than libc. Everything may be called from any thread. The
/// environment is read at each call.

#include <cstddef>

namespace tenon {

/// A library of CUDA by its file names.
struct CudaLibrary {
  const char* title;     ///< for messages
  const char* names[4];  ///< the newest first, the unused ones null
  const char* package;   ///< on PyPI; null when it is none
};

inline constexpr CudaLibrary kCudaDriver = {
    "the CUDA driver", {"libcuda.so.1", "libcuda.so"}, nullptr};
inline constexpr CudaLibrary kNvrtc = {
    "NVRTC", {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"}, "nvidia-cuda-nvrtc"};
inline constexpr CudaLibrary kCublasLt = {
    "cuBLASLt", {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"}, "nvidia-cublas"};
inline constexpr CudaLibrary kCudnn = {
    "cuDNN", {"libcudnn.so.9", "libcudnn.so"}, "nvidia-cudnn-cu13"};

/// What a search found. Texts that do not fit are cut.
struct CudaSearch {
  char path[4096] = {};  ///< of the library; empty when there is none
  char failures[2048] =
      {};  ///< of files that are there and do not open, one a line: the loader's words
};

/// False under TENON_CUDA_PATH=none.
bool is_cuda_looked_for();

/// Opens the first library of the places that the loader takes (RTLD_NOW, RTLD_LOCAL); null when
/// there is none. The caller closes it, if ever.
void* open_cuda_library(const CudaLibrary& library, CudaSearch* search);

/// Finds the first file of the places that is a library for this machine, without opening it. False
/// when there is none, which does not exclude that open_cuda_library has one: the loader may know
/// more places.
bool find_cuda_library(const CudaLibrary& library, CudaSearch* search);

/// Writes where is looked, for messages: "TENON_CUDA_PATH='/opt/cuda', the system's loader,
/// /usr/local/cuda*/lib64, nvidia/*/lib of 2 folders of Python packages".
void describe_cuda_places(char* text, std::size_t bytes);

/// Sets the folders of Python packages (site-packages), one a line; kept for the process.
void set_cuda_package_folders(const char* folders);

}  // namespace tenon
