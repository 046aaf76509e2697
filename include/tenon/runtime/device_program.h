#pragma once

/// What a plan for a GPU has beside that of a CPU: code, and how each step launches it. The
/// compiler's floors fill it in; docs/design/device_runtime.md explains it.

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "tenon/runtime/plan_format.h"

namespace tenon {

/// Index of a value of the plan's integer program.
using PlanRegister = std::uint32_t;

using PlanDeviceKind = plan_format::DeviceKind;

/// One parameter of a kernel. Every parameter takes 8 bytes: pointers and int64 values.
struct DeviceParam {
  using Kind = plan_format::ParamKind;
  Kind kind = Kind::kBuffer;
  /// kBuffer: position in the step's buffers. kScratch: register, the offset in bytes into the
  /// step's scratch memory (`PlanStep::shared_bytes` of it), a multiple of 64. kSize: register.
  /// kLoop: which of the launch's repeats, 0 for the outermost. kError: 0.
  std::uint32_t index = 0;
};

/// A host loop around launches: the steps of a scan. Consecutive launches of a step that begin with
/// the same ids are repeated together, the outermost loop first.
struct DeviceRepeat {
  std::uint32_t id = 0;    ///< equal in the launches of one loop; unique within a step
  PlanRegister count = 0;  ///< iterations; none when it is not above 0
};

/// One kernel launch, or as many as the loops around it have iterations.
struct DeviceLaunch {
  std::uint32_t kernel = 0;               ///< index into DeviceProgram::kernels
  std::array<PlanRegister, 3> grid = {};  ///< x, y, z; 0 in any of them: nothing is launched
  std::array<std::uint32_t, 3> block = {1, 1, 1};
  std::uint32_t static_shared_bytes = 0;  ///< what the kernel declares itself
  std::uint32_t dynamic_shared_bytes = 0;
  std::vector<DeviceParam> params = {};
  std::vector<DeviceRepeat> repeats = {};
  /// Names of the loops bound to each axis, "i_outer" or "i, j", for messages; empty: none.
  std::array<std::string, 3> grid_loops = {};
  std::array<std::string, 3> block_loops = {};
};

/// A function of a cubin.
struct DeviceKernel {
  std::string name;  ///< the symbol
  std::uint32_t cubin = 0;
};

/// Code for one architecture.
struct DeviceCubin {
  std::string arch;  ///< "sm_80" (runs on 8.x from 8.0 on), "sm_90a" (on 9.0 alone)
  std::vector<std::uint8_t> image = {};
};

struct DeviceProgram {
  std::vector<DeviceKernel> kernels = {};
  std::vector<DeviceCubin> cubins = {};
};

/// What a kernel writes when a data-dependent index is out of range: the first thread that sets
/// `claimed` from 0 to 1 by compare-and-swap fills in the rest. It lies in device memory and is 0
/// when a call begins. `site` counts the sites of the step's PlanKernel.
using DeviceErrorRecord = plan_format::ErrorRecord;

}  // namespace tenon
