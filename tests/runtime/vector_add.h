#pragma once

/// A plan and kernels made by hand, shared by the tests of plans, executables and the C ABI.

#include "tenon/runtime/kernel_abi.h"
#include "tenon/runtime/plan.h"

namespace tenon {

/// `vector_add`: Z[n] = X[n] + Y[n] for 1 <= n, in float32, by one kernel with sizes [n].
inline Plan vector_add_plan() {
  Plan plan;
  plan.name = "vector_add";
  const PlanRegister n = plan.program.dim(0, 0);
  plan.inputs = {{.name = "X", .dtype = kFloat32, .dims = {n}},
                 {.name = "Y", .dtype = kFloat32, .dims = {n}}};
  plan.results = {{.name = "Z", .dtype = kFloat32, .dims = {n}}};
  plan.symbols = {{.name = "n", .reg = n, .input = 0, .axis = 0, .min = 1}};
  plan.kernels = {{.name = "vector_add"}};
  for (std::uint32_t i = 0; i < 3; ++i) plan.add_argument_buffer(i);
  plan.steps = {{.op = PlanStepOp::kKernel, .kernel = 0, .buffers = {0, 1, 2}, .sizes = {n}}};
  return plan;
}

/// The kernel of `vector_add`.
inline std::int32_t vector_add_kernel(tenon_kernel_context*, void* const* buffers,
                                      const std::int64_t* sizes) {
  const float* x = static_cast<const float*>(buffers[0]);
  const float* y = static_cast<const float*>(buffers[1]);
  float* z = static_cast<float*>(buffers[2]);
  for (std::int64_t i = 0; i < sizes[0]; ++i) z[i] = x[i] + y[i];
  return 0;
}

}  // namespace tenon
