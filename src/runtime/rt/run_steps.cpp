#include <string.h>
#include <time.h>

#include "runtime/rt/context.h"
#include "runtime/rt/interrupt.h"
#include "runtime/rt/message.h"
#include "runtime/rt/region_stack.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace tenon::rt {
namespace {

using namespace plan_format;  // NOLINT(google-build-using-namespace): this file is about these
                              // records

/// Round to nearest without flushing subnormals while kernels run; the caller's mode afterwards.
class FloatMode {
 public:
#if defined(__x86_64__)
  FloatMode() : before_(_mm_getcsr()) {
    if ((before_ & ~kStatusFlags) != kDefault) _mm_setcsr(kDefault);
  }
  ~FloatMode() {
    if ((before_ & ~kStatusFlags) != kDefault) _mm_setcsr(before_);
  }

 private:
  static constexpr unsigned kStatusFlags = 0x3f;
  static constexpr unsigned kDefault = 0x1f80;
  unsigned before_;
#else
  FloatMode() = default;
#endif

 public:
  FloatMode(const FloatMode&) = delete;
  FloatMode& operator=(const FloatMode&) = delete;
};

}  // namespace

tenon_status index_error(const tenon_model& m, const KernelRecord& kernel,
                         const tenon_index_error& error) {
  if (error.site < 0 || static_cast<std::uint32_t>(error.site) >= kernel.num_sites) {
    return fail(TENON_ERROR_INDEX, "E0651",
                "%.*s: index %lld is out of range for an axis of size %lld",
                TENON_PLAN_STRING(&m, m.info.name), static_cast<long long>(error.value),
                static_cast<long long>(error.extent));
  }
  const Site& site = m.sites[kernel.sites_begin + static_cast<std::uint32_t>(error.site)];
  const char* at = site.source.length != 0 ? " at " : "";
  if (static_cast<SiteKind>(site.kind) == SiteKind::kAssert) {
    return fail(TENON_ERROR_INDEX, "E0652", "%.*s: assertion failed: %.*s%s%.*s",
                TENON_PLAN_STRING(&m, m.info.name), TENON_PLAN_STRING(&m, site.buffer), at,
                TENON_PLAN_STRING(&m, site.source));
  }
  const char* verb = static_cast<SiteKind>(site.kind) == SiteKind::kRead ? "reading" : "writing";
  return fail(TENON_ERROR_INDEX, "E0651",
              "%.*s: index %lld is out of range for axis %u of size %lld when %s '%.*s'%s%.*s",
              TENON_PLAN_STRING(&m, m.info.name), static_cast<long long>(error.value), site.axis,
              static_cast<long long>(error.extent), verb, TENON_PLAN_STRING(&m, site.buffer), at,
              TENON_PLAN_STRING(&m, site.source));
}

namespace {

tenon_status kernel_failure(const tenon_context& c, const Step& step,
                            const tenon_kernel_context& ctx, std::int32_t status) {
  const tenon_model& m = *c.model;
  const KernelRecord& kernel = m.kernels[step.index];
  switch (status) {
    case TENON_KERNEL_INDEX_ERROR:
    case TENON_KERNEL_ASSERT_FAILED:
      return index_error(m, kernel, ctx.index_error);
    case TENON_KERNEL_INTERRUPTED:
      return fail(TENON_ERROR_INTERRUPTED, "E1004", "%.*s: interrupted",
                  TENON_PLAN_STRING(&m, m.info.name));
    default:
      return fail(TENON_ERROR_MODEL, "E0913", "%.*s: kernel '%.*s' returned status %d",
                  TENON_PLAN_STRING(&m, m.info.name), TENON_PLAN_STRING(&m, kernel.name), status);
  }
}

/// The buffers of a step where they are now.
void* const* pointers_of(tenon_context& c, std::size_t i) {
  const std::uint32_t begin = c.steps[i].pointers;
  if (c.now_pointers.size() == 0) return c.pointers.data() + begin;
  for (std::uint32_t k = 0; k < c.model->steps[i].buffers.count; ++k)
    c.now_pointers[begin + k] = address_now(c, i, k);
  return c.now_pointers.data() + begin;
}

tenon_status run_kernel(tenon_context& c, std::size_t i, tenon_kernel_context& ctx) {
  const Step& step = c.model->steps[i];
  ctx.error_claimed = 0;
  ++c.stats.kernel_calls;
  const std::int32_t status =
      c.model->functions[step.index](&ctx, pointers_of(c, i), c.sizes.data() + c.steps[i].sizes);
  return status == 0 ? TENON_OK : kernel_failure(c, step, ctx, status);
}

void run_copy(tenon_context& c, std::size_t i) {
  void* const* pointers = pointers_of(c, i);
  const std::int64_t bytes = c.buffers[c.model->indices[c.model->steps[i].buffers.begin]].bytes;
  if (bytes > 0 && pointers[0] != pointers[1])
    memmove(pointers[0], pointers[1], static_cast<std::size_t>(bytes));
}

std::uint64_t now_nanoseconds() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1000000000U + static_cast<std::uint64_t>(t.tv_nsec);
}

