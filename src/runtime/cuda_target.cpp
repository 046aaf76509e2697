#include "runtime/cuda_target.h"

#include <array>

#include "tenon/runtime/c_api.h"
#include "tenon/runtime/device.h"
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

/// Of the first GPU; "" where there is none or no driver.
std::string_view arch_of_device() {
  std::int32_t count = 0;
  tenon_device_info info = {};
  const bool is_there = tenon_device_count(&count) == TENON_OK && count > 0 &&
                        tenon_device_get_info(0, &info) == TENON_OK;
  return is_there ? arch_of_capability(info.capability_major * 10 + info.capability_minor) : "";
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

std::string_view arch_of_capability(int capability) {
  std::string_view best;
  for (const Architecture& a : kArchitectures) {
    const bool runs = a.capability / 10 == capability / 10 && a.capability <= capability;
    const bool is_special = a.name.back() == 'a';  // runs on this one alone
    if (runs && (!is_special || a.capability == capability)) best = a.name;
  }
  return best;
}

Target parse_cuda_target(std::string_view text, std::string_view options) {
  std::string_view name;
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
  if (name.empty()) name = arch_of_device();
  if (name.empty()) name = kDefault;
  const Architecture* a = find_architecture(name);
  TENON_USER_CHECK(a != nullptr, TargetError, "E1280", "unknown architecture '", name,
                   "' in target '", text, "'\n  hint: one of ", known_architectures());
  return target_of(*a);
}

}  // namespace tenon
