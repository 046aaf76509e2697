#pragma once

/// The plan of a network.

#include "graph/groups.h"
#include "tenon/driver/build.h"
#include "tenon/driver/device_kernel.h"
#include "tenon/runtime/executable.h"

namespace tenon::graph {

/// Arguments, temporaries, constants (packed where a kernel wants that) and steps: all that does
/// not depend on the target. Kernels are those of `groups.distinct`; they are not in the plan yet.
ExecutableParts write_plan(const std::vector<Value>& inputs, const std::vector<Value>& outputs,
                           const Groups& groups, const std::string& name);

/// Adds kernel `number` with its sites, and its scratch memory to the steps that call it.
void add_kernel(Plan* plan, std::size_t number, const KernelCode& kernel);
/// The same for a GPU: the steps that call the kernel become its launches.
void add_device_kernel(Plan* plan, std::size_t number, const DeviceKernelCode& kernel);

}  // namespace tenon::graph
