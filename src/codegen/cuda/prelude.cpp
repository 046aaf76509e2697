#include "codegen/cuda/prelude.h"

#include <array>

#include "tenon/support/error.h"

namespace tenon::codegen::cuda {
namespace {

struct Definition {
  const char* name;
  const char* needs;  ///< the name of another that it calls, or ""
  bool is_ptx;
  const char* text;
};

// Total integer operations: narrow operands come as int, results are cut by the caller.
constexpr const char* kFloorDiv = R"(// Rounds down; 0 where b is 0.
template <typename T>
__device__ inline T tenon_floordiv(T a, T b) {
  if (b == 0) return 0;
  if (T(-1) > T(0)) return a / b;
  if (b == T(-1)) return tenon_neg(a);
  T q = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}
)";
constexpr const char* kFloorMod = R"(// With the sign of b; 0 where b is 0.
template <typename T>
__device__ inline T tenon_floormod(T a, T b) {
  if (b == 0 || b == T(-1) && T(-1) < T(0)) return 0;
  T r = a % b;
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}
)";
// b == T(-1) of an unsigned type is an ordinary divisor, which the test above lets through.
constexpr const char* kNeg = R"(// Wraps.
template <typename T>
__device__ inline T tenon_neg(T a) {
  return (T)(0ull - (unsigned long long)a);
}
)";
constexpr const char* kAbs = R"(// Wraps.
template <typename T>
__device__ inline T tenon_abs(T a) {
  return a < 0 ? tenon_neg(a) : a;
}
)";
constexpr const char* kMin = R"(template <typename T>
__device__ inline T tenon_min(T a, T b) {
  return b < a ? b : a;
}
)";
constexpr const char* kMax = R"(template <typename T>
__device__ inline T tenon_max(T a, T b) {
  return a < b ? b : a;
}
)";
constexpr const char* kShl = R"(// 0 where b is not below the width.
template <typename T>
__device__ inline T tenon_shl(T a, T b) {
  return (unsigned long long)b < 8 * sizeof(T) ? (T)((unsigned long long)a << b) : (T)0;
}
)";
constexpr const char* kShr = R"(// 0 or the sign where b is not below the width.
template <typename T>
__device__ inline T tenon_shr(T a, T b) {
  if ((unsigned long long)b < 8 * sizeof(T)) return (T)(a >> b);
  return a < 0 ? (T)-1 : (T)0;
}
)";
constexpr const char* kToInt =
    R"(// Cut towards 0 and kept within T; NaN gives 0. `above` is the first float past the largest T.
template <typename T, typename F>
__device__ inline T tenon_to_int(F x, F lowest, F above, T smallest, T largest) {
  if (x != x) return 0;
  return x >= above ? largest : x <= lowest ? smallest : (T)x;
}
)";
constexpr const char* kMinF64 = R"(// NaN if one is; -0 below +0.
__device__ inline double tenon_min_f64(double a, double b) {
  if (a != a || b != b) return __longlong_as_double(0x7ff8000000000000ll);
  if (a == b) return __longlong_as_double(__double_as_longlong(a) | __double_as_longlong(b));
  return a < b ? a : b;
}
)";
constexpr const char* kMaxF64 = R"(// NaN if one is; -0 below +0.
__device__ inline double tenon_max_f64(double a, double b) {
  if (a != a || b != b) return __longlong_as_double(0x7ff8000000000000ll);
  if (a == b) return __longlong_as_double(__double_as_longlong(a) & __double_as_longlong(b));
  return a > b ? a : b;
}
)";
constexpr const char* kNarrowToOdd =
    R"(// To float with the last bit set where inexact: rounding that to 16 bits rounds once.
__device__ inline float tenon_narrow_to_odd(double x) {
  float narrow = (float)x;
  double back = narrow;
  unsigned bits = __float_as_uint(narrow);
  if (back == x || x != x || (bits & 1u) != 0) return narrow;
  return __uint_as_float(fabs(back) > fabs(x) ? bits - 1 : bits + 1);
}
)";
constexpr const char* kBf16Value =
    R"(__device__ inline float tenon_bf16_value(unsigned short bits) {
  return __uint_as_float((unsigned)bits << 16);
}
)";
constexpr const char* kBf16Bits = R"(// To the nearest, ties to even.
__device__ inline unsigned short tenon_bf16_bits(float x) {
  unsigned short bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
  return bits;
}
)";
constexpr const char* kRoundBf16 = R"(__device__ inline float tenon_round_bf16(float x) {
  return tenon_bf16_value(tenon_bf16_bits(x));
}
)";
constexpr const char* kF16Value = R"(__device__ inline float tenon_f16_value(unsigned short bits) {
  float x;
  asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
  return x;
}
)";
constexpr const char* kF16Bits = R"(// To the nearest, ties to even.
__device__ inline unsigned short tenon_f16_bits(float x) {
  unsigned short bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
  return bits;
}
)";
constexpr const char* kRoundF16 = R"(__device__ inline float tenon_round_f16(float x) {
  return tenon_f16_value(tenon_f16_bits(x));
}
)";
constexpr const char* kMinF32 = R"(// NaN if one is; -0 below +0.
__device__ inline float tenon_min_f32(float a, float b) {
  float r;
  asm("min.NaN.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
  return r;
}
)";
constexpr const char* kMaxF32 = R"(// NaN if one is; -0 below +0.
__device__ inline float tenon_max_f32(float a, float b) {
  float r;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
  return r;
}
)";
constexpr const char* kErrorRecord = R"(struct tenon_error_record {
  int claimed;
  int site;
  long long value;
  long long extent;
};
)";
constexpr const char* kReport = R"(// The first failure of a call fills in the record.
__device__ inline void tenon_report(tenon_error_record* error, long long value, long long extent, int site) {
  if (atomicCAS(&error->claimed, 0, 1) != 0) return;
  error->site = site;
  error->value = value;
  error->extent = extent;
}
)";
constexpr const char* kCheckedIndex =
    R"(// index if 0 <= index < extent, else -1, and the failure is reported.
