#pragma once

#include "tenon/ir/function.h"

namespace tenon {

/// Requires: block IR. Does: puts, before the outermost reduction loop of each block that has an
/// init and whose reduction may have no iteration, `if <it has none>: init` over the spatial loops
/// inside. Ensures: every element that a reduction computes is written, also that of a sum of
/// nothing; a reduction with iterations runs as before. Why here in the order: first, because the
/// later passes know neither blocks nor reductions. The interpreter runs it too.
Function init_empty_reductions(const Function& f);

}  // namespace tenon
