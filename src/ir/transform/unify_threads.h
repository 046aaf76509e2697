#pragma once

#include "tenon/ir/function.h"

namespace tenon {

/// Requires: block IR. Does: brings every kernel into launch form as far as loops go (gpu.md):
/// block axes outermost, then thread axes, each once, with the largest extent of the loops that are
/// bound to it; every bound loop is dissolved, its variable being the coordinate. A block under a
/// loop that is shorter than its axis gets `coordinate < extent` as a predicate; one that writes
/// shared or global memory and does not depend on the coordinate of an axis gets `coordinate == 0`
/// (of a block axis only when it writes global memory). Serial loops with block axes inside, and
/// conditions around kernels, stay on the host; parallel loops become serial. A block with a
/// reduction over threadIdx.x is marked with its extent (kThreadReduction). ScheduleError where
/// such a reduction is bound to another axis [E1240] or still has its init [E1241], and where the
/// extent of an axis has no bound over symbols alone [E1251]. Ensures: no loop bound to an axis
/// inside of one bound to the same axis; a function without bound loops is unchanged. Why here:
/// blocks say what depends on a coordinate, and placing buffers needs the loops in this order.
Function unify_threads(const Function& f);

/// Annotation of a block: the terms of this many threads along threadIdx.x are joined.
inline constexpr const char* kThreadReduction = "thread_reduction";

}  // namespace tenon
