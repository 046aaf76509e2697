#include "tenon/driver/device_kernel.h"

#include <algorithm>
#include <iomanip>
#include <sstream>

#include "driver/kernel_code.h"
#include "driver/plan_arguments.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/print.h"

namespace tenon {
namespace {

std::string milliseconds(double seconds) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(1) << seconds * 1000 << " ms";
  return text.str();
}

DeviceParam param_of(PlanProgram* program, const CudaParam& p, const PlanStep& step,
                     const SymbolRegisters& symbols) {
  DeviceParam out;
  const auto index = static_cast<std::uint32_t>(p.index);
  switch (p.kind) {
    case CudaParam::Kind::kBuffer:
      out.kind = DeviceParam::Kind::kBuffer;
      out.index = index;
      break;
    case CudaParam::Kind::kScratch:
      out.kind = DeviceParam::Kind::kScratch;
      out.index = add_size(program, p.offset, symbols);
      break;
    case CudaParam::Kind::kSize:
      out.kind = DeviceParam::Kind::kSize;
      out.index = step.sizes.at(index);
      break;
    case CudaParam::Kind::kLoop:
      out.kind = DeviceParam::Kind::kLoop;
      out.index = index;
      break;
    case CudaParam::Kind::kError:
      out.kind = DeviceParam::Kind::kError;
      break;
  }
  return out;
}

/// "16 x 8": the shape of a block.
std::string block_text(const CudaKernel& kernel) {
  std::string text = std::to_string(kernel.block[0]);
  for (std::size_t d = 1; d < 3; ++d) {
    if (kernel.block[d] > 1 || (d == 1 && kernel.block[2] > 1)) {
      text += " x " + std::to_string(kernel.block[d]);
    }
  }
  return text;
}

std::string spill_text(const CudaKernel& kernel, const CudaKernelResources& r) {
  if (!r.spill_store_bytes || !r.spill_load_bytes) return "spills unknown";
  if (*r.spill_store_bytes == 0 && *r.spill_load_bytes == 0) return "no spills";
  std::string text = std::to_string(*r.spill_store_bytes) + " bytes spilled";
  return kernel.has_fma ? text + " (a smaller tile avoids that)" : text;
}

}  // namespace

const CudaKernelResources& DeviceKernelCode::resources(std::size_t index) const {
  const std::string& name = module.kernels.at(index).name;
  const CudaKernelResources* r = cubin.kernel(name);
  TENON_CHECK(r != nullptr, "kernel '", name, "' is not in its cubin");
  return *r;
}

std::int64_t DeviceKernelCode::spill_bytes() const {
  std::int64_t bytes = 0;
  for (std::size_t i = 0; i < module.kernels.size(); ++i) {
    if (module.kernels[i].has_fma) bytes += resources(i).spill_store_bytes.value_or(0);
  }
  return bytes;
}

DeviceKernelCode compile_device_kernel(const Function& f, const Target& target,
                                       const BuildOptions& options) {
  TENON_USER_CHECK(target.is_gpu(), TargetError, "E1290", "kernels of '", f->name,
                   "' for a GPU were asked for the target '", target.str(),
                   "'\n  hint: such as \"cuda -arch=sm_80\"");
  DeviceKernelCode code;
  code.source = f;
  code.target = target;
  const auto start = std::chrono::steady_clock::now();
  code.function = lower(f, options.lower);
  code.module = cuda_module(code.function, target);
  code.lower_seconds = seconds_since(start);
  code.info = kernel_checks(code.function);
  code.sites = sites_of(code.function, code.info);
  if (!code.module.kernels.empty()) {
    code.cubin = build_cubin(code.module.source, target.gpu.arch, {}, options.use_cache);
  }
  code.is_from_cache = code.cubin.is_from_cache;
  code.compile_seconds = code.cubin.seconds;
  return code;
}

std::vector<DeviceKernelCode> compile_device_kernels(std::span<const Function> functions,
                                                     const Target& target,
                                                     const BuildOptions& options) {
  std::vector<DeviceKernelCode> kernels(functions.size());
  compile_all(functions.size(), target, options, [&](std::size_t i) {
    kernels[i] = compile_device_kernel(functions[i], target, options);
  });
  return kernels;
}

