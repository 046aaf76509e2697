#pragma once

/// Block functions that the tests of schedules work on.

#include "tenon/ir/function.h"

namespace tenon::testing {

/// C[i, j] = sum_k A[i, k] * B[k, j] (or B[j, k]), one block "C" with loops i, j, k.
Function matmul(std::int64_t m, std::int64_t n, std::int64_t k, bool transposed = false);
/// The same with symbolic rows.
Function symbolic_matmul(std::int64_t n, std::int64_t k);
/// T[i] = A[i] * 2, C[i] = T[i] + 1.
Function elementwise_chain(std::int64_t n);
/// T[i] = A[i] * A[i], C[i] = sum_w T[i + w], w < 3.
Function window_sum(std::int64_t n);
/// M[i] = max_j A[i, j], E[i, j] = A[i, j] - M[i], S[i] = sum_j E[i, j], C[i, j] = E[i, j] / S[i].
/// The shape of softmax, exact in every step but the last.
Function softmax_chain(std::int64_t m, std::int64_t n);
/// C[i, j] = A[I[i], j], the index checked.
Function gather(std::int64_t n, std::int64_t m, std::int64_t rows);
/// C[j] = sum_i A[i, j].
Function column_sum(std::int64_t m, std::int64_t n);
/// C[j] = sum_i sum_l A[i, l, j], both sums of symbolic length.
Function symbolic_sums(std::int64_t n);
/// S[i, j] = A[i, j] + S[i - 1, j], and A[0, j] for i = 0; i is ordered.
Function column_scan(std::int64_t m, std::int64_t n);
/// P[i] = A[i - 1] where that exists, else 0; C[i] = P[i] + P[i + 1].
Function padded_select(std::int64_t n);
/// T[i] = A[i] + 1; R[i] = A[i]; then R[i] = T[i] with an ordered i.
Function updated_copy(std::int64_t n);

}  // namespace tenon::testing
