#pragma once

/// Faults that tests plant in workers:
/// TENON_TUNING_FAULTS="crash=0.1,hang=0.05,wrong=0.05,nan=0.05, memory=0.05". Which candidates
/// fail follows from their code alone, so that a run can be repeated.

#include <vector>

#include "tenon/driver/portable_kernel.h"
#include "tenon/runtime/array.h"

namespace tenon::tune {

/// Ends the process, never returns, or uses up the memory, where that is planted.
void plant_fault(const PortableKernel& candidate);
/// Changes results, where that is planted.
void plant_wrong_values(const PortableKernel& candidate, std::vector<Array>* results);

}  // namespace tenon::tune
