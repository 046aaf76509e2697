#pragma once

#include "tenon/ir/function.h"

namespace tenon {

/// Requires: kernels in launch form, no blocks, accesses with several dimensions; a reduction whose
/// terms belong to threads along threadIdx.x is a store of `thread_reduction(C[i] op term,
/// threads)` to C[i]. Does: joins the terms by shuffles, by halving within groups of 32 lanes;
/// above 32 threads the groups' sums go through shared memory (a buffer of its own for each
/// reduction) and are joined by halving as well, in every thread. Conditions around it give the
/// identity instead of a term where they depend on the coordinate, and guard the store (and the
/// term) where they do not, so that all lanes arrive; vectorized loops around it become serial,
/// and a range that depends on a coordinate becomes the largest, with a condition. The
/// result is stored by every thread to private memory, by the first thread of the axis to shared
/// and global memory. As when a loop is vectorized, the product of `fma(a, b, C[i])` is rounded
/// before it is joined. Ensures: no `thread_reduction` calls. ScheduleError: the number of threads
/// is no power of two up to 1,024 [E1244]; warps do not consist of whole rows of the axis [E1245];
/// a loop around has a range that depends on a thread [E1246]; the stored value has another form
/// [E1247]. Why here: before guard_loads, which keeps the loads of left-out terms in bounds.
Function lower_thread_reductions(const Function& f);

}  // namespace tenon
