#include "runtime/rt/cpu_features.h"

#include <string.h>

#include <atomic>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace tenon::rt {
namespace {

struct Feature {
  const char* name;
  unsigned leaf;
  unsigned subleaf;
  unsigned reg;
  unsigned bit;
  unsigned state;
};

constexpr Feature kFeatures[] = {
#define CPU_FEATURE(name, leaf, subleaf, reg, bit, state) {name, leaf, subleaf, reg, bit, state},
#include "tenon/runtime/cpu_features.def"
#undef CPU_FEATURE
};
constexpr std::size_t kNumFeatures = sizeof(kFeatures) / sizeof(kFeatures[0]);
static_assert(kNumFeatures < 63);

#if defined(__x86_64__)

/// The four registers of a leaf; zeros where the CPU does not have it.
struct Leaf {
  unsigned regs[4] = {};

  Leaf(unsigned leaf, unsigned subleaf) {
    if (subleaf != 0 && Leaf(leaf, 0).regs[0] < subleaf) return;
    if (__get_cpuid_count(leaf, subleaf, &regs[0], &regs[1], &regs[2], &regs[3]) == 0)
      memset(regs, 0, sizeof(regs));
  }
};

/// What the operating system saves: 0 neither, 1 AVX registers, 2 AVX-512's too.
unsigned saved_state() {
  if ((Leaf(1, 0).regs[2] & (1u << 27)) == 0) return 0;  // no xgetbv
  unsigned low = 0;
  unsigned high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if ((low & 0x6u) != 0x6u) return 0;
  return (low & 0xe0u) == 0xe0u ? 2 : 1;
}

std::uint64_t read_features() {
  const unsigned state = saved_state();
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < kNumFeatures; ++i) {
    const Feature& f = kFeatures[i];
    if (f.state > state) continue;
    if ((Leaf(f.leaf, f.subleaf).regs[f.reg] >> f.bit & 1u) != 0) bits |= std::uint64_t{1} << i;
  }
  return bits;
}

#else

std::uint64_t read_features() { return 0; }

#endif

}  // namespace

const std::size_t kNumCpuFeatures = kNumFeatures;

const char* cpu_feature_name(std::size_t i) { return kFeatures[i].name; }

std::uint64_t cpu_feature_bit(const char* name) {
  for (std::size_t i = 0; i < kNumFeatures; ++i) {
    if (strcmp(kFeatures[i].name, name) == 0) return std::uint64_t{1} << i;
  }
  return 0;
}

std::uint64_t cpu_features() {
  constexpr std::uint64_t kKnown = std::uint64_t{1} << 63;
  static std::atomic<std::uint64_t> bits{0};  // two threads may read at once and find the same
  std::uint64_t value = bits.load(std::memory_order_relaxed);
  if (value == 0) {
    value = read_features() | kKnown;
    bits.store(value, std::memory_order_relaxed);
  }
  return value & ~kKnown;
}

}  // namespace tenon::rt
