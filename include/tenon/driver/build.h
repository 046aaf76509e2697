#pragma once

/// From functions to code that runs: lower, look up or compile, load, wrap.

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tenon/codegen/jit.h"
#include "tenon/codegen/kernel_info.h"
#include "tenon/codegen/llvm.h"
#include "tenon/ir/function.h"
#include "tenon/ir/lower.h"
#include "tenon/ir/variants.h"
#include "tenon/runtime/executable.h"
#include "tenon/runtime/kernel_abi.h"
#include "tenon/runtime/plan.h"
#include "tenon/runtime/target.h"

namespace tenon {

struct BuildOptions {
  LowerOptions lower = {};
  CodegenOptions codegen = {};
  bool use_cache = true;  ///< look the object up on disk, and store it there
  int num_threads = 0;    ///< that compile at once; 0: as many as the target has cores
  /// Called on the calling thread before each kernel that it compiles; what it throws stops the
  /// build (Ctrl-C).
  std::function<void()> poll = nullptr;
};

/// What is known of one function's machine code.
struct KernelCode {
  Function source;    ///< as given; its parameters have the shapes that callers see
  Function function;  ///< the loop IR that was compiled (parameters are flat)
  Target target;
  KernelInfo info;
  std::vector<PlanSite> sites;  ///< checked accesses and asserts, by tenon_index_error.site
  bool is_from_cache = false;
  double lower_seconds = 0;
  double compile_seconds = 0;  ///< by LLVM; 0 for one from the cache
};

/// One function as machine code in this process. Copies share the code.
struct CompiledKernel : KernelCode {
  tenon_kernel_fn entry = nullptr;
  std::shared_ptr<const LoadedCode> code;  ///< keeps `entry` alive
};

/// One function as a relocatable object, for this machine or another.
struct KernelObject : KernelCode {
  std::vector<std::uint8_t> object;
};

/// Lowers `f` (block or loop level; schedules are applied before) and compiles it for `target`.
/// TargetError [E0915] when this machine cannot run code for the target.
CompiledKernel compile_kernel(const Function& f, const Target& target,
                              const BuildOptions& options = {});
/// One kernel of several schedules of `f`, which `lower_variants` joins; none: as above.
CompiledKernel compile_kernel(const Function& f, const std::vector<Variant>& variants,
                              const Target& target, const BuildOptions& options = {});
/// The same for many, on several threads; results in the order of the functions. The first error is
/// raised when all threads have stopped.
std::vector<CompiledKernel> compile_kernels(std::span<const Function> functions,
                                            const Target& target, const BuildOptions& options = {});

/// The objects of many functions, on several threads. Runs on any machine: nothing is loaded.
std::vector<KernelObject> compile_objects(std::span<const Function> functions, const Target& target,
                                          const BuildOptions& options = {});

/// A plan of one kernel: sizes from the inputs' shapes, one step.
Plan plan_of(const KernelCode& kernel);
/// What a caller calls. The executable keeps the code alive.
Executable make_executable(const CompiledKernel& kernel);
/// compile_kernel, then make_executable.
Executable build(const Function& f, const Target& target, const BuildOptions& options = {});

}  // namespace tenon
