#include "tenon/runtime/executable.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <vector>

#include "tenon/runtime/device.h"
#include "tenon/runtime/profile.h"

namespace tenon {
namespace {

struct ReleaseModel {
  void operator()(tenon_model* model) const { tenon_model_release(model); }
};

/// Arguments on the stack for the usual number of arrays.
class Descriptors {
 public:
  explicit Descriptors(std::span<const Array> arrays) : size_(arrays.size()) {
    if (size_ > kInline) more_.resize(size_);
    DLTensor* to = data();
    for (std::size_t i = 0; i < size_; ++i) to[i] = arrays[i].tensor();
  }
  DLTensor* data() { return size_ > kInline ? more_.data() : inline_; }
  std::span<const DLTensor> span() { return {data(), size_}; }

 private:
  static constexpr std::size_t kInline = 8;
  std::size_t size_;
  DLTensor inline_[kInline];
  std::vector<DLTensor> more_;
};

/// True when `a` can be given to a kernel as it is. An input with declared strides is never copied:
/// the runtime checks them.
bool is_usable(const Array& a, const PlanArgument& declared) {
  if (!declared.strides.empty() || a.size() == 0) return true;
  return a.is_contiguous() && a.is_aligned(static_cast<std::size_t>(a.dtype().bytes()));
}

/// The inputs, those that are strided or misaligned replaced by copies (then all are in `copies`).
std::span<const Array> made_contiguous(std::span<const Array> inputs, const Plan& plan,
                                       std::vector<Array>& copies) {
  bool all = true;
  if (inputs.size() != plan.inputs.size()) return inputs;  // the call will fail by name
  for (std::size_t i = 0; i < inputs.size(); ++i) all = all && is_usable(inputs[i], plan.inputs[i]);
  if (all) return inputs;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    copies.push_back(is_usable(inputs[i], plan.inputs[i]) ? inputs[i] : inputs[i].contiguous());
  }
  return copies;
}

}  // namespace

void throw_if_error(tenon_status status) {
  if (status == TENON_OK) return;
  const std::string message = tenon_last_error();
  const std::size_t open = message.find(" [E");
  const std::string code = open != std::string::npos ? message.substr(open + 2, 5) : "E9999";
  switch (status) {
    case TENON_OK:
      return;
    case TENON_ERROR_SHAPE:
      throw ShapeError(code, message);
    case TENON_ERROR_DTYPE:
      throw DTypeError(code, message);
    case TENON_ERROR_INDEX:
      throw IndexError(code, message);
    case TENON_ERROR_TARGET:
      throw TargetError(code, message);
    case TENON_ERROR_UNSUPPORTED:
      throw UnsupportedError(code, message);
    case TENON_ERROR_MODEL:
      throw ModelError(code, message);
    case TENON_ERROR_RESOURCE:
      throw ResourceError(code, message);
    case TENON_ERROR_INTERRUPTED:
      throw Interrupted(code, message);
    case TENON_ERROR_USAGE:
      throw UserError(code, message);
  }
  throw InternalError(code, message);
}

/// Contexts wait in one slot (the usual single caller: two atomic exchanges) and a list behind a
/// lock (several callers).
struct Executable::State {
  Plan plan;
  std::unique_ptr<tenon_model, ReleaseModel> model;
  std::vector<Array> constants;
  std::shared_ptr<const void> code;
  mutable std::atomic<tenon_context*> slot{nullptr};
  mutable std::mutex mutex;
  mutable std::vector<tenon_context*> idle;

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    tenon_context_destroy(slot.load());
    for (tenon_context* context : idle) tenon_context_destroy(context);
  }

  tenon_context* take() const {
    tenon_context* context = slot.exchange(nullptr, std::memory_order_acquire);
    if (context != nullptr) return context;
    {
      const std::lock_guard<std::mutex> lock(mutex);
      if (!idle.empty()) {
        context = idle.back();
        idle.pop_back();
        return context;
      }
    }
    throw_if_error(tenon_context_create(model.get(), &context));
    return context;
  }

  void give(tenon_context* context) const {
    tenon_context* none = nullptr;
    if (slot.compare_exchange_strong(none, context, std::memory_order_release,
                                     std::memory_order_relaxed))
      return;
    const std::lock_guard<std::mutex> lock(mutex);
    idle.push_back(context);
  }
};

