#include "tenon/runtime/target.h"

#include <array>
#include <utility>

#include "runtime/cuda_target.h"
#include "runtime/host_cpu.h"
#include "tenon/runtime/c_api.h"
#include "tenon/support/error.h"

namespace tenon {
namespace {

constexpr CpuFeatures kLevel3 = {.has_avx2 = true, .has_fma = true};
constexpr CpuFeatures kLevel4 = {.has_avx2 = true,
                                 .has_fma = true,
                                 .has_avx512f = true,
                                 .has_avx512bw = true,
                                 .has_avx512vl = true,
                                 .has_avx512dq = true};

constexpr CpuFeatures level4_with(bool bf16, bool vnni) {
  CpuFeatures f = kLevel4;
  f.has_avx512_bf16 = bf16;
  f.has_avx512_vnni = vnni;
  return f;
}

struct KnownCpu {
  std::string_view name;
  CpuFeatures features;
};

constexpr std::array kCpus = {
    KnownCpu{"x86-64-v3", kLevel3},
    KnownCpu{"x86-64-v4", kLevel4},
    KnownCpu{"haswell", kLevel3},
    KnownCpu{"broadwell", kLevel3},
    KnownCpu{"skylake", kLevel3},
    KnownCpu{"skylake-avx512", kLevel4},
    KnownCpu{"cascadelake", level4_with(false, true)},
    KnownCpu{"icelake-server", level4_with(false, true)},
    KnownCpu{"sapphirerapids", level4_with(true, true)},
    KnownCpu{"znver1", kLevel3},
    KnownCpu{"znver2", kLevel3},
    KnownCpu{"znver3", kLevel3},
    KnownCpu{"znver4", level4_with(true, true)},
    KnownCpu{"znver5", level4_with(true, true)},
};

struct NamedFeature {
  std::string_view name;  ///< LLVM's
  bool CpuFeatures::* field;
};

constexpr std::array kFeatures = {
    NamedFeature{"avx2", &CpuFeatures::has_avx2},
    NamedFeature{"fma", &CpuFeatures::has_fma},
    NamedFeature{"avx512f", &CpuFeatures::has_avx512f},
    NamedFeature{"avx512bw", &CpuFeatures::has_avx512bw},
    NamedFeature{"avx512vl", &CpuFeatures::has_avx512vl},
    NamedFeature{"avx512dq", &CpuFeatures::has_avx512dq},
    NamedFeature{"avx512bf16", &CpuFeatures::has_avx512_bf16},
    NamedFeature{"avx512vnni", &CpuFeatures::has_avx512_vnni},
};

const KnownCpu* find_cpu(std::string_view name) {
  for (const KnownCpu& cpu : kCpus) {
    if (cpu.name == name) return &cpu;
  }
  return nullptr;
}

std::string known_cpus() {
  std::string out = "native";
  for (const KnownCpu& cpu : kCpus) out += ", " + std::string(cpu.name);
  return out;
}

/// Applies "+avx512bf16,-avx512vnni".
void apply_attributes(std::string_view text, std::string_view list, CpuFeatures& features) {
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(','), list.size());
    const std::string_view item = list.substr(0, end);
    list.remove_prefix(std::min(end + 1, list.size()));
    bool found = false;
    for (const NamedFeature& f : kFeatures) {
      if (item.size() < 2 || f.name != item.substr(1)) continue;
      features.*(f.field) = item[0] == '+';
      found = item[0] == '+' || item[0] == '-';
    }
    TENON_USER_CHECK(found, TargetError, "E0901", "unknown attribute '", item, "' in target '",
                     text,
                     "'\n  hint: -mattr=+NAME,-NAME with names among avx2, fma, avx512f, avx512bw, "
                     "avx512vl, avx512dq, "
                     "avx512bf16, avx512vnni");
  }
}

void set_vector_shape(Target& target) {
  const bool wide = target.features.has_avx512();
  target.vector_bytes = wide ? 64 : 32;
  target.num_vector_registers = wide ? 32 : 16;
}

Target detect_host() {
  const HostCpu cpu = detect_host_cpu();
  Target target;
  target.mcpu = cpu.name;
  target.features = cpu.features;
  target.l1_bytes = cpu.l1_bytes;
  target.l2_bytes = cpu.l2_bytes;
  target.l3_bytes = cpu.l3_bytes;
  target.num_cores = tenon_default_num_threads();
  set_vector_shape(target);
  return target;
}