/// A kernel call or a copy; `timed`: with a clock around it.
template <bool timed>
tenon_status run_work(tenon_context& c, std::size_t i, tenon_kernel_context& ctx) {
  const std::uint64_t start = timed ? now_nanoseconds() : 0;
  tenon_status status = TENON_OK;
  if (static_cast<StepOp>(c.model->steps[i].op) == StepOp::kKernel) {
    status = run_kernel(c, i, ctx);
  } else {
    run_copy(c, i);
  }
  if (timed) {
    c.times[i].nanoseconds += now_nanoseconds() - start;
    ++c.times[i].calls;
  }
  return status;
}

template <bool timed>
tenon_status run_plan(tenon_context& c, const DLTensor* inputs, const DLTensor* results) {
  set_argument_pointers(c, inputs, results);
  const RunningCall call;
  const FloatMode mode;
  tenon_kernel_context ctx = {};
  ctx.parallel_for = tenon_parallel_for;
  ctx.workspace = static_cast<char*>(c.workspace) + c.scratch_offset;
  ctx.num_workers = c.num_workers;
  ctx.interrupt = interrupt_flag();
  const std::uint32_t num_steps = static_cast<std::uint32_t>(c.model->steps.size());
  RegionStack regions(c);
  tenon_status status = TENON_OK;
  for (std::uint32_t i = 0; status == TENON_OK;) {
    if (call.interrupted()) {
      status = fail(TENON_ERROR_INTERRUPTED, "E1004", "%.*s: interrupted",
                    TENON_PLAN_STRING(c.model, c.model->info.name));
    } else if (regions.ends_at(i)) {
      i = regions.pass();
    } else if (i == num_steps) {
      break;
    } else {
      switch (static_cast<StepOp>(c.model->steps[i].op)) {
        case StepOp::kKernel:
        case StepOp::kCopy:
          status = run_work<timed>(c, i++, ctx);
          break;
        case StepOp::kBranch:
        case StepOp::kLoop:
          i = regions.enter(i);
          break;
        case StepOp::kExtern:
        case StepOp::kFill:
        case StepOp::kSubPlan:
        case StepOp::kLaunch:  // refused by the loader
          ++i;
          break;
      }
    }
  }
  ++c.stats.runs;
  return status;
}

}  // namespace

void set_argument_pointers(tenon_context& c, const DLTensor* inputs, const DLTensor* results) {
  const std::uint32_t num_inputs = c.model->info.num_inputs;
  for (std::size_t k = 0; k < c.num_uses; ++k) {
    const ArgumentUse& use = c.uses[k];
    const DLTensor& t =
        use.argument < num_inputs ? inputs[use.argument] : results[use.argument - num_inputs];
    c.pointers[use.position] = first_element(t) + use.offset_bytes;
  }
}

tenon_status run_steps(tenon_context& c, const DLTensor* inputs, const DLTensor* results) {
  return c.times == nullptr ? run_plan<false>(c, inputs, results)
                            : run_plan<true>(c, inputs, results);
}

}  // namespace tenon::rt
