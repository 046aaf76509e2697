// Products by cuBLASLt. It knows column-major matrices: what is row-major for us is the transposed
// matrix for it, and C' = B' A'.

#include <string.h>

#include "runtime/device/cublaslt.h"
#include "runtime/device/extern_routine.h"
#include "runtime/rt/block.h"
#include "runtime/rt/message.h"
#include "tenon/runtime/extern_format.h"

namespace tenon::device {
namespace {

using extern_format::MatmulAttributes;
using extern_format::MatmulType;
using rt::fail;

/// What every array of a plan is aligned to that a step of a compiler uses.
constexpr std::uint32_t kAlignment = 16;
constexpr std::int64_t kMaxExtent = (std::int64_t{1} << 31) - 1;

struct MatmulSizes {
  std::int64_t batch, m, n, k, a_step, b_step;
};

/// **Invariant.** Descriptors are null or the library's; `first` and `second` are its operands, B
/// and A.
struct MatmulState {
  const CublasLt* library = nullptr;
  Handle handle = nullptr;
  Handle desc = nullptr;
  Handle first = nullptr, second = nullptr, result = nullptr;
  MatmulAlgorithm algorithm = {};
  std::size_t workspace_bytes = 0;
  std::size_t zero_bytes = 0;  ///< of a result without terms
  bool is_empty = false;       ///< nothing to do
};

void destroy(void* state) {
  auto* s = static_cast<MatmulState*>(state);
  if (s == nullptr) return;
  for (const Handle layout : {s->first, s->second, s->result}) {
    if (layout != nullptr) s->library->cublasLtMatrixLayoutDestroy(layout);
  }
  if (s->desc != nullptr) s->library->cublasLtMatmulDescDestroy(s->desc);
  rt::free_object(s);
}

/// Whether `count` matrices of rows x columns, `step` elements apart, end within `bytes`.
bool fits(std::int64_t count, std::int64_t step, std::int64_t rows, std::int64_t columns,
          std::int64_t element, std::int64_t bytes) {
  std::int64_t matrix = 0, end = 0;
  return step >= 0 && !__builtin_mul_overflow(rows, columns, &matrix) &&
         !__builtin_mul_overflow(count - 1, step, &end) &&
         !__builtin_add_overflow(end, matrix, &end) && end <= bytes / element;
}

/// Checks a step and makes what the library needs for it.
class MatmulPreparation {
 public:
  MatmulPreparation(const ExternProblem& problem, MatmulState& state) : p_(problem), s_(state) {}

  tenon_status run() {
    tenon_status status = check_step();
    if (status != TENON_OK || s_.is_empty || s_.zero_bytes != 0) return status;
    if (z_.batch > kMaxExtent || z_.m > kMaxExtent || z_.n > kMaxExtent || z_.k > kMaxExtent) {
      return fail(TENON_ERROR_UNSUPPORTED, "E1314",
                  "%s: %lld products of %lld x %lld by %lld terms are beyond what cuBLASLt takes\n"
                  "  hint: compile without libraries",
                  p_.subject, static_cast<long long>(z_.batch), static_cast<long long>(z_.m),
                  static_cast<long long>(z_.n), static_cast<long long>(z_.k));
    }
    status = get_cublaslt(*p_.device, &s_.library, &s_.handle);
    if (status == TENON_OK) status = describe();
    return status == TENON_OK ? choose() : status;
  }

