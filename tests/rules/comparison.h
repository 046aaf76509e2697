#pragma once

/// The default schedule of a function against its loops as written.

#include <vector>

#include "tenon/ir/function.h"
#include "tenon/runtime/array.h"
#include "tenon/runtime/target.h"

namespace tenon {

/// Floats in [-1, 1), integers in [-100, 100) (from 0 when unsigned), bools; by the seed.
Array random_array(const std::vector<std::int64_t>& shape, unsigned seed, DType dtype = kFloat32);

/// How results of the default schedule relate to those of the loops.
enum class Agreement {
  kBits,   ///< chains, integers, min, max, element-wise
  kClose,  ///< rows: 1e-5 relative for float32, 1e-12 for float64
};

/// The results of `f` with the default schedule for the target.
std::vector<Array> call_default(const Function& f, const Target& target,
                                const std::vector<Array>& inputs);

/// Fails the test where `got` does not agree with `expected`.
void expect_agreement(const Array& got, const Array& expected, Agreement agreement);

/// Builds `f` as written and with the default schedule, calls both, and compares. The default
/// schedule for x86-64-v3 must have the bits of that for this machine. The default GPU schedule is
/// interpreted and compared as well, unless the work is too much for the interpreter.
void expect_same_results(const Function& f, const std::vector<Array>& inputs, Agreement agreement);

}  // namespace tenon
