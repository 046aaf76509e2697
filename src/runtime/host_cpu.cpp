#include "runtime/host_cpu.h"

#include <cpuid.h>

#include <cctype>
#include <fstream>

#include "runtime/rt/cpu_features.h"

namespace tenon {
namespace {

struct Registers {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(unsigned leaf, unsigned subleaf = 0) {
  Registers r;
  if (__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx) == 0) return {};
  return r;
}

bool has(const char* feature) { return (rt::cpu_features() & rt::cpu_feature_bit(feature)) != 0; }

struct Detected {
  CpuFeatures features;
  bool level3 = false;    ///< the rest of x86-64-v3: bmi, bmi2, f16c, lzcnt, movbe
  bool extended = false;  ///< ifma, vbmi, vbmi2, bitalg, vpopcntdq: in every AVX-512 name from
                          ///< icelake and znver4 on
};

Detected detect_features() {
  Detected d;
  CpuFeatures& f = d.features;
  f.has_avx2 = has("avx2");
  f.has_fma = has("fma");
  f.has_avx512f = has("avx512f");
  f.has_avx512dq = has("avx512dq");
  f.has_avx512bw = has("avx512bw");
  f.has_avx512vl = has("avx512vl");
  f.has_avx512_vnni = f.has_avx512() && has("avx512vnni");
  f.has_avx512_bf16 = f.has_avx512() && has("avx512bf16");
  d.level3 = has("bmi") && has("bmi2") && has("f16c") && has("movbe") && has("lzcnt");
  d.extended = has("avx512ifma") && has("avx512vbmi") && has("avx512vbmi2") &&
               has("avx512bitalg") && has("avx512vpopcntdq");
  return d;
}

std::string amd_name(int family, int model) {
  if (family == 0x17) return model < 0x30 ? "znver1" : "znver2";
  if (family == 0x19) {
    const bool zen4 = (model >= 0x10 && model <= 0x1f) || (model >= 0x60 && model <= 0x7f) ||
                      (model >= 0xa0 && model <= 0xaf);
    return zen4 ? "znver4" : "znver3";
  }
  return family >= 0x1a ? "znver5" : "";
}

std::string intel_name(int model, const CpuFeatures& features) {
  switch (model) {
    case 0x3c:
    case 0x3f:
    case 0x45:
    case 0x46:
      return "haswell";
    case 0x3d:
    case 0x47:
    case 0x4f:
    case 0x56:
      return "broadwell";
    case 0x4e:
    case 0x5e:
    case 0x8e:
    case 0x9e:
    case 0xa5:
    case 0xa6:
      return "skylake";
    case 0x55:
      return features.has_avx512_vnni ? "cascadelake" : "skylake-avx512";
    case 0x6a:
    case 0x6c:
      return "icelake-server";
    case 0x8f:
    case 0xcf:
      return "sapphirerapids";
    default:
      return "";
  }
}

std::string cpu_name(const Detected& detected) {
  const Registers leaf0 = cpuid(0);
  const Registers leaf1 = cpuid(1);
  int family = static_cast<int>((leaf1.eax >> 8) & 0xf);
  int model = static_cast<int>((leaf1.eax >> 4) & 0xf);
  if (family == 0xf) family += static_cast<int>((leaf1.eax >> 20) & 0xff);
  if (family >= 6) model += static_cast<int>((leaf1.eax >> 16) & 0xf) << 4;
  const bool amd = leaf0.ebx == 0x68747541;    // "Auth"
  const bool intel = leaf0.ebx == 0x756e6547;  // "Genu"
  std::string name;
  if (amd) name = amd_name(family, model);
  if (intel && family == 6) name = intel_name(model, detected.features);
  // A hypervisor may hide parts of what the name implies; then only a level is true.
  const bool avx512_name =
      name == "znver4" || name == "znver5" || name == "icelake-server" || name == "sapphirerapids";
  const bool needs_avx512 = avx512_name || name == "skylake-avx512" || name == "cascadelake";
  if (needs_avx512 && !detected.features.has_avx512()) name.clear();
  if (avx512_name && !detected.extended) name.clear();
  if (!detected.level3) name.clear();
  if (name.empty())
    name = detected.features.has_avx512() && detected.level3 ? "x86-64-v4" : "x86-64-v3";
  return name;
}

/// "512K" or "32M" in bytes; 0 when unreadable.
std::int64_t parse_cache_size(const std::string& text) {
  std::int64_t value = 0;
  std::size_t i = 0;
  for (; i < text.size() && std::isdigit(static_cast<unsigned char>(text[i])) != 0 &&
         value < (1 << 30);
       ++i) {
    value = value * 10 + (text[i] - '0');
  }
  if (i < text.size() && text[i] == 'K') value <<= 10;
  if (i < text.size() && text[i] == 'M') value <<= 20;
  return value;
}

std::string read_word(const std::string& path) {
  std::ifstream in(path);
  std::string word;
  in >> word;
  return word;
}

void read_caches(HostCpu& host) {
  for (int index = 0; index < 8; ++index) {
    const std::string folder =
        "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index) + "/";
    const std::string level = read_word(folder + "level");
    const std::int64_t bytes = parse_cache_size(read_word(folder + "size"));
    if (level.empty() || bytes <= 0 || read_word(folder + "type") == "Instruction") continue;
    if (level == "1") host.l1_bytes = bytes;
    if (level == "2") host.l2_bytes = bytes;
    if (level == "3") host.l3_bytes = bytes;
  }
}

}  // namespace

HostCpu detect_host_cpu() {
  const Detected detected = detect_features();
  HostCpu host{cpu_name(detected), detected.features, 32 << 10, 1 << 20, 16 << 20};
  if (!detected.level3) host.features = {};
  read_caches(host);
  return host;
}

}  // namespace tenon
