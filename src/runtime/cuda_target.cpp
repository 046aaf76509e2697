#include "runtime/cuda_target.h"

#include <array>

#include "tenon/runtime/c_api.h"
#include "tenon/support/error.h"

namespace tenon {
namespace {

/// One row of the CUDA programming guide's table of compute capabilities.
struct Architecture {
  std::string_view name;
  int capability;
  int num_sms;
  int shared_kib_per_sm;
  int shared_kib_per_block;
  int threads_per_sm;
};

constexpr std::array kArchitectures = {
    Architecture{"sm_80", 80, 108, 164, 163, 2048},     // A100
    Architecture{"sm_86", 86, 84, 100, 99, 1536},       // A40
    Architecture{"sm_89", 89, 142, 100, 99, 1536},      // L40
    Architecture{"sm_90", 90, 132, 228, 227, 2048},     // H100, H200
    Architecture{"sm_90a", 90, 132, 228, 227, 2048},    //
    Architecture{"sm_100", 100, 148, 228, 227, 2048},   // B200
    Architecture{"sm_100a", 100, 148, 228, 227, 2048},  //
    Architecture{"sm_120", 120, 188, 100, 99, 1536},    // RTX PRO 6000
    Architecture{"sm_120a", 120, 188, 100, 99, 1536},   //
};

constexpr std::string_view kDefault = "sm_90a";

const Architecture* find_architecture(std::string_view name) {
  for (const Architecture& a : kArchitectures) {
    if (a.name == name) return &a;
  }
  return nullptr;
}

std::string known_architectures() {
  std::string out;
  for (const Architecture& a : kArchitectures)
    out += (out.empty() ? "" : ", ") + std::string(a.name);
  return out;
}

Target target_of(const Architecture& a) {
  Target target;
  target.kind = TargetKind::kCuda;
  target.vector_bytes = 16;
  target.num_vector_registers = 0;
  target.l1_bytes = target.l2_bytes = target.l3_bytes = 0;
  target.num_cores = tenon_default_num_threads();
  GpuFeatures& gpu = target.gpu;
  gpu.arch = a.name;
  gpu.capability = a.capability;
  gpu.num_sms = a.num_sms;
  gpu.shared_bytes_per_sm = std::int64_t{a.shared_kib_per_sm} << 10;
  gpu.shared_bytes_per_block = std::int64_t{a.shared_kib_per_block} << 10;
  gpu.static_shared_bytes_per_block = 48 << 10;
  gpu.threads_per_block = 1024;
  gpu.threads_per_sm = a.threads_per_sm;
  gpu.registers_per_sm = 65536;
  gpu.registers_per_thread = 255;
  gpu.warp_size = 32;
  return target;
}

}  // namespace

Target parse_cuda_target(std::string_view text, std::string_view options) {
  std::string_view name = kDefault;
  while (true) {
    const std::size_t begin = options.find_first_not_of(" \t");
    if (begin == std::string_view::npos) break;
    const std::size_t end = std::min(options.find_first_of(" \t", begin), options.size());
    const std::string_view word = options.substr(begin, end - begin);
    options.remove_prefix(end);
    TENON_USER_CHECK(word.starts_with("-arch="), TargetError, "E0901", "unknown option '", word,
                     "' in target '", text, "'\n  hint: the option of \"cuda\" is -arch=NAME");
    name = word.substr(6);
  }
  const Architecture* a = find_architecture(name);
  TENON_USER_CHECK(a != nullptr, TargetError, "E1280", "unknown architecture '", name,
                   "' in target '", text, "'\n  hint: one of ", known_architectures());
  return target_of(*a);
}

}  // namespace tenon
