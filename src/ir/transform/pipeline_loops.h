#pragma once

#include "tenon/ir/function.h"

namespace tenon {

/// Requires: kernels in launch form, no blocks, accesses with several dimensions; serial loops with
/// the annotation "software_pipeline" = stages (2 or more), whose bodies are statements that copy
/// to shared memory asynchronously and statements that use what was copied. Does: the copied
/// buffers get `stages` versions (a first dimension); the copies of the first `stages - 1`
/// iterations stand before the loop; an iteration waits for its own copies, passes a barrier,
/// starts the copies of iteration i + stages - 1, commits, and does its work. Ensures: the
/// annotation stays on the loop and says that its copies are ordered (see insert_barriers.h).
/// ScheduleError: a loop without copies, with a range that depends on a thread, or not serial
/// [E1248]; a copied buffer is used outside of the loop, written by its work, or a copy reads what
/// the loop writes [E1249]. Why here: versions are a dimension.
Function pipeline_loops(const Function& f);

/// Annotation of a loop: the number of stages.
inline constexpr const char* kSoftwarePipeline = "software_pipeline";

}  // namespace tenon
