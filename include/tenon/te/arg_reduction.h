#pragma once

/// Reductions that say where, or whether.

#include "tenon/te/tensor.h"

namespace tenon::te {

/// The least (largest) value of `axis` at which `source` is largest (least): int64. The lowest
/// index wins among equal values, zeros of either sign are equal, and the first NaN, where there is
/// one, counts as the extreme, as in NumPy. -1 where no term is part of the reduction: the axis is
/// empty, or `where` holds nowhere. The value itself is max (min) of the same source.
///
/// DTypeError [E0504] for bools.
Expr argmax(const Expr& source, const IterVar& axis, const Expr& where = nullptr);
Expr argmin(const Expr& source, const IterVar& axis, const Expr& where = nullptr);

/// Whether `condition` holds somewhere (everywhere) over the axes; false (true) for no terms.
/// DTypeError [E0504] when it is no bool.
Expr any_of(const Expr& condition, std::vector<IterVar> axes, const Expr& where = nullptr);
Expr all_of(const Expr& condition, std::vector<IterVar> axes, const Expr& where = nullptr);

}  // namespace tenon::te
