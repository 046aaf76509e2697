#include "runtime/rt/context.h"

#include "runtime/rt/device_part.h"
#include "runtime/rt/message.h"

namespace tenon::rt {
namespace {

using plan_format::Argument;
using plan_format::Step;

/// Marks the context as in use by this thread for as long as it lives.
class Busy {
 public:
  explicit Busy(tenon_context& context)
      : context_(context), mine_(context.busy.exchange(1, std::memory_order_acquire) == 0) {}
  ~Busy() {
    if (mine_) context_.busy.store(0, std::memory_order_release);
  }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;
  bool mine() const { return mine_; }

 private:
  tenon_context& context_;
  bool mine_;
};

/// Blocks of their final sizes; false when memory runs out.
bool allocate_blocks(tenon_context& c) {
  const tenon_model& m = *c.model;
  std::size_t num_dims = 0;
  std::size_t num_pointers = 0;
  std::size_t num_sizes = 0;
  for (const Argument& a : m.arguments) num_dims += a.dims.count;
  for (const Step& s : m.steps) {
    num_pointers += s.buffers.count;
    num_sizes += s.sizes.count;
  }
  const bool ok = c.registers.allocate(m.program.size()) && c.dims.allocate(num_dims) &&
                  c.strides.allocate(num_dims) && c.dims_begin.allocate(m.arguments.size()) &&
                  c.arguments.allocate(m.arguments.size()) &&
                  c.buffers.allocate(m.buffers.size()) && c.steps.allocate(m.steps.size()) &&
                  c.shifts.allocate(m.buffers.size()) && c.moved.allocate(m.moves.size()) &&
                  c.now_pointers.allocate(m.moves.size() != 0 ? num_pointers : 0) &&
                  c.pointers.allocate(num_pointers) && c.sizes.allocate(num_sizes) &&
                  c.uses.allocate(num_pointers);
  if (!ok) return false;
  std::uint32_t dim = 0;
  for (std::size_t i = 0; i < m.arguments.size(); ++i) {
    c.dims_begin[i] = dim;
    dim += m.arguments[i].dims.count;
  }
  BoundStep next = {0, 0};
  for (std::size_t i = 0; i < m.steps.size(); ++i) {
    c.steps[i] = next;
    next.pointers += m.steps[i].buffers.count;
    next.sizes += m.steps[i].sizes.count;
  }
  return true;
}

tenon_status busy_error(const char* function) {
  return fail(TENON_ERROR_USAGE, "E1005",
              "%s: the context is in use by another call\n  hint: give each thread its own context",
              function);
}

tenon_status null_error(const char* function) {
  return fail(TENON_ERROR_USAGE, "E1006", "%s: a null pointer", function);
}

}  // namespace
}  // namespace tenon::rt

using namespace tenon::rt;  // NOLINT(google-build-using-namespace): the C functions below are this
                            // file's surface

extern "C" {

tenon_status tenon_context_create(tenon_model* model, tenon_context** out) {
  if (model == nullptr || out == nullptr) return null_error("tenon_context_create");
  tenon_context* context = make_object<tenon_context>();
  if (context == nullptr) return fail(TENON_ERROR_RESOURCE, "E1001", "out of memory for a context");
  context->model = model;
  if (!allocate_blocks(*context)) {
    free_object(context);
    return fail(TENON_ERROR_RESOURCE, "E1001", "out of memory for a context");
  }
  tenon_model_retain(model);
  *out = context;
  return TENON_OK;
}

void tenon_context_destroy(tenon_context* context) {
  if (context == nullptr) return;
  tenon_model* model = context->model;
  if (is_on_device(*model)) {
    release_device_context(*context);
  } else {
    tenon_pool_free(context->workspace);
  }
  free_object(context);
  tenon_model_release(model);
}

tenon_status tenon_context_bind(tenon_context* context, const DLTensor* inputs,
                                int32_t num_inputs) {
  if (context == nullptr || (inputs == nullptr && num_inputs != 0))
    return null_error("tenon_context_bind");
  const Busy busy(*context);
  if (!busy.mine()) return busy_error("tenon_context_bind");
  return matches_binding(*context, inputs, num_inputs) ? TENON_OK
                                                       : bind(*context, inputs, num_inputs);
}

tenon_status tenon_context_result(const tenon_context* context, int32_t index, DLTensor* out) {
  if (context == nullptr || out == nullptr) return null_error("tenon_context_result");
  const tenon_model& m = *context->model;
  if (!context->bound)
    return fail(TENON_ERROR_USAGE, "E1006", "tenon_context_result: the context is not bound");
  if (index < 0 || static_cast<std::uint32_t>(index) >= m.info.num_results) {
    return fail(TENON_ERROR_USAGE, "E1006", "tenon_context_result: no result %d", index);
  }
  const std::size_t i = m.info.num_inputs + static_cast<std::size_t>(index);
  const Argument& a = m.arguments[i];
  *out = {};
  out->device = m.device;
  out->ndim = static_cast<int32_t>(a.dims.count);
  out->dtype = {a.code, a.bits, a.lanes};
  // The structure has no const; callers do not write through it.
  out->shape = const_cast<int64_t*>(context->dims.data() + context->dims_begin[i]);
  if (a.strides.count != 0)
    out->strides = const_cast<int64_t*>(context->strides.data() + context->dims_begin[i]);
  return TENON_OK;
}

tenon_status tenon_context_run(tenon_context* context, const DLTensor* inputs, int32_t num_inputs,
                               const DLTensor* results, int32_t num_results) {
  if (context == nullptr || (inputs == nullptr && num_inputs != 0) ||
      (results == nullptr && num_results != 0)) {
    return null_error("tenon_context_run");
  }
  const Busy busy(*context);
  if (!busy.mine()) return busy_error("tenon_context_run");
  tenon_status status =
      matches_binding(*context, inputs, num_inputs) ? TENON_OK : bind(*context, inputs, num_inputs);
  if (status == TENON_OK) status = check_results(*context, results, num_results);
  if (status == TENON_OK) status = check_memory(*context, inputs, results);
  if (status == TENON_OK) {
    status = is_on_device(*context->model) ? run_device_steps(*context, inputs, results)
                                           : run_steps(*context, inputs, results);
  }
  return status;
}

int32_t tenon_model_num_steps(const tenon_model* model) {
  return model == nullptr ? 0 : static_cast<int32_t>(model->steps.size());
}

tenon_status tenon_context_set_times(tenon_context* context, tenon_step_times* times,
                                     int32_t num_steps) {
  if (context == nullptr) return null_error("tenon_context_set_times");
  const Busy busy(*context);
  if (!busy.mine()) return busy_error("tenon_context_set_times");
  const int32_t wanted = tenon_model_num_steps(context->model);
  if (times != nullptr && num_steps != wanted) {
    return fail(TENON_ERROR_USAGE, "E1006",
                "tenon_context_set_times: the model has %d steps, got room for %d", wanted,
                num_steps);
  }
  context->times = times;
  return TENON_OK;
}

void tenon_context_get_stats(const tenon_context* context, tenon_context_stats* out) {
  if (context != nullptr && out != nullptr) *out = context->stats;
}

}  // extern "C"
