#pragma once

#include "tenon/ir/function.h"

namespace tenon {

/// Requires: nothing. Does: repeats the body of every unrolled loop of constant extent, once per
/// iteration; definitions inside get identities of their own. A loop of unknown or very large
/// extent becomes serial. Ensures: no unrolled loops. Why here: after flattening, so that indices
/// into register tiles become constants; before vectorising, so that each copy is one vector
/// statement.
Stmt unroll_loops(const Stmt& body);

}  // namespace tenon
