#pragma once

/// Updates of a tensor at places that data decide.

#include "tenon/te/tensor.h"

namespace tenon::te {

/// `init` with the updates applied in ascending (row-major) order of their positions: the update at
/// p goes to init[indices[0][p'], indices[1][p'], ..., rest of p], where p' are the leading indices
/// of p, as many as each of the `indices` has dimensions. `updates` has shape
/// indices[0].shape + init.shape[indices.size():]. An update whose index is out of range is
/// dropped, and the call raises the index error that names buffer, position and value. Float `add`s
/// and `mul`s are rounded one by one.
///
/// ShapeError [E0405] when updates have another shape, [E0406] when there are no indices or more
/// than init has dimensions, [E0407] when the indices have different shapes; DTypeError [E0503]
/// for indices that are no integers, [E0507] when the updates' dtype is not init's, [E0508] for a
/// mode other than kSet on bools.
Tensor scatter(const Tensor& init, const std::vector<Tensor>& indices, const Tensor& updates,
               ScatterMode mode = ScatterMode::kSet, std::string name = "scatter");

/// The indices, one for each dimension of the tensor, at which the update at a position goes.
using PlaceFunction = std::function<std::vector<Expr>(const std::vector<Expr>&)>;

/// Likewise with any indices: the update at position p goes to init[places(p)]. An index that is a
/// plain dimension of p lets updates along it run in parallel. ExpressionError [E0111] when the
/// function gives another number of indices than init has dimensions, [E0112] when an index
/// contains a reduction; IndexError [E0602] when a constant index is out of range; DTypeError as
/// above.
Tensor scatter(const Tensor& init, const PlaceFunction& places, const Tensor& updates,
               ScatterMode mode = ScatterMode::kSet, std::string name = "scatter");

}  // namespace tenon::te
