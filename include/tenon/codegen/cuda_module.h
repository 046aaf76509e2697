#pragma once

/// Loop IR of GPU schedules to CUDA C++, and how its kernels are launched.
///
/// Input is a function at `Level::kLoop` in launch form (docs/design/gpu.md), verified. The text
/// includes nothing and is what compile_cuda (cuda.h) takes; docs/design/cuda_codegen.md says how
/// each construct is written. Needs neither NVRTC nor a GPU.

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "tenon/ir/function.h"
#include "tenon/runtime/target.h"

namespace tenon {

/// One parameter of a kernel, in its order. All take 8 bytes: pointers and int64 values.
struct CudaParam {
  enum class Kind : std::uint8_t {
    kBuffer,   ///< parameter `index` of the function (inputs, then outputs)
    kScratch,  ///< the address `offset` into the function's scratch memory
    kSize,     ///< symbol `index` of the function
    kLoop,     ///< the iteration, from 0 on, of repeat `index` of the kernel
    kError,    ///< the call's error record
  };
  Kind kind = Kind::kBuffer;
  int index = 0;
  Expr offset = nullptr;  ///< bytes, over the function's symbols; a multiple of 64
  std::string name = {};  ///< in the text
};

/// A loop on the host around kernels.
struct CudaRepeat {
  int id = 0;  ///< equal in the kernels of one loop
  Expr count;  ///< over the function's symbols
};

/// One kernel and its launch.
struct CudaKernel {
  std::string name;          ///< the symbol: "tenon_<function>_k<number>"
  std::array<Expr, 3> grid;  ///< over the function's symbols; 0: no launch
  std::array<std::int64_t, 3> block = {1, 1, 1};
  std::int64_t static_shared_bytes = 0;
  std::int64_t dynamic_shared_bytes = 0;  ///< instead of static ones where those do not suffice
  std::vector<CudaParam> params;
  std::vector<CudaRepeat> repeats;             ///< outermost first
  std::array<std::string, 3> grid_loops = {};  ///< names of the loops bound to x, y, z
  std::array<std::string, 3> block_loops = {};
  bool has_fma = false;  ///< or a tensor instruction: spills cost it much
};

struct CudaModule {
  std::string source;
  std::vector<CudaKernel> kernels;  ///< in the order of their launches
  Expr scratch_bytes;               ///< of global intermediates, over the function's symbols
};

struct CudaModuleOptions {
  /// Define the functions that are written in PTX. Without them the text runs on a host that
  /// defines them itself (tests).
  bool define_ptx = true;
};

/// The kernels of `f`. Raises ScheduleError: E1281 for a buffer in scope register with an index
/// that is no constant after unrolling; E1282 for one of a kernel without a constant size; E1283
/// and E1285 for a buffer of a scope that does not belong where it is allocated; E1284 for a nest
/// without a loop bound to a thread axis; E1286 for a loop around kernels whose extent depends on
/// another; E1287 and E1288 for limits of the target: threads and shared memory of a block, blocks
/// of a grid.
CudaModule cuda_module(const Function& f, const Target& target,
                       const CudaModuleOptions& options = {});

}  // namespace tenon
