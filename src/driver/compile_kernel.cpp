#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <thread>

#include "driver/canonical_bytes.h"
#include "tenon/driver/build.h"
#include "tenon/driver/object_cache.h"
#include "tenon/ir/thread.h"

namespace tenon {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Everything that the object depends on.
std::string cache_key(const Function& f, const Target& target) {
  return codegen_version() + "\n" + target.str() + "\n" + canonical_bytes(f);
}

/// The description that te gives an access: "buffer\naxis\nfile:line\nread" (or write).
PlanSite access_site(const std::string& text) {
  PlanSite site;
  const std::size_t first = text.find('\n');
  const std::size_t second = first == std::string::npos ? first : text.find('\n', first + 1);
  const std::size_t third = second == std::string::npos ? second : text.find('\n', second + 1);
  site.buffer = text.substr(0, first);
  if (second == std::string::npos) return site;
  site.axis = static_cast<std::uint32_t>(std::stoul(text.substr(first + 1, second - first - 1)));
  site.source = text.substr(second + 1, third - second - 1);
  if (third != std::string::npos && text.substr(third + 1) == "write")
    site.kind = PlanSiteKind::kWrite;
  return site;
}

std::vector<PlanSite> sites_of(const Function& f, const KernelInfo& info) {
  std::vector<PlanSite> sites(static_cast<std::size_t>(info.num_index_sites));
  for (std::size_t i = 0; i < sites.size(); ++i) {
    const auto it = f->attrs.find("index_site_" + std::to_string(i));
    const auto* text = it == f->attrs.end() ? nullptr : std::get_if<std::string>(&it->second);
    if (text != nullptr) sites[i] = access_site(*text);
  }
  for (const AssertSite& a : info.asserts) {
    sites.push_back({PlanSiteKind::kAssert, a.message, 0, a.span.str()});
  }
  return sites;
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

/// Lowers `f` and compiles it, or takes the object from the cache.
std::vector<std::uint8_t> make_object(const Function& f, const Target& target,
                                      const BuildOptions& options, KernelCode* kernel) {
  kernel->source = f;
  kernel->target = target;
  const auto start = std::chrono::steady_clock::now();
  TENON_USER_CHECK(!has_thread_loops(f), ScheduleError, "E0683", "'", f->name,
                   "' has loops bound to the threads of a GPU, cannot be compiled for '",
                   target.str(), "'\n  hint: compile it for \"cuda\", or run it with interpret");
  kernel->function = lower(f, options.lower);
  kernel->lower_seconds = seconds_since(start);
  kernel->info = kernel_info(kernel->function);
  kernel->sites = sites_of(kernel->function, kernel->info);
  return object_of(kernel, options);
}

/// Calls `compile(i)` for all i below `count`, on several threads.
void compile_all(std::size_t count, const Target& target, const BuildOptions& options,
                 const std::function<void(std::size_t)>& compile) {
  std::atomic<std::size_t> next{0};
  std::mutex error_mutex;
  std::exception_ptr error;
  const auto caller = std::this_thread::get_id();
  const auto work = [&] {
    for (std::size_t i = next++; i < count; i = next++) {
      try {
        if (options.poll && std::this_thread::get_id() == caller) options.poll();
        compile(i);
      } catch (...) {
        const std::lock_guard lock(error_mutex);
        if (!error) error = std::current_exception();
        next = count;
      }
    }
  };
  const int wanted = options.num_threads > 0 ? options.num_threads : target.num_cores;
  const int num_threads = std::clamp(wanted, 1, static_cast<int>(std::max<std::size_t>(count, 1)));
  std::vector<std::thread> threads;
  for (int t = 1; t < num_threads; ++t) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  if (error) std::rethrow_exception(error);
}

}  // namespace

CompiledKernel compile_kernel(const Function& f, const Target& target,
                              const BuildOptions& options) {
  target.require_cpu("kernels are compiled");
  TENON_USER_CHECK(target.runs_on_host(), TargetError, "E0915", "code for '", target.str(),
                   "' cannot run on this machine, which is '", Target::host().str(), "'");
  CompiledKernel kernel;
  kernel.code = load_object(make_object(f, target, options, &kernel));
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
    kernels[i].object = make_object(functions[i], target, options, &kernels[i]);
  });
  return kernels;
}

}  // namespace tenon
