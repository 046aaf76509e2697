#pragma once

/// The interpreter on arrays.

#include <vector>

#include "tenon/ir/function.h"
#include "tenon/runtime/array.h"

namespace tenon::python {

/// Runs `f` on its inputs and gives the outputs. Raises what the interpreter finds; InternalError
/// where the size of an output is no expression of the inputs' sizes. Needs no GIL.
std::vector<Array> interpret_arrays(const Function& f, const std::vector<Array>& inputs);

}  // namespace tenon::python
