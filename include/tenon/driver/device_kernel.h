#pragma once

/// From scheduled functions to kernels for a GPU: lower, write CUDA, look up or compile, wrap.
/// Needs NVRTC, and no GPU until something is called.

#include <span>
#include <string>
#include <vector>

#include "tenon/codegen/cuda_module.h"
#include "tenon/driver/build.h"
#include "tenon/driver/cuda.h"
#include "tenon/driver/plan_sizes.h"

namespace tenon {

/// Bytes that arguments of kernels on a GPU are aligned to.
inline constexpr std::uint32_t kDeviceArgumentAlignment = 16;

/// One function as kernels for a GPU. `info` has no workspace: `module` says what scratch memory
/// there is.
struct DeviceKernelCode : KernelCode {
  CudaModule module;
  Cubin cubin;  ///< of all kernels of the module; `is_from_cache` of the base says the same

  /// What kernel `index` of the module takes of a multiprocessor.
  const CudaKernelResources& resources(std::size_t index) const;
  /// Registers stored to memory in kernels whose speed is that of their multiply-adds: a defect of
  /// the schedule. 0 where ptxas does not say.
  std::int64_t spill_bytes() const;
};

/// Lowers `f` and compiles it for a GPU. What cuda_module and build_cubin raise; TargetError
/// [E1290] for a target that is no GPU.
DeviceKernelCode compile_device_kernel(const Function& f, const Target& target,
                                       const BuildOptions& options = {});
/// The same for many, on several threads; results in the order of the functions.
std::vector<DeviceKernelCode> compile_device_kernels(std::span<const Function> functions,
                                                     const Target& target,
                                                     const BuildOptions& options = {});

/// Adds the cubin and its kernels to the plan's device program, for any number of steps that launch
/// them; the plan is then one for a GPU. Returns the index of the first kernel.
std::uint32_t add_kernels(Plan* plan, const DeviceKernelCode& code);
/// Makes `step` one that launches the kernels, which are in the plan from `first_kernel` on: fills
/// in launches and scratch memory. The step's buffers are the function's parameters in order, its
/// sizes the symbols'; `symbols` has registers of the lowered function's.
void add_launches(Plan* plan, PlanStep* step, const DeviceKernelCode& code,
                  std::uint32_t first_kernel, const SymbolRegisters& symbols);
/// A plan of one function: sizes from the inputs' shapes, one step.
Plan plan_of(const DeviceKernelCode& code);
Executable make_executable(const DeviceKernelCode& code);

/// What was compiled, where its schedule comes from (if that is said), and what each kernel takes,
/// for people.
std::string report(const DeviceKernelCode& code, const std::string& schedule = "");

}  // namespace tenon
