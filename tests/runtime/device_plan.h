#pragma once

/// Plans for a device made by hand, with code that the fake driver (tests/fake_cuda) understands.

#include <string>

#include "tenon/runtime/plan.h"

namespace tenon {

/// An image for the fake driver: "FAKECUBIN sm_90a name:params[:threads[:shared]] ...", where
/// threads is the most that a block of the kernel may have and shared its own shared memory.
inline DeviceCubin fake_cubin(const std::string& kernels, const std::string& arch = "sm_90a") {
  const std::string text = "FAKECUBIN " + arch + " " + kernels;
  DeviceCubin cubin;
  cubin.arch = arch;
  cubin.image.assign(text.begin(), text.end());
  cubin.image.push_back(0);
  return cubin;
}

/// `vector_add` on a device: Z[n] = X[n] + Y[n] for 1 <= n, blocks of 128 threads. The kernel gets
/// the three arrays and n.
inline Plan device_vector_add_plan() {
  using Kind = DeviceParam::Kind;
  Plan plan;
  plan.name = "vector_add";
  plan.device = PlanDeviceKind::kCuda;
  PlanProgram& p = plan.program;
  const PlanRegister n = p.dim(0, 0);
  const PlanRegister one = p.constant(1);
  const PlanRegister blocks = p.floordiv(p.add(n, p.constant(127)), p.constant(128));
  plan.inputs = {{.name = "X", .dtype = kFloat32, .dims = {n}},
                 {.name = "Y", .dtype = kFloat32, .dims = {n}}};
  plan.results = {{.name = "Z", .dtype = kFloat32, .dims = {n}}};
  plan.symbols = {{.name = "n", .reg = n, .input = 0, .axis = 0, .min = 1}};
  plan.kernels = {{.name = "vector_add"}};
  for (std::uint32_t i = 0; i < 3; ++i) plan.add_argument_buffer(i);
  plan.device_program.cubins = {fake_cubin("vector_add:4")};
  plan.device_program.kernels = {{.name = "vector_add", .cubin = 0}};
  DeviceLaunch launch;
  launch.grid = {blocks, one, one};
  launch.block = {128, 1, 1};
  launch.params = {{Kind::kBuffer, 0}, {Kind::kBuffer, 1}, {Kind::kBuffer, 2}, {Kind::kSize, n}};
  launch.grid_loops[0] = "i_outer";
  launch.block_loops[0] = "i_inner";
  plan.steps = {
      {.op = PlanStepOp::kLaunch, .kernel = 0, .buffers = {0, 1, 2}, .launches = {launch}}};
  return plan;
}

}  // namespace tenon
