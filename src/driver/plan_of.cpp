// The plan of a single kernel.

#include "driver/plan_arguments.h"
#include "tenon/driver/build.h"
#include "tenon/driver/plan_sizes.h"
#include "tenon/ir/builder.h"

namespace tenon {
namespace {

PlanRegister bytes_or_none(PlanProgram* program, const Expr& e, const SymbolRegisters& symbols) {
  return is_int(e, 0) ? kPlanNone : add_size(program, e, symbols);
}

}  // namespace

Plan plan_of(const KernelCode& kernel) {
  Plan plan;
  PlanStep step;
  const SymbolRegisters symbols = add_arguments(&plan, &step, kernel.source, kernel.function);
  const WorkspaceInfo& workspace = kernel.info.workspace;
  step.shared_bytes = bytes_or_none(&plan.program, workspace.shared_bytes, symbols);
  step.worker_bytes = bytes_or_none(&plan.program, workspace.worker_bytes, symbols);
  plan.kernels.push_back({kernel.source->name, kernel.sites});
  plan.steps.push_back(std::move(step));
  return plan;
}

Executable make_executable(const CompiledKernel& kernel) {
  ExecutableParts parts;
  parts.plan = plan_of(kernel);
  parts.kernels = {kernel.entry};
  parts.code = kernel.code;
  return Executable(std::move(parts));
}

Executable build(const Function& f, const Target& target, const BuildOptions& options) {
  return make_executable(compile_kernel(f, target, options));
}

}  // namespace tenon
