#pragma once

/// What a kernel is compiled for, as plain data.

#include <cstdint>
#include <string>
#include <string_view>

#include "tenon/runtime/dtype.h"

namespace tenon {

enum class TargetKind : std::uint8_t { kCpu };

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

/// A compilation target. Made by `parse` or `host`; a value, compared by all fields.
///
/// **Well-formed means** AVX2 and FMA are present: no lower level is offered.
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

  bool operator==(const Target&) const = default;

  /// The target of a text such as "cpu", "cpu -mcpu=x86-64-v3" or "cpu -mcpu=znver4". "cpu" and
  /// "-mcpu=native" mean the machine that runs this process. Cache sizes and core count are this
  /// machine's in every case: they steer tile sizes, not results. Raises TargetError: E0901 for an
  /// unknown kind or option, E0902 for an unknown CPU, E0903 for "cuda", E0904 for a host below
  /// AVX2 with FMA.
  static Target parse(std::string_view text);
  /// The machine that runs this process; detected once.
  static const Target& host();

  /// The canonical text, for cache keys and reports: "cpu -mcpu=znver4", plus "-mattr=..." where
  /// the detected features differ from those of the CPU name. `parse(str())` gives an equal target
  /// on the same machine.
  std::string str() const;
  /// Comma-separated LLVM attributes, "+avx2,+fma,...": what the generated code may use beyond the
  /// base of `mcpu`.
  std::string attributes() const;
  /// Accumulator tile of a contraction with elements of `dtype`: 6 rows of four 512-bit vectors
  /// with AVX-512, else of two 256-bit ones; bfloat16 and float16 compute in float32. float32: (6,
  /// 64) or (6, 16); float64: (6, 32) or (6, 8).
  RegisterTile register_tile(DType dtype) const;
  /// Lanes of `dtype` in one vector register.
  int vector_lanes(DType dtype) const { return vector_bytes / dtype.bytes(); }
  /// True when this process' CPU can run code made for this target.
  bool runs_on_host() const;
};

}  // namespace tenon
