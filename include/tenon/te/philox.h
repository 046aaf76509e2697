#pragma once

/// Random bits as a function of a counter.

#include <array>

#include "tenon/ir/expr.h"

namespace tenon::te {

/// The four words of Philox 4x32-10 (J. Salmon, M. Moraes, R. Dror, D. Shaw: Parallel random
/// numbers: as easy as 1, 2, 3. SC 2011) at a counter of four uint32 words, the least significant
/// first, under a key of two. A function of integers: the same bits on every machine, for any
/// number of threads and in any order.
std::array<Expr, 4> philox4x32(const std::array<Expr, 4>& counter, const std::array<Expr, 2>& key);

}  // namespace tenon::te
