#pragma once

/// What compile and export_library share: from a network's functions to kernels for one target.

#include "tenon/driver/build.h"
#include "tenon/graph/compile.h"

namespace tenon::graph {

/// The functions with their schedules for `target`.
struct ScheduledFunctions {
  std::vector<Function> functions;
  std::vector<std::string> sources;  ///< of the schedules, as ChosenSchedule::source
};
/// The functions with their default schedules for `target`; those that a user scheduled as they
/// are.
ScheduledFunctions schedule_for(const NetworkSource& source, const Target& target);

BuildOptions build_options(const CompileOptions& options);

}  // namespace tenon::graph
