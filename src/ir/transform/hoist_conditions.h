#pragma once

#include "tenon/ir/function.h"

namespace tenon {

/// Requires: no unrolled loops. Does: decides conditions on indices that are constant; moves those
/// that all statements of a loop share out of it when they do not use its variable, and into the
/// range of a serial loop when they are linear in it. Ensures: a term that padding leaves out costs
/// its loop nothing. Why here: after unrolling, which makes the conditions of a tile's rows
/// constant; before vectorising, because the conditions are scalar.
Function hoist_conditions(const Function& f);

}  // namespace tenon
