#include <iomanip>
#include <sstream>

#include "kernel.h"
#include "tenon/codegen/inspect.h"
#include "tenon/ir/print.h"

namespace tenon::python {
namespace {

std::string milliseconds(double seconds) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(1) << seconds * 1000 << " ms";
  return text.str();
}

std::string inner_loop(const KernelStats& stats) {
  if (!stats.has_loop) return "no loop";
  std::ostringstream text;
  text << stats.num_instructions << " instructions, " << stats.num_vector << " on vectors, "
       << stats.num_fma << " fused multiply-adds, " << stats.num_vector_spills << " vector spills";
  return text.str();
}

}  // namespace

std::string report(const Kernel& kernel) {
  const CompiledKernel& compiled = kernel.compiled;
  const KernelStats stats =
      inspect_assembly(assembly(std::span(&compiled.function, 1), compiled.target));
  std::ostringstream text;
  text << kernel.executable.name() << " for " << compiled.target.str()
       << "\n  schedule: " << kernel.schedule << "\n  lowered in "
       << milliseconds(compiled.lower_seconds)
       << (compiled.is_from_cache ? std::string(", code from the cache")
                                  : ", compiled in " + milliseconds(compiled.compile_seconds))
       << ", " << compiled.code->size_bytes()
       << " bytes of code\n  innermost loop: " << inner_loop(stats)
       << "\n  scratch memory: " << print(compiled.info.workspace.shared_bytes) << " bytes a call, "
       << print(compiled.info.workspace.worker_bytes) << " bytes a thread\n";
  return text.str();
}

}  // namespace tenon::python