namespace {

/// A context for one call.
template <typename State>
class Borrowed {
 public:
  explicit Borrowed(const State& state) : state_(state), context_(state.take()) {}
  ~Borrowed() { state_.give(context_); }
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;
  tenon_context* get() const { return context_; }

 private:
  const State& state_;
  tenon_context* context_;
};

void run_in(tenon_context* context, std::span<const DLTensor> inputs,
            std::span<const DLTensor> results) {
  throw_if_error(tenon_context_run(context, inputs.data(), static_cast<std::int32_t>(inputs.size()),
                                   results.data(), static_cast<std::int32_t>(results.size())));
}

std::span<const std::int64_t> result_shape(const tenon_context* context, int index) {
  DLTensor result;
  throw_if_error(tenon_context_result(context, index, &result));
  return {result.shape, static_cast<std::size_t>(result.ndim)};
}

}  // namespace

/// Moves embedded constants into arrays, so that their bytes exist once.
void take_out_data(ExecutableParts& parts) {
  parts.constants.resize(parts.plan.constants.size());
  for (std::size_t i = 0; i < parts.plan.constants.size(); ++i) {
    PlanConstant& c = parts.plan.constants[i];
    if (parts.constants[i].defined() || c.data.empty()) continue;
    const std::int64_t size = static_cast<std::int64_t>(c.data.size());
    parts.constants[i] = Array::from_values<std::uint8_t>({&size, 1}, DType::uint(8), c.data);
    c.data = {};
  }
}

Executable::Executable(ExecutableParts parts) {
  take_out_data(parts);
  const std::vector<std::uint8_t> bytes = serialize(parts.plan);
  std::vector<const void*> constants;
  for (const Array& a : parts.constants) constants.push_back(a.defined() ? a.raw() : nullptr);
  tenon_load_options options = {};
  options.struct_bytes = sizeof(options);
  options.kernels = parts.kernels.data();
  options.num_kernels = parts.kernels.size();
  options.constants = constants.data();
  options.num_constants = constants.size();
  options.device_id = parts.device_id;
  auto state = std::make_shared<State>();
  tenon_model* model = nullptr;
  throw_if_error(tenon_model_load_memory(bytes.data(), bytes.size(), &options, &model));
  state->model.reset(model);
  state->plan = std::move(parts.plan);
  state->constants = std::move(parts.constants);
  state->code = std::move(parts.code);
  state_ = std::move(state);
}

const std::string& Executable::name() const { return state_->plan.name; }
const Plan& Executable::plan() const { return state_->plan; }
const std::vector<Array>& Executable::constants() const { return state_->constants; }
int Executable::num_inputs() const { return static_cast<int>(state_->plan.inputs.size()); }
int Executable::num_results() const { return static_cast<int>(state_->plan.results.size()); }
const std::shared_ptr<const void>& Executable::code() const { return state_->code; }
tenon_model* Executable::model() const { return state_->model.get(); }
std::vector<std::uint8_t> Executable::plan_bytes() const {
  Plan plan = state_->plan;
  for (std::size_t i = 0; i < plan.constants.size(); ++i) {
    PlanConstant& c = plan.constants[i];
    const Array& array = state_->constants[i];
    if (c.is_beside || !array.defined() || !c.data.empty()) continue;
    const auto* begin = static_cast<const std::uint8_t*>(array.raw());
    c.data.assign(begin, begin + c.bytes);
  }
  return serialize(plan);
}
DLDevice Executable::device() const { return tenon_model_device(state_->model.get()); }

