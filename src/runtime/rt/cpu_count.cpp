#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <atomic>

#include "runtime/rt/thread_pool.h"

namespace tenon::rt {
namespace {

std::int32_t affinity_count() {
  constexpr std::size_t kCpus = 8192;
  alignas(cpu_set_t) unsigned char bytes[kCpus / 8];
  cpu_set_t* set = reinterpret_cast<cpu_set_t*>(bytes);
  if (sched_getaffinity(0, sizeof(bytes), set) != 0) return 1;
  const int count = CPU_COUNT_S(sizeof(bytes), set);
  return count > 0 ? count : 1;
}

/// First line of a small file; false when unreadable.
bool read_line(const char* path, char* line, int size) {
  FILE* file = fopen(path, "re");
  if (file == nullptr) return false;
  const bool ok = fgets(line, size, file) != nullptr;
  fclose(file);
  return ok;
}

/// ceil(quota / period), or `limit` when there is no quota.
std::int32_t apply_quota(std::int32_t limit, long long quota, long long period) {
  if (quota <= 0 || period <= 0) return limit;
  const long long cpus = (quota + period - 1) / period;
  return cpus < limit ? static_cast<std::int32_t>(cpus < 1 ? 1 : cpus) : limit;
}

/// The limit of one cgroup v2 folder ("max 100000" or "200000 100000").
std::int32_t limit_v2(const char* folder, std::int32_t limit) {
  char path[640];
  char line[128];
  if (snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cpu.max", folder) >=
      static_cast<int>(sizeof(path)))
    return limit;
  long long quota = 0;
  long long period = 0;
  if (!read_line(path, line, sizeof(line)) || sscanf(line, "%lld %lld", &quota, &period) != 2)
    return limit;
  return apply_quota(limit, quota, period);
}

/// The strictest limit of this process' cgroup and its parents.
std::int32_t cgroup_count(std::int32_t limit) {
  limit = limit_v2("", limit);
  FILE* file = fopen("/proc/self/cgroup", "re");
  char line[512];
  while (file != nullptr && fgets(line, sizeof(line), file) != nullptr) {
    if (strncmp(line, "0::/", 4) != 0) continue;
    line[strcspn(line, "\n")] = '\0';
    char* folder = line + 3;
    for (char* slash = strrchr(folder, '/'); slash != nullptr && folder[1] != '\0';
         slash = strrchr(folder, '/')) {
      limit = limit_v2(folder, limit);
      *slash = '\0';
      if (folder[0] == '\0') break;
    }
  }
  if (file != nullptr) fclose(file);
  char quota[64];
  char period[64];
  if (read_line("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", quota, sizeof(quota)) &&
      read_line("/sys/fs/cgroup/cpu/cpu.cfs_period_us", period, sizeof(period))) {
    limit = apply_quota(limit, atoll(quota), atoll(period));
  }
  return limit;
}

std::int32_t count_threads() {
  const char* wanted = getenv("TENON_NUM_THREADS");
  if (wanted != nullptr) {
    char* end = nullptr;
    const long value = strtol(wanted, &end, 10);
    if (end != wanted && *end == '\0' && value >= 1 && value <= kMaxThreads)
      return static_cast<std::int32_t>(value);
  }
  const std::int32_t count = cgroup_count(affinity_count());
  return count < kMaxThreads ? count : kMaxThreads;
}

}  // namespace

std::int32_t default_num_threads() {
  static std::atomic<std::int32_t> count{0};  // two threads may count at once and find the same
  std::int32_t value = count.load(std::memory_order_relaxed);
  if (value == 0) {
    value = count_threads();
    count.store(value, std::memory_order_relaxed);
  }
  return value;
}

}  // namespace tenon::rt
