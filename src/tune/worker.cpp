#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "tenon/runtime/executable.h"
#include "tenon/tune/executor.h"
#include "tenon/tune/timing_job.h"
#include "tune/job_frames.h"

namespace tenon::tune {
namespace {

/// Address space that this process has, in bytes.
std::uint64_t address_space() {
  unsigned long pages = 0;
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr) return 0;
  const int found = std::fscanf(file, "%lu", &pages);
  std::fclose(file);
  return found == 1 ? std::uint64_t{pages} * 4096 : 0;
}

void set_up(const nlohmann::json& options) {
  const auto memory = options.at("memory_bytes").get<std::uint64_t>();
  if (memory > 0) {
    const std::uint64_t most = address_space() + memory;
    const rlimit limit = {most, most};
    ::setrlimit(RLIMIT_AS, &limit);
  }
  cpu_set_t cores;
  CPU_ZERO(&cores);
  for (const int core : options.at("cores").get<std::vector<int>>()) CPU_SET(core, &cores);
  if (CPU_COUNT(&cores) > 0) ::sched_setaffinity(0, sizeof(cores), &cores);
  set_num_threads(options.at("num_threads").get<int>());
}

}  // namespace

int run_worker(int socket) {
  ::signal(SIGINT, SIG_IGN);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  try {
    const std::optional<std::string> options = receive_frame(socket);
    if (!options) return 1;
    set_up(nlohmann::json::parse(*options));
    while (const std::optional<std::string> job = receive_frame(socket)) {
      if (!send_frame(socket, run_timing_job(*job))) return 1;
    }
  } catch (const std::exception& e) {
    std::fprintf(stderr, "tuning worker: %s\n", e.what());
    return 1;
  }
  return 0;
}

}  // namespace tenon::tune
