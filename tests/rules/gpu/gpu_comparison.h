#pragma once

/// The default GPU schedule of a function against its loops as written, both in the interpreter.

#include <utility>
#include <vector>

#include "rules/comparison.h"
#include "tenon/ir/function.h"
#include "tenon/runtime/array.h"

namespace tenon {

/// The function with its default schedule for "cuda", at loop level in launch form. Fails the test
/// when a nest has no loop on a block axis, or CUDA text cannot be made for sm_80 or sm_90a.
Function launch_form(const Function& f);

/// Interprets `f` with the default GPU schedule, lowered, and returns its outputs, of these shapes
/// and dtypes. Findings (races, missing barriers, ...) fail the test.
std::vector<Array> call_on_gpu(
    const Function& f, const std::vector<Array>& inputs,
    const std::vector<std::pair<std::vector<std::int64_t>, DType>>& outputs);

/// Interprets `f` with the default GPU schedule, lowered, and compares with `expected`, what its
/// loops as written give. Findings (races, missing barriers, ...) fail the test.
void expect_same_on_gpu(const Function& f, const std::vector<Array>& inputs,
                        const std::vector<Array>& expected, Agreement agreement);

}  // namespace tenon
