#pragma once

/// Correct kernels in launch form, whose interpretation is compared with plain loops and which
/// tests damage on purpose.

#include <string>

namespace tenon {

/// C = A B, 32 x 32 x 24, tiles of 16 x 16 in shared memory, two barriers in a step.
inline const std::string kSharedMatmul =
    R"(loop function matmul(A: float32[768], B: float32[768]) -> (C: float32[1024])
  thread for by in 0..2 on "blockIdx.y"
    thread for bx in 0..2 on "blockIdx.x"
      alloc As: float32[128] shared
      alloc Bs: float32[128] shared
      thread for ty in 0..16 on "threadIdx.y"
        thread for tx in 0..16 on "threadIdx.x"
          alloc sum: float32[1] register
          sum[0] = 0.0
          for ko in 0..3
            if tx < 8
              As[ty * 8 + tx] = A[(by * 16 + ty) * 24 + ko * 8 + tx]
            if ty < 8
              Bs[ty * 16 + tx] = B[(ko * 8 + ty) * 32 + bx * 16 + tx]
            evaluate thread_barrier()
            for ki in 0..8
              sum[0] = fma(As[ty * 8 + ki], Bs[ki * 16 + tx], sum[0])
            evaluate thread_barrier()
          C[(by * 16 + ty) * 32 + bx * 16 + tx] = sum[0]
)";

/// S[r] = the sum of row r of A[4, 256], by halving in shared memory. Each block does two rows, so
/// that its memory is used again.
inline const std::string kTreeReduction =
    R"(loop function rows(A: float32[1024]) -> (S: float32[4])
  thread for bx in 0..2 on "blockIdx.x"
    alloc T: float32[128] shared
    thread for tx in 0..128 on "threadIdx.x"
      for r in 0..2
        T[tx] = A[(bx * 2 + r) * 256 + tx] + A[(bx * 2 + r) * 256 + 128 + tx]
        evaluate thread_barrier()
        for step in 0..7
          if tx < 64 >> step
            T[tx] = T[tx] + T[tx + (64 >> step)]
          evaluate thread_barrier()
        S[bx * 2 + r] = T[0] where tx == 127
        evaluate thread_barrier()
)";

/// B[i] = A[i - 1] + A[i + 1] within tiles of 64, through two slots that asynchronous copies fill
/// while the tile before is used.
inline const std::string kPipelinedCopy =
    R"(loop function neighbours(A: float32[512]) -> (B: float32[512])
  thread for bx in 0..2 on "blockIdx.x"
    alloc S: float32[128] shared
    thread for tx in 0..16 on "threadIdx.x"
      S[ramp(tx * 4, 1, 4)] = async_copy(A[ramp(bx * 256 + tx * 4, 1, 4)])
      evaluate async_commit()
      for i in 0..4
        evaluate async_wait(0)
        evaluate thread_barrier()
        if i < 3
          S[ramp((i + 1) % 2 * 64 + tx * 4, 1, 4)] = async_copy(A[ramp(bx * 256 + (i + 1) * 64 + tx * 4, 1, 4)])
        evaluate async_commit()
        for e in 0..4
          let at = i % 2 * 64
          let x = tx * 4 + e
          B[bx * 256 + i * 64 + x] = S[at + (x + 63) % 64] + S[at + (x + 1) % 64]
)";

/// P[r] = softmax of row r of A[n, 100]: one block of 64 threads for each row, joined by shuffles
/// within the two warps, then through shared memory. The row is not a multiple of the threads.
inline const std::string kSoftmax =
    R"(loop function softmax[n](A: float32[n * 100]) -> (P: float32[n * 100])
  thread for bx in 0..n on "blockIdx.x"
    alloc M: float32[2] shared
    alloc T: float32[2] shared
    thread for tx in 0..64 on "threadIdx.x"
      alloc x: float32[2] register
      alloc m: float32[1] register
      alloc t: float32[1] register
      m[0] = -inf
      for i in 0..2
        if i * 64 + tx < 100
          x[i] = A[bx * 100 + i * 64 + tx]
          m[0] = max(m[0], x[i])
      for s in 0..5
        let other = warp_shuffle(m[0], (tx % 32) ^ (16 >> s))
        m[0] = max(m[0], other)
      M[tx // 32] = m[0] where tx % 32 == 0
      evaluate thread_barrier()
      m[0] = max(M[0], M[1])
      t[0] = 0.0
      for i in 0..2
        if i * 64 + tx < 100
          x[i] = exp(x[i] - m[0])
          t[0] = t[0] + x[i]
      do
        let a = warp_shuffle_xor(t[0], 16)
        t[0] = t[0] + a
      do
        let a = warp_shuffle_xor(t[0], 8)
        t[0] = t[0] + a
      do
        let a = warp_shuffle_xor(t[0], 4)
        t[0] = t[0] + a
      do
        let a = warp_shuffle_xor(t[0], 2)
        t[0] = t[0] + a
      do
        let a = warp_shuffle_xor(t[0], 1)
        t[0] = t[0] + a
      T[tx // 32] = t[0] where tx % 32 == 0
      evaluate thread_barrier()
      t[0] = T[0] + T[1]
      for i in 0..2
        if i * 64 + tx < 100
          P[bx * 100 + i * 64 + tx] = x[i] / t[0]
)";

/// C = A B, 32 x 32 x 32 in bfloat16 with tensor instructions: a block for 16 rows, two warps for
/// 16 columns each.
inline const std::string kTensorMatmul =
    R"(loop function matmul(A: bfloat16[1024], B: bfloat16[1024]) -> (C: float32[1024])
  thread for bx in 0..2 on "blockIdx.x"
    alloc As: bfloat16[512] shared
    alloc Bs: bfloat16[1024] shared
    thread for ty in 0..2 on "threadIdx.y"
      thread for tx in 0..32 on "threadIdx.x"
        alloc Af: bfloat16[256] fragment
        alloc Bf: bfloat16[256] fragment
        alloc Cf: float32[256] fragment
        As[ramp((ty * 32 + tx) * 8, 1, 8)] = async_copy(A[ramp(bx * 512 + (ty * 32 + tx) * 8, 1, 8)])
        for i in 0..2
          Bs[ramp((i * 64 + ty * 32 + tx) * 8, 1, 8)] = async_copy(B[ramp((i * 64 + ty * 32 + tx) * 8, 1, 8)])
        evaluate async_commit()
        evaluate async_wait(0)
        evaluate thread_barrier()
        evaluate fill_zero_f32(Cf[0], 16)
        for k in 0..2
          evaluate load_a_bf16(Af[0], As[k * 16], 16, 32)
          evaluate load_b_bf16(Bf[0], Bs[k * 512 + ty * 16], 16, 32)
          evaluate mma_16x16x16_bf16(Cf[0], Af[0], Bf[0], 16, 16, 16)
        evaluate store_f32(C[bx * 512 + ty * 16], Cf[0], 32, 16)
)";

/// C = 2 A for any n: the last block is ragged.
inline const std::string kScale = R"(loop function scale[n](A: float32[n]) -> (C: float32[n])
  thread for bx in 0..(n + 63) // 64 on "blockIdx.x"
    thread for tx in 0..64 on "threadIdx.x"
      if bx * 64 + tx < n
        C[bx * 64 + tx] = A[bx * 64 + tx] * 2.0
)";

}  // namespace tenon
