#pragma once

/// The plan of a network.

#include "graph/library_calls.h"
#include "tenon/driver/build.h"
#include "tenon/driver/device_kernel.h"
#include "tenon/runtime/executable.h"

namespace tenon::graph {

/// A routine in the place of a step's kernel.
struct LibraryStep {
  std::size_t step = 0;
  PlanExtern routine;
  std::vector<PlanBufferId> buffers;  ///< operands, result
  std::vector<PlanRegister> sizes;
  std::int64_t workspace_bytes = 0;
};

/// Arguments, temporaries, constants (packed where a kernel wants that) and steps: all that does
/// not depend on the target. Kernels are those of `groups.distinct`; they are not in the plan yet.
/// `library_steps` gets the steps of `library_calls`, which call kernels so far.
ExecutableParts write_plan(const std::vector<Value>& inputs, const std::vector<Value>& outputs,
                           const Groups& groups, const std::string& name,
                           const std::map<std::size_t, LibraryCall>& library_calls,
                           std::vector<LibraryStep>* library_steps);

/// Puts them in the place of steps that launch kernels.
void add_library_steps(Plan* plan, const std::vector<LibraryStep>& steps);

/// Adds kernel `number` with its sites, and its scratch memory to the steps that call it.
void add_kernel(Plan* plan, std::size_t number, const KernelCode& kernel);
/// The same for a GPU: the steps that call the kernel become its launches.
void add_device_kernel(Plan* plan, std::size_t number, const DeviceKernelCode& kernel);

}  // namespace tenon::graph
