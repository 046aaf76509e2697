#pragma once

/// The plan of a network.

#include "graph/groups.h"
#include "tenon/driver/build.h"
#include "tenon/runtime/executable.h"

namespace tenon::graph {

/// Arguments, temporaries, constants (packed where a kernel wants that) and steps. `kernels` are
/// those of `groups.distinct`.
ExecutableParts write_plan(const std::vector<Value>& inputs, const std::vector<Value>& outputs,
                           const Groups& groups, const std::vector<CompiledKernel>& kernels,
                           const std::string& name);

}  // namespace tenon::graph
