#pragma once

/// The attributes of the routines that extern steps call. A plan holds them as bytes,
/// little-endian, in just this layout; docs/design/extern.md says what each routine computes.

#include <cstdint>

namespace tenon::extern_format {

/// Three arrays, dense and row-major: C[b, i, j] = sum over t of A[b, i, t] * B[b, t, j].
/// Sizes of the step: batch, m, n, k, then the elements from one matrix of A to the next, of B to
/// the next (0: all batches use one). Buffers: A, B, C.
inline constexpr char kMatmulName[] = "cublaslt.matmul";

enum class MatmulType : std::uint32_t { kFloat32 = 0, kFloat16 = 1, kBFloat16 = 2 };

struct MatmulAttributes {
  std::uint32_t dtype;        ///< MatmulType, of all three; sums are float32
  std::uint32_t is_a_turned;  ///< 1: A is stored as [k, m]
  std::uint32_t is_b_turned;  ///< 1: B is stored as [n, k]
  std::uint32_t uses_tf32;    ///< 1: factors of float32 may be rounded to TF32
};
static_assert(sizeof(MatmulAttributes) == 16);

/// The scratch memory that a product may use: what cuBLASLt is asked to stay within.
inline constexpr std::int64_t kMatmulWorkspaceBytes = std::int64_t{4} << 20;

}  // namespace tenon::extern_format
