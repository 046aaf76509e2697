#include "driver/kernel_code.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

namespace tenon {
namespace {

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

}  // namespace

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
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

}  // namespace tenon