 private:
  tenon_status check_step() {
    if (p_.num_sizes != 6 || p_.num_buffers != 3 || p_.num_operands != 2 ||
        p_.attribute_bytes != sizeof(MatmulAttributes))
      return damaged_extern(p_,
                            "a product has six sizes, three buffers and 16 bytes of attributes");
    memcpy(&a_, p_.attributes, sizeof(a_));
    if (a_.dtype > static_cast<std::uint32_t>(MatmulType::kBFloat16) || a_.is_a_turned > 1 ||
        a_.is_b_turned > 1 || a_.uses_tf32 > 1)
      return damaged_extern(p_, "unknown attributes of a product");
    z_ = {p_.sizes[0], p_.sizes[1], p_.sizes[2], p_.sizes[3], p_.sizes[4], p_.sizes[5]};
    if (z_.batch < 0 || z_.m < 0 || z_.n < 0 || z_.k < 0)
      return damaged_extern(p_, "a product of a negative size");
    const std::int64_t element = is_float32() ? 4 : 2;
    s_.is_empty = z_.batch == 0 || z_.m == 0 || z_.n == 0;
    if (s_.is_empty) return TENON_OK;
    std::int64_t c_step = 0;
    if (__builtin_mul_overflow(z_.m, z_.n, &c_step) ||
        !fits(z_.batch, c_step, z_.m, z_.n, element, p_.buffer_bytes[2]) ||
        !fits(z_.batch, z_.a_step, z_.m, z_.k, element, p_.buffer_bytes[0]) ||
        !fits(z_.batch, z_.b_step, z_.k, z_.n, element, p_.buffer_bytes[1]))
      return damaged_extern(p_, "a product that reaches out of its arrays");
    if (z_.k == 0) s_.zero_bytes = static_cast<std::size_t>(z_.batch * c_step * element);
    return TENON_OK;
  }

  bool is_float32() const { return a_.dtype == static_cast<std::uint32_t>(MatmulType::kFloat32); }
  int type() const {
    const int types[] = {kTypeFloat32, kTypeFloat16, kTypeBFloat16};
    return types[a_.dtype];
  }

  tenon_status check(LibraryResult result, const char* call) const {
    return check_cublaslt(result, call, p_.subject);
  }

  /// A dense row-major matrix of rows x columns, `step` elements from one batch to the next.
  tenon_status add_layout(Handle* layout, std::int64_t rows, std::int64_t columns,
                          std::int64_t step) const {
    tenon_status status = check(
        s_.library->cublasLtMatrixLayoutCreate(layout, type(), static_cast<std::uint64_t>(columns),
                                               static_cast<std::uint64_t>(rows), columns),
        "cublasLtMatrixLayoutCreate");
    if (status != TENON_OK || z_.batch == 1) return status;
    const auto count = static_cast<std::int32_t>(z_.batch);
    status = check(s_.library->cublasLtMatrixLayoutSetAttribute(*layout, kLayoutBatchCount, &count,
                                                                sizeof(count)),
                   "cublasLtMatrixLayoutSetAttribute");
    if (status != TENON_OK) return status;
    return check(s_.library->cublasLtMatrixLayoutSetAttribute(*layout, kLayoutBatchStride, &step,
                                                              sizeof(step)),
                 "cublasLtMatrixLayoutSetAttribute");
  }

  tenon_status set_transpose(int attribute, bool is_turned) const {
    const std::int32_t op = is_turned ? kCublasTranspose : kCublasNoTranspose;
    return check(s_.library->cublasLtMatmulDescSetAttribute(s_.desc, attribute, &op, sizeof(op)),
                 "cublasLtMatmulDescSetAttribute");
  }

  tenon_status describe() {
    const bool is_tf32 = is_float32() && a_.uses_tf32 == 1;
    tenon_status status =
        check(s_.library->cublasLtMatmulDescCreate(
                  &s_.desc, is_tf32 ? kComputeTf32 : kComputeFloat32, kTypeFloat32),
              "cublasLtMatmulDescCreate");
    if (status == TENON_OK) status = set_transpose(kDescTransposeA, a_.is_b_turned == 1);
    if (status == TENON_OK) status = set_transpose(kDescTransposeB, a_.is_a_turned == 1);
    if (status == TENON_OK) {
      status = a_.is_b_turned == 1 ? add_layout(&s_.first, z_.n, z_.k, z_.b_step)
                                   : add_layout(&s_.first, z_.k, z_.n, z_.b_step);
    }
    if (status == TENON_OK) {
      status = a_.is_a_turned == 1 ? add_layout(&s_.second, z_.k, z_.m, z_.a_step)
                                   : add_layout(&s_.second, z_.m, z_.k, z_.a_step);
    }
    return status == TENON_OK ? add_layout(&s_.result, z_.m, z_.n, z_.m * z_.n) : status;
  }