std::vector<Array> Executable::call(std::span<const Array> inputs) const {
  std::vector<Array> copies;
  Descriptors arguments(made_contiguous(inputs, state_->plan, copies));
  const Borrowed<State> context(*state_);
  throw_if_error(tenon_context_bind(context.get(), arguments.data(),
                                    static_cast<std::int32_t>(inputs.size())));
  std::vector<Array> results;
  results.reserve(state_->plan.results.size());
  for (int i = 0; i < num_results(); ++i) {
    results.push_back(Array::empty(result_shape(context.get(), i),
                                   state_->plan.results[static_cast<std::size_t>(i)].dtype,
                                   device()));
  }
  Descriptors targets(results);
  run_in(context.get(), arguments.span(), targets.span());
  return results;
}

void Executable::call_into(std::span<const Array> inputs, std::span<Array> results) const {
  std::vector<Array> copies;
  for (std::size_t i = 0; i < results.size() && i < state_->plan.results.size(); ++i) {
    TENON_USER_CHECK(!results[i].read_only(), ShapeError, "E0461", name(), ": result '",
                     state_->plan.results[i].name, "' is a read-only array");
  }
  Descriptors arguments(made_contiguous(inputs, state_->plan, copies));
  Descriptors targets(results);
  const Borrowed<State> context(*state_);
  run_in(context.get(), arguments.span(), targets.span());
}

void Executable::run(std::span<const DLTensor> inputs, std::span<const DLTensor> results) const {
  const Borrowed<State> context(*state_);
  run_in(context.get(), inputs, results);
}

namespace {

/// A context writes its step times into `times` for as long as this lives.
class TimedContext {
 public:
  TimedContext(tenon_context* context, std::vector<tenon_step_times>& times) : context_(context) {
    throw_if_error(
        tenon_context_set_times(context, times.data(), static_cast<std::int32_t>(times.size())));
  }
  ~TimedContext() { tenon_context_set_times(context_, nullptr, 0); }
  TimedContext(const TimedContext&) = delete;
  TimedContext& operator=(const TimedContext&) = delete;

 private:
  tenon_context* context_;
};

}  // namespace

std::vector<RunProfile> Executable::profile(std::span<const Array> inputs, std::span<Array> results,
                                            int num_runs, bool with_steps) const {
  using Clock = std::chrono::steady_clock;
  std::vector<Array> copies;
  Descriptors arguments(made_contiguous(inputs, state_->plan, copies));
  Descriptors targets(results);
  std::vector<RunProfile> runs;
  std::vector<tenon_step_times> times(static_cast<std::size_t>(tenon_model_num_steps(model())));
  const Borrowed<State> context(*state_);
  std::unique_ptr<TimedContext> timed;
  if (with_steps && !times.empty()) timed = std::make_unique<TimedContext>(context.get(), times);
  for (int i = 0; i < num_runs; ++i) {
    std::fill(times.begin(), times.end(), tenon_step_times{});
    const auto start = Clock::now();
    run_in(context.get(), arguments.span(), targets.span());
    RunProfile run;
    run.nanoseconds = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count());
    for (const tenon_step_times& t : times)
      if (with_steps) run.steps.push_back({t.calls, t.nanoseconds});
    runs.push_back(std::move(run));
  }
  return runs;
}

std::vector<Shape> Executable::result_shapes(std::span<const DLTensor> inputs) const {
  const Borrowed<State> context(*state_);
  throw_if_error(
      tenon_context_bind(context.get(), inputs.data(), static_cast<std::int32_t>(inputs.size())));
  std::vector<Shape> shapes;
  for (int i = 0; i < num_results(); ++i) {
    const std::span<const std::int64_t> shape = result_shape(context.get(), i);
    shapes.emplace_back(shape.begin(), shape.end());
  }
  return shapes;
}

void set_num_threads(int num_threads) { throw_if_error(tenon_set_num_threads(num_threads)); }
int num_threads() { return tenon_get_num_threads(); }

}  // namespace tenon