std::uint32_t add_kernels(Plan* plan, const DeviceKernelCode& code) {
  DeviceProgram& program = plan->device_program;
  plan->device = PlanDeviceKind::kCuda;
  const auto first = static_cast<std::uint32_t>(program.kernels.size());
  if (code.module.kernels.empty()) return first;
  const auto cubin = static_cast<std::uint32_t>(program.cubins.size());
  program.cubins.push_back({code.cubin.arch, code.cubin.bytes});
  for (const CudaKernel& kernel : code.module.kernels)
    program.kernels.push_back({kernel.name, cubin});
  return first;
}

void add_launches(Plan* plan, PlanStep* step, const DeviceKernelCode& code,
                  std::uint32_t first_kernel, const SymbolRegisters& symbols) {
  step->op = PlanStepOp::kLaunch;
  step->worker_bytes = kPlanNone;
  step->shared_bytes = is_int(code.module.scratch_bytes, 0)
                           ? kPlanNone
                           : add_size(&plan->program, code.module.scratch_bytes, symbols);
  for (const CudaKernel& kernel : code.module.kernels) {
    DeviceLaunch launch;
    launch.kernel = first_kernel++;
    for (std::size_t d = 0; d < 3; ++d) {
      launch.grid[d] = add_size(&plan->program, kernel.grid[d], symbols);
      launch.block[d] = static_cast<std::uint32_t>(kernel.block[d]);
    }
    launch.static_shared_bytes = static_cast<std::uint32_t>(kernel.static_shared_bytes);
    launch.dynamic_shared_bytes = static_cast<std::uint32_t>(kernel.dynamic_shared_bytes);
    for (const CudaParam& p : kernel.params) {
      launch.params.push_back(param_of(&plan->program, p, *step, symbols));
    }
    for (const CudaRepeat& repeat : kernel.repeats) {
      launch.repeats.push_back(
          {static_cast<std::uint32_t>(repeat.id), add_size(&plan->program, repeat.count, symbols)});
    }
    launch.grid_loops = kernel.grid_loops;
    launch.block_loops = kernel.block_loops;
    step->launches.push_back(std::move(launch));
  }
}

Plan plan_of(const DeviceKernelCode& code) {
  Plan plan;
  PlanStep step;
  const SymbolRegisters symbols = add_arguments(&plan, &step, code.source, code.function);
  // Wide accesses rely on it.
  for (PlanArgument& argument : plan.inputs) argument.alignment = kDeviceArgumentAlignment;
  for (PlanArgument& argument : plan.results) argument.alignment = kDeviceArgumentAlignment;
  add_launches(&plan, &step, code, add_kernels(&plan, code), symbols);
  plan.kernels.push_back({code.source->name, code.sites});
  plan.steps.push_back(std::move(step));
  return plan;
}

Executable make_executable(const DeviceKernelCode& code) {
  ExecutableParts parts;
  parts.plan = plan_of(code);
  return Executable(std::move(parts));
}

std::string report(const DeviceKernelCode& code, const std::string& schedule) {
  std::ostringstream text;
  text << code.source->name << " for " << code.target.str();
  if (!schedule.empty()) text << "\n  schedule: " << schedule;
  text << "\n  lowered in " << milliseconds(code.lower_seconds)
       << (code.is_from_cache ? std::string(", code from the cache")
                              : ", compiled in " + milliseconds(code.compile_seconds))
       << ", " << code.cubin.bytes.size() << " bytes of code\n";
  for (std::size_t i = 0; i < code.module.kernels.size(); ++i) {
    const CudaKernel& kernel = code.module.kernels[i];
    const CudaKernelResources& r = code.resources(i);
    text << "  " << kernel.name << ": blocks " << print(kernel.grid[0]) << ", "
         << print(kernel.grid[1]) << ", " << print(kernel.grid[2]) << " of " << block_text(kernel)
         << " threads, " << r.registers << " registers, "
         << kernel.static_shared_bytes + kernel.dynamic_shared_bytes << " bytes of shared memory, "
         << spill_text(kernel, r) << "\n";
  }
  text << "  scratch memory: " << print(code.module.scratch_bytes) << " bytes a call\n";
  return text.str();
}

}  // namespace tenon