  template <typename T>
  tenon_status prefer(Handle preference, int attribute, T value) const {
    return check(s_.library->cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value,
                                                                  sizeof(value)),
                 "cublasLtMatmulPreferenceSetAttribute");
  }

  tenon_status choose() {
    Handle preference = nullptr;
    tenon_status status = check(s_.library->cublasLtMatmulPreferenceCreate(&preference),
                                "cublasLtMatmulPreferenceCreate");
    if (status == TENON_OK) status = prefer(preference, kPreferWorkspaceBytes, p_.workspace_bytes);
    if (status == TENON_OK) status = prefer(preference, kPreferReductions, kReduceInComputeType);
    for (int i = 0; i < 4 && status == TENON_OK; ++i)
      status = prefer(preference, kPreferAlignmentA + i, kAlignment);
    MatmulChoice choice = {};
    int found = 0;
    if (status == TENON_OK) {
      const LibraryResult result = s_.library->cublasLtMatmulAlgoGetHeuristic(
          s_.handle, s_.desc, s_.first, s_.second, s_.result, s_.result, preference, 1, &choice,
          &found);
      constexpr LibraryResult kNotSupported = 15;
      status = result == kNotSupported ? TENON_OK : check(result, "cublasLtMatmulAlgoGetHeuristic");
    }
    if (preference != nullptr) s_.library->cublasLtMatmulPreferenceDestroy(preference);
    if (status != TENON_OK) return status;
    if (found < 1 || choice.state != 0 || choice.workspace_bytes > p_.workspace_bytes) {
      return fail(TENON_ERROR_UNSUPPORTED, "E1314",
                  "%s: cuBLASLt has no algorithm for %lld products of %lld x %lld by %lld terms on "
                  "cuda:%d\n  hint: compile without libraries",
                  p_.subject, static_cast<long long>(z_.batch), static_cast<long long>(z_.m),
                  static_cast<long long>(z_.n), static_cast<long long>(z_.k), p_.device->number);
    }
    s_.algorithm = choice.algorithm;
    s_.workspace_bytes = choice.workspace_bytes;
    return TENON_OK;
  }

  const ExternProblem& p_;
  MatmulState& s_;
  MatmulAttributes a_ = {};
  MatmulSizes z_ = {};
};

tenon_status prepare(const ExternProblem& problem, void** out) {
  auto* state = rt::make_object<MatmulState>();
  if (state == nullptr) return fail(TENON_ERROR_RESOURCE, "E1001", "out of memory for a context");
  const tenon_status status = MatmulPreparation(problem, *state).run();
  if (status == TENON_OK) {
    *out = state;
  } else {
    destroy(state);
  }
  return status;
}

tenon_status enqueue(void* state, const ExternRun& run) {
  const MatmulState& s = *static_cast<const MatmulState*>(state);
  if (s.is_empty) return TENON_OK;
  if (s.zero_bytes != 0) {
    return check(*run.device,
                 run.device->driver->cuMemsetD8Async(reinterpret_cast<Address>(run.buffers[2]), 0,
                                                     s.zero_bytes, run.stream),
                 "cuMemsetD8Async", run.subject);
  }
  for (int i = 0; i < 3; ++i) {
    if (reinterpret_cast<std::uintptr_t>(run.buffers[i]) % kAlignment == 0) continue;
    return fail(TENON_ERROR_MODEL, "E0907",
                "%s: buffer %d does not start at a multiple of %u bytes", run.subject, i,
                kAlignment);
  }
  const float one = 1, zero = 0;
  return check_cublaslt(
      s.library->cublasLtMatmul(s.handle, s.desc, &one, run.buffers[1], s.first, run.buffers[0],
                                s.second, &zero, run.buffers[2], s.result, run.buffers[2], s.result,
                                &s.algorithm, run.workspace, s.workspace_bytes, run.stream),
      "cublasLtMatmul", run.subject);
}

}  // namespace

constinit const ExternRoutine kMatmulRoutine = {extern_format::kMatmulName, prepare, enqueue,
                                                destroy};

}  // namespace tenon::device
