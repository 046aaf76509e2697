// What the kernels of write_cases.cpp compute, for the fake driver.

#include <cstring>

#include "fake_cuda/fake_cuda.h"
#include "tenon/runtime/plan_format.h"

namespace {

using fake_cuda::Launch;

int add(const Launch& l) {
  for (std::int64_t i = 0; i < l.size(3); ++i)
    l.pointer<float>(2)[i] = l.pointer<float>(0)[i] + l.pointer<float>(1)[i];
  return 0;
}

int zero(const Launch& l) {
  std::memset(l.pointer<float>(0), 0, 4 * static_cast<std::size_t>(l.size(1)));
  return 0;
}

int scan_step(const Launch& l) {
  const std::int64_t d = l.size(3);
  const float* row = l.pointer<float>(0) + l.size(2) * d;
  for (std::int64_t i = 0; i < d; ++i)
    l.pointer<float>(1)[i] = l.pointer<float>(1)[i] * 0.5f + row[i];
  return 0;
}

int scale(const Launch& l) {
  for (std::int64_t i = 0; i < l.size(3); ++i)
    l.pointer<float>(2)[i] = l.pointer<float>(0)[i] * l.pointer<float>(1)[0];
  return 0;
}

int below(const Launch& l) {
  *l.pointer<unsigned char>(1) = *l.pointer<float>(0) < 100 ? 1 : 0;
  return 0;
}

int reverse(const Launch& l) {
  const std::int64_t n = l.size(2);
  if (l.shared_bytes < 4 * static_cast<std::size_t>(n)) return 700;
  for (std::int64_t i = 0; i < n; ++i) l.pointer<float>(1)[i] = l.pointer<float>(0)[n - 1 - i];
  return 0;
}

int gather(const Launch& l) {
  auto* error = l.pointer<tenon::plan_format::ErrorRecord>(3);
  const std::int64_t n = l.size(4);
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t at = l.pointer<std::int64_t>(1)[i];
    if (at >= 0 && at < n) {
      l.pointer<float>(2)[i] = l.pointer<float>(0)[at];
    } else if (error->claimed == 0) {
      *error = {1, 0, at, n};
    }
  }
  return 0;
}

int fault(const Launch&) { return 700; }

}  // namespace

extern "C" __attribute__((visibility("default"))) void fake_cuda_add_kernels(
    void (*set)(const char*, fake_cuda::Kernel)) {
  set("add", add);
  set("zero", zero);
  set("scan_step", scan_step);
  set("scale", scale);
  set("below", below);
  set("reverse", reverse);
  set("gather", gather);
  set("fault", fault);
}
