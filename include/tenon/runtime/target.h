#pragma once

/// What a kernel is compiled for, as plain data.

#include <cstdint>
#include <string>
#include <string_view>

#include "tenon/runtime/dtype.h"

namespace tenon {

enum class TargetKind : std::uint8_t { kCpu, kCuda };

/// Instruction-set extensions that change the code that is generated.
struct CpuFeatures {
  bool has_avx2 = false;
  bool has_fma = false;
  bool has_avx512f = false;
  bool has_avx512bw = false;
  bool has_avx512vl = false;
  bool has_avx512dq = false;
  bool has_avx512_bf16 = false;
  bool has_avx512_vnni = false;
  constexpr bool operator==(const CpuFeatures&) const = default;
  /// The four AVX-512 parts that 512-bit code needs.
  constexpr bool has_avx512() const {
    return has_avx512f && has_avx512bw && has_avx512vl && has_avx512dq;
  }
};

/// Rows and columns of the accumulator tile of a matrix product.
struct RegisterTile {
  int rows = 0;
  int columns = 0;
};

/// What schedules and checks of launches need to know of an NVIDIA GPU. All zero for CPUs.
struct GpuFeatures {
  std::string arch;    ///< "sm_90a"; the suffix gives instructions of this architecture alone
  int capability = 0;  ///< 90 for sm_90 and sm_90a
  int num_sms = 0;     ///< of the architecture's largest card
  std::int64_t shared_bytes_per_sm = 0;
  std::int64_t shared_bytes_per_block = 0;         ///< at most, by opting in; static and dynamic
  std::int64_t static_shared_bytes_per_block = 0;  ///< without opting in
  int threads_per_block = 0;                       ///< at most
  int threads_per_sm = 0;                          ///< at most
  int registers_per_sm = 0;                        ///< of 32 bits; a block can have all
  int registers_per_thread = 0;                    ///< at most
  int warp_size = 0;
  bool operator==(const GpuFeatures&) const = default;
};

/// A compilation target. Made by `parse` or `host`; a value, compared by all fields.
///
/// **Well-formed means** AVX2 and FMA are present for a CPU: no lower level is offered. For a GPU
/// `mcpu` and `features` are empty, caches and vector registers 0, `vector_bytes` is 16 (the widest
/// access), and `num_cores` counts the cores of the host, which compile.
struct Target {
  TargetKind kind = TargetKind::kCpu;
  std::string mcpu;  ///< LLVM's name of the CPU; never "native"
  CpuFeatures features;
  int vector_bytes = 32;             ///< 64 with AVX-512
  int num_vector_registers = 16;     ///< 32 with AVX-512
  std::int64_t l1_bytes = 32 << 10;  ///< data cache of one core
  std::int64_t l2_bytes = 1 << 20;   ///< of one core
  std::int64_t l3_bytes = 16 << 20;  ///< of the machine part that one core reaches
  int num_cores = 1;                 ///< cores that this process may use by default
  GpuFeatures gpu;

  bool operator==(const Target&) const = default;

  /// The target of a text such as "cpu", "cpu -mcpu=x86-64-v3" or "cpu -mcpu=znver4". "cpu" and
  /// "-mcpu=native" mean the machine that runs this process. Cache sizes and core count are this
  /// machine's in every case: they steer tile sizes, not results. "cuda" is the
  /// first GPU of this machine (whose driver is opened then), or sm_90a where there is none; "cuda
  /// -arch=sm_80" another architecture, from sm_80 on. Raises TargetError: E0901 for an
  /// unknown kind or option, E0902 for an unknown CPU, E0904 for a host below AVX2 with FMA, E1280
  /// for an architecture that is unknown or below sm_80.
  static Target parse(std::string_view text);
  /// The machine that runs this process; detected once.
  static const Target& host();

  /// The canonical text, for cache keys and reports: "cpu -mcpu=znver4", plus "-mattr=..." where
  /// the detected features differ from those of the CPU name. `parse(str())` gives an equal target
  /// on the same machine. "cuda -arch=sm_90a" for a GPU.
  std::string str() const;
  /// Comma-separated LLVM attributes, "+avx2,+fma,...": what the generated code may use beyond the
  /// base of `mcpu`.
  std::string attributes() const;
  /// Accumulator tile of a contraction with elements of `dtype`: 6 rows of four 512-bit vectors
  /// with AVX-512, else of two 256-bit ones; bfloat16 and float16 compute in float32. float32: (6,
  /// 64) or (6, 16); float64: (6, 32) or (6, 8). (0, 0) on a GPU.
  RegisterTile register_tile(DType dtype) const;
  /// Lanes of `dtype` in one vector register; on a GPU in one access of 16 bytes.
  int vector_lanes(DType dtype) const { return vector_bytes / dtype.bytes(); }
  /// True when this process' CPU can run code made for this target; never for a GPU.
  bool runs_on_host() const;
  bool is_gpu() const { return kind == TargetKind::kCuda; }
  /// TargetError [E0903] for a GPU: `what` ("default schedules") is there for CPUs only.
  void require_cpu(std::string_view what) const;
};

}  // namespace tenon
