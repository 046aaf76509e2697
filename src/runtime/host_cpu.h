#pragma once

/// What CPUID and sysfs say about the machine that runs this process.

#include <cstdint>
#include <string>

#include "tenon/runtime/target.h"

namespace tenon {

struct HostCpu {
  std::string name;  ///< LLVM's name; a level ("x86-64-v3") where the CPU is unknown or lacks what
                     ///< its name implies
  CpuFeatures features;
  std::int64_t l1_bytes;
  std::int64_t l2_bytes;
  std::int64_t l3_bytes;
};

/// Reads CPUID (only what the operating system also saves) and the cache sizes, with fallbacks of
/// 32 KiB, 1 MiB and 16 MiB.
HostCpu detect_host_cpu();

}  // namespace tenon
