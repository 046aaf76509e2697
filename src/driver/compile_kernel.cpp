#include <chrono>

#include "driver/kernel_code.h"
#include "tenon/driver/build.h"
#include "tenon/driver/object_cache.h"
#include "tenon/ir/canonical_bytes.h"
#include "tenon/ir/thread.h"

namespace tenon {
namespace {

/// Everything that the object depends on.
std::string cache_key(const Function& f, const Target& target) {
  return codegen_version() + "\n" + target.str() + "\n" + canonical_bytes(f);
}

/// Compiles, or takes the object from the cache.
std::vector<std::uint8_t> object_of(KernelCode* kernel, const BuildOptions& options) {
  ObjectCache& cache = ObjectCache::shared();
  const bool use_cache = options.use_cache && cache.enabled();
  const std::string key = use_cache ? cache_key(kernel->function, kernel->target) : std::string();
  if (use_cache) {
    if (auto found = cache.find(key)) {
      kernel->is_from_cache = true;
      return std::move(*found);
    }
  }
  const auto start = std::chrono::steady_clock::now();
  ObjectCode object =
      compile_to_object(std::span(&kernel->function, 1), kernel->target, options.codegen);
  kernel->compile_seconds = seconds_since(start);
  if (use_cache) cache.store(key, object.bytes);
  return std::move(object.bytes);
}

/// Lowers `f`, as its variants say where there are some, and compiles it, or takes the object from
/// the cache.
std::vector<std::uint8_t> make_object(const Function& f, const std::vector<Variant>& variants,
                                      const Target& target, const BuildOptions& options,
                                      KernelCode* kernel) {
  kernel->source = f;
  kernel->target = target;
  const auto start = std::chrono::steady_clock::now();
  TENON_USER_CHECK(!has_thread_loops(f), ScheduleError, "E0683", "'", f->name,
                   "' has loops bound to the threads of a GPU, cannot be compiled for '",
                   target.str(), "'\n  hint: compile it for \"cuda\", or run it with interpret");
  kernel->function =
      variants.empty() ? lower(f, options.lower) : lower_variants(f, variants, options.lower);
  kernel->lower_seconds = seconds_since(start);
  kernel->info = kernel_info(kernel->function);
  kernel->sites = sites_of(kernel->function, kernel->info);
  return object_of(kernel, options);
}

}  // namespace

CompiledKernel compile_kernel(const Function& f, const Target& target,
                              const BuildOptions& options) {
  return compile_kernel(f, {}, target, options);
}

CompiledKernel compile_kernel(const Function& f, const std::vector<Variant>& variants,
                              const Target& target, const BuildOptions& options) {
  target.require_cpu("kernels are compiled");
  TENON_USER_CHECK(target.runs_on_host(), TargetError, "E0915", "code for '", target.str(),
                   "' cannot run on this machine, which is '", Target::host().str(), "'");
  CompiledKernel kernel;
  kernel.code = load_object(make_object(f, variants, target, options, &kernel));
  kernel.entry =
      reinterpret_cast<tenon_kernel_fn>(kernel.code->address(kernel_symbol(kernel.function)));
  return kernel;
}

std::vector<CompiledKernel> compile_kernels(std::span<const Function> functions,
                                            const Target& target, const BuildOptions& options) {
  std::vector<CompiledKernel> kernels(functions.size());
  compile_all(functions.size(), target, options,
              [&](std::size_t i) { kernels[i] = compile_kernel(functions[i], target, options); });
  return kernels;
}

std::vector<KernelObject> compile_objects(std::span<const Function> functions, const Target& target,
                                          const BuildOptions& options) {
  target.require_cpu("objects are made");
  std::vector<KernelObject> kernels(functions.size());
  compile_all(functions.size(), target, options, [&](std::size_t i) {
    kernels[i].object = make_object(functions[i], {}, target, options, &kernels[i]);
  });
  return kernels;
}

}  // namespace tenon
