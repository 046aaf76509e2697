#pragma once

/// A counter-example for errors about dependences.

#include <string>
#include <vector>

#include "schedule/dependence.h"

namespace tenon {

/// Two iterations of `loop` that touch one element, at least one of them writing, with the `fixed`
/// loops standing still: "iterations (i=0, k=0) and (i=0, k=1) both write C[0]". Looks at the first
/// few iterations only; empty when they show none or an index is not known before the call.
std::string find_conflict(const ForNode& loop, const std::vector<Access>& accesses,
                          const std::vector<Expr>& fixed, const std::vector<Symbol>& symbols);

}  // namespace tenon