__device__ inline long long tenon_checked_index(tenon_error_record* error, long long index, long long extent, int site) {
  if ((unsigned long long)index < (unsigned long long)extent) return index;
  tenon_report(error, index, extent, site);
  return -1;
}
)";
constexpr const char* kCopyAsync =
    R"(// `bytes` (4, 8 or 16) from global to shared memory, zeros where `take` is false; lands when waited for.
template <int bytes>
__device__ inline void tenon_copy_async(void* to, const void* from, bool take) {
  unsigned address = (unsigned)__cvta_generic_to_shared(to);
  int size = take ? bytes : 0;
  if (bytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], %2, %3;" ::"r"(address), "l"(from), "n"(bytes), "r"(size) : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(address), "l"(from), "n"(bytes == 16 ? 4 : bytes), "r"(size) : "memory");
  }
}
)";
constexpr const char* kCommitAsync = R"(__device__ inline void tenon_commit_async() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
)";
constexpr const char* kWaitAsync =
    R"(// Until at most `pending` of the thread's groups are under way.
template <int pending>
__device__ inline void tenon_wait_async() {
  asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}
)";

// Each after those that it needs.
constexpr std::array kDefinitions = {
    Definition{"tenon_error_record", "", false, kErrorRecord},
    Definition{"tenon_report", "tenon_error_record", false, kReport},
    Definition{"tenon_checked_index", "tenon_report", false, kCheckedIndex},
    Definition{"tenon_neg", "", false, kNeg},
    Definition{"tenon_abs", "tenon_neg", false, kAbs},
    Definition{"tenon_floordiv", "tenon_neg", false, kFloorDiv},
    Definition{"tenon_floormod", "", false, kFloorMod},
    Definition{"tenon_min", "", false, kMin},
    Definition{"tenon_max", "", false, kMax},
    Definition{"tenon_shl", "", false, kShl},
    Definition{"tenon_shr", "", false, kShr},
    Definition{"tenon_to_int", "", false, kToInt},
    Definition{"tenon_min_f32", "", true, kMinF32},
    Definition{"tenon_max_f32", "", true, kMaxF32},
    Definition{"tenon_min_f64", "", false, kMinF64},
    Definition{"tenon_max_f64", "", false, kMaxF64},
    Definition{"tenon_narrow_to_odd", "", false, kNarrowToOdd},
    Definition{"tenon_bf16_value", "", false, kBf16Value},
    Definition{"tenon_bf16_bits", "tenon_bf16_value", true, kBf16Bits},
    Definition{"tenon_round_bf16", "tenon_bf16_bits", false, kRoundBf16},
    Definition{"tenon_f16_value", "", true, kF16Value},
    Definition{"tenon_f16_bits", "tenon_f16_value", true, kF16Bits},
    Definition{"tenon_round_f16", "tenon_f16_bits", false, kRoundF16},
    Definition{"tenon_copy_async", "", true, kCopyAsync},
    Definition{"tenon_commit_async", "", true, kCommitAsync},
    Definition{"tenon_wait_async", "", true, kWaitAsync},
};

}  // namespace

std::string Prelude::use(const std::string& name) {
  for (const Definition& d : kDefinitions) {
    if (name != d.name) continue;
    if (used_.insert(name).second && d.needs[0] != '\0') use(d.needs);
    return name;
  }
  TENON_CHECK(false, "no function of the prelude is called '", name, "'");
  return name;
}

std::string Prelude::define_ptx(const std::string& name, const std::string& text) {
  ptx_.emplace(name, text);
  return name;
}

std::string Prelude::text(bool ptx) const {
  std::string out;
  for (const Definition& d : kDefinitions) {
    if (used_.count(d.name) == 0 || (d.is_ptx && !ptx)) continue;
    out += d.text;
    out += "\n";
  }
  if (!ptx) return out;
  for (const auto& [name, text] : ptx_) out += text + "\n";
  return out;
}

}  // namespace tenon::codegen::cuda
