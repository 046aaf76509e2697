#pragma once

/// The interpreter on arrays.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tenon/ir/function.h"
#include "tenon/runtime/array.h"

namespace tenon::python {

using SymbolSizes = std::map<std::string, std::int64_t>;

/// Runs `f` on its inputs and gives the outputs. Symbols have the sizes given by name, or those of
/// the inputs whose dimensions they are; ShapeError [E0474] where there is neither. Raises what the
/// interpreter finds. Needs no GIL.
std::vector<Array> interpret_arrays(const Function& f, const std::vector<Array>& inputs,
                                    const SymbolSizes& sizes = {});

}  // namespace tenon::python
