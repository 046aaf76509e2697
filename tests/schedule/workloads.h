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

}  // namespace tenon::testing