/// Splits off the next word of `rest`.
std::string_view next_word(std::string_view& rest) {
  const std::size_t begin = std::min(rest.find_first_not_of(" \t"), rest.size());
  const std::size_t end = std::min(rest.find_first_of(" \t", begin), rest.size());
  const std::string_view word = rest.substr(begin, end - begin);
  rest.remove_prefix(end);
  return word;
}

void check_kind(std::string_view text, std::string_view kind) {
  TENON_USER_CHECK(kind == "cpu", TargetError, "E0901", "unknown target '", text,
                   "'\n  hint: a target is \"cpu\" with optional -mcpu=NAME, such as \"cpu "
                   "-mcpu=x86-64-v3\", or "
                   "\"cuda\" with optional -arch=NAME, such as \"cuda -arch=sm_80\"");
}

/// Sets name and features from the options after the kind.
void parse_options(std::string_view text, std::string_view rest, Target& target) {
  for (std::string_view word = next_word(rest); !word.empty(); word = next_word(rest)) {
    if (word.starts_with("-mcpu=")) {
      const std::string_view name = word.substr(6);
      if (name == "native") continue;
      const KnownCpu* cpu = find_cpu(name);
      TENON_USER_CHECK(cpu != nullptr, TargetError, "E0902", "unknown CPU '", name, "' in target '",
                       text, "'\n  hint: one of ", known_cpus());
      target.mcpu = cpu->name;
      target.features = cpu->features;
    } else if (word.starts_with("-mattr=")) {
      apply_attributes(text, word.substr(7), target.features);
    } else {
      detail::raise<TargetError>(
          "E0901", detail::concat("unknown option '", word, "' in target '", text,
                                  "'\n  hint: the options are -mcpu=NAME and -mattr=+NAME,-NAME"));
    }
  }
}

}  // namespace

const Target& Target::host() {
  static const Target target = detect_host();
  return target;
}

Target Target::parse(std::string_view text) {
  std::string_view rest = text;
  const std::string_view kind = next_word(rest);
  if (kind == "cuda") return parse_cuda_target(text, rest);
  check_kind(text, kind);
  Target target = host();
  parse_options(text, rest, target);
  TENON_USER_CHECK(target.features.has_avx2 && target.features.has_fma, TargetError, "E0904",
                   "target '", text,
                   "' has no AVX2 with FMA, the lowest level that is supported (x86-64-v3)\n  "
                   "hint: build for another machine "
                   "with -mcpu=x86-64-v3");
  set_vector_shape(target);
  return target;
}

std::string Target::str() const {
  if (is_gpu()) return "cuda -arch=" + gpu.arch;
  std::string out = "cpu -mcpu=" + mcpu;
  const KnownCpu* cpu = find_cpu(mcpu);
  const CpuFeatures base = cpu != nullptr ? cpu->features : CpuFeatures{};
  std::string changes;
  for (const NamedFeature& f : kFeatures) {
    if (features.*(f.field) == base.*(f.field)) continue;
    changes += (changes.empty() ? "" : ",") + std::string(features.*(f.field) ? "+" : "-") +
               std::string(f.name);
  }
  return changes.empty() ? out : out + " -mattr=" + changes;
}

std::string Target::attributes() const {
  std::string out;
  for (const NamedFeature& f : kFeatures) {
    out += (out.empty() ? "" : ",") + std::string(features.*(f.field) ? "+" : "-") +
           std::string(f.name);
  }
  return out;
}

RegisterTile Target::register_tile(DType dtype) const {
  if (is_gpu()) return {};
  const DType computed = dtype.is_float() && dtype.bits < 32 ? kFloat32 : dtype;
  const int vectors = vector_bytes == 64 ? 4 : 2;
  return {6, vectors * vector_lanes(computed)};
}

void Target::require_cpu(std::string_view what) const {
  TENON_USER_CHECK(!is_gpu(), TargetError, "E0903", what, " for CPUs only, not for '", str(),
                   "'\n  hint: use \"cpu\"");
}

bool Target::runs_on_host() const {
  if (is_gpu()) return false;
  const CpuFeatures& here = host().features;
  for (const NamedFeature& f : kFeatures) {
    if (features.*(f.field) && !(here.*(f.field))) return false;
  }
  return true;
}

}  // namespace tenon
