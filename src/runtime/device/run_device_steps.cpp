#include <stdio.h>
#include <time.h>

#include "runtime/device/device_context.h"
#include "runtime/rt/device_part.h"
#include "runtime/rt/interrupt.h"
#include "runtime/rt/message.h"
#include "runtime/rt/region_stack.h"

namespace tenon::device {
namespace {

using namespace plan_format;  // NOLINT(google-build-using-namespace): this file is about these
                              // records
using rt::fail;

/// A graph of more launches takes longer to make than it saves.
constexpr std::uint64_t kMaxGraphNodes = 16384;

std::uint64_t now_nanoseconds() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1000000000U + static_cast<std::uint64_t>(t.tv_nsec);
}

Address address_of(const void* data) { return reinterpret_cast<Address>(data); }

/// Enqueues the steps of one run.
class Enqueuer {
 public:
  Enqueuer(tenon_context& c, DeviceContext& x, Handle stream, bool is_stepwise)
      : c_(c),
        x_(x),
        m_(*c.model),
        d_(*x.device),
        driver_(*x.device->driver),
        stream_(stream),
        is_stepwise_(is_stepwise) {
    snprintf(plan_, sizeof(plan_), "%.*s", TENON_PLAN_STRING(&m_, m_.info.name));
  }

  tenon_status run() {
    if (x_.errors != nullptr) {
      note(driver_.cuMemsetD8Async(address_of(x_.errors), 0,
                                   x_.error_records.size() * sizeof(ErrorRecord), stream_),
           "cuMemsetD8Async");
    }
    const rt::RegionMemory memory = {read, write, this};
    rt::RegionStack regions(c_, &memory);
    const std::uint32_t num_steps = static_cast<std::uint32_t>(m_.steps.size());
    for (std::uint32_t i = 0; is_good();) {
      if (regions.ends_at(i)) {
        i = regions.pass();
      } else if (i == num_steps) {
        break;
      } else if (is_region(i)) {
        i = regions.enter(i);
      } else {
        run_work(i++);
      }
    }
    x_.num_enqueued = num_enqueued_;
    return status_;
  }

 private:
  /// Whether to go on: nothing failed and nobody wants to stop.
  bool is_good() {
    if (status_ == TENON_OK && call_.interrupted())
      status_ = fail(TENON_ERROR_INTERRUPTED, "E1004", "%s: interrupted", plan_);
    return status_ == TENON_OK;
  }
  bool note(Result result, const char* call) {
    if (status_ == TENON_OK && result != kCudaSuccess) status_ = check(d_, result, call, plan_);
    return status_ == TENON_OK;
  }
  bool is_region(std::uint32_t i) const {
    const StepOp op = static_cast<StepOp>(m_.steps[i].op);
    return op == StepOp::kBranch || op == StepOp::kLoop;
  }

  /// A copy, the launches or the routine of a step, with a clock around them where the run is
  /// timed.
  void run_work(std::uint32_t i) {
    const std::uint64_t start = c_.times != nullptr ? now_nanoseconds() : 0;
    const StepOp op = static_cast<StepOp>(m_.steps[i].op);
    if (op == StepOp::kCopy) {
      copy(i);
    } else if (op == StepOp::kExtern) {
      call_extern(i);
    } else {
      launch_range(i, x_.launches_begin[i], x_.launches_begin[i + 1], 0);
    }
    if (is_stepwise_ && status_ == TENON_OK) wait(i);
    if (c_.times == nullptr) return;
    c_.times[i].nanoseconds += now_nanoseconds() - start;
    ++c_.times[i].calls;
  }

  void wait(std::uint32_t i) {
    char subject[192];
    const StepOp op = static_cast<StepOp>(m_.steps[i].op);
    if (op == StepOp::kExtern) {
      extern_subject(m_, i, subject, sizeof(subject));
    } else if (op == StepOp::kCopy) {
      snprintf(subject, sizeof(subject), "a copy of '%s'", plan_);
    } else {
      snprintf(subject, sizeof(subject), "kernel '%.*s' of '%s'",
               TENON_PLAN_STRING(&m_, m_.kernels[m_.steps[i].index].name), plan_);
    }
    status_ = check(d_, driver_.cuStreamSynchronize(stream_), "waiting", subject);
  }

  void copy(std::uint32_t i) {
    const std::int64_t bytes = c_.buffers[m_.indices[m_.steps[i].buffers.begin]].bytes;
    const char* to = rt::address_now(c_, i, 0);
    const char* from = rt::address_now(c_, i, 1);
    if (bytes <= 0 || to == from) return;
    ++num_enqueued_;
    note(driver_.cuMemcpyDtoDAsync(address_of(to), address_of(from),
                                   static_cast<std::size_t>(bytes), stream_),
         "cuMemcpyDtoDAsync");
  }

  void call_extern(std::uint32_t i) {
    const Step& s = m_.steps[i];
    void* buffers[kMaxExternBuffers];
    for (std::uint32_t k = 0; k < s.buffers.count; ++k) buffers[k] = rt::address_now(c_, i, k);
    char subject[192];
    extern_subject(m_, i, subject, sizeof(subject));
    ++num_enqueued_;
    ++x_.stats.launches;
    status_ = device_model(m_).externs[s.index]->enqueue(
        x_.externs[i],
        {&d_, subject, buffers, static_cast<char*>(c_.workspace) + c_.scratch_offset, stream_});
  }

  /// Launches [begin, end), which share the first `depth` loops.
  void launch_range(std::uint32_t step, std::uint32_t begin, std::uint32_t end,
                    std::uint32_t depth) {
    for (std::uint32_t i = begin; i < end && status_ == TENON_OK;) {
      if (m_.launches[i].num_repeats <= depth) {
        launch(step, i++);
        continue;
      }
      const RepeatRecord repeat = m_.repeats[x_.launches[i].repeats_begin + depth];
      std::uint32_t last = i + 1;
      while (last < end && m_.launches[last].num_repeats > depth &&
             m_.repeats[x_.launches[last].repeats_begin + depth].id == repeat.id)
        ++last;
      const std::int64_t count = c_.registers[repeat.count];
      for (std::int64_t t = 0; t < count && is_good(); ++t) {
        iterations_[depth] = t;
        launch_range(step, i, last, depth + 1);
      }
      i = last;
    }
  }

  std::int64_t value_of(std::uint32_t step, const ParamRecord& p) const {
    switch (static_cast<ParamKind>(p.kind)) {
      case ParamKind::kBuffer:
        return reinterpret_cast<std::int64_t>(rt::address_now(c_, step, p.index));
      case ParamKind::kScratch:
        return reinterpret_cast<std::int64_t>(c_.workspace) +
               static_cast<std::int64_t>(c_.scratch_offset) + c_.registers[p.index];
      case ParamKind::kSize:
        return c_.registers[p.index];
      case ParamKind::kLoop:
        return iterations_[p.index];
      case ParamKind::kError:
        return reinterpret_cast<std::int64_t>(x_.errors) +
               static_cast<std::int64_t>(step * sizeof(ErrorRecord));
    }
    return 0;
  }

  void launch(std::uint32_t step, std::uint32_t i) {
    const LaunchRecord& l = m_.launches[i];
    const BoundLaunch& bound = x_.launches[i];
    if (bound.grid[0] == 0 || bound.grid[1] == 0 || bound.grid[2] == 0) return;
    for (std::uint32_t k = 0; k < l.num_params; ++k) {
      const std::uint32_t at = bound.params_begin + k;
      x_.values[at] = value_of(step, m_.params[at]);
    }
    ++num_enqueued_;
    ++x_.stats.launches;
    const Result result = driver_.cuLaunchKernel(
        device_model(m_).kernels[l.kernel].function, bound.grid[0], bound.grid[1], bound.grid[2],
        l.block[0], l.block[1], l.block[2], l.dynamic_shared_bytes, stream_,
        x_.pointers.data() + bound.params_begin, nullptr);
    if (result == kCudaSuccess) return;
    char subject[192];
    snprintf(subject, sizeof(subject), "kernel '%.*s' of '%s'",
             TENON_PLAN_STRING(&m_, m_.device_kernels[l.kernel].name), plan_);
    status_ = check(d_, result, "cuLaunchKernel", subject);
  }

  static bool read(void* user, void* to, const char* from, std::size_t bytes) {
    auto& e = *static_cast<Enqueuer*>(user);
    return e.note(e.driver_.cuMemcpyDtoHAsync(to, address_of(from), bytes, e.stream_),
                  "cuMemcpyDtoHAsync") &&
           e.note(e.driver_.cuStreamSynchronize(e.stream_), "waiting");
  }
  /// By two words, so that no host memory has to live until it happens.
  static bool write(void* user, char* to, std::int64_t value) {
    auto& e = *static_cast<Enqueuer*>(user);
    const auto bits = static_cast<std::uint64_t>(value);
    return e.note(e.driver_.cuMemsetD32Async(address_of(to), static_cast<unsigned>(bits), 1,
                                             e.stream_),
                  "cuMemsetD32Async") &&
           e.note(e.driver_.cuMemsetD32Async(address_of(to + 4), static_cast<unsigned>(bits >> 32),
                                             1, e.stream_),
                  "cuMemsetD32Async");
  }

  tenon_context& c_;
  DeviceContext& x_;
  const tenon_model& m_;
  Device& d_;
  const Driver& driver_;
  Handle stream_;
  bool is_stepwise_;
  char plan_[128];
  const rt::RunningCall call_;
  tenon_status status_ = TENON_OK;
  std::uint64_t num_enqueued_ = 0;
  std::int64_t iterations_[kMaxRepeats] = {};
};

/// Captures a run as a graph; null where that does not work.
Handle capture(tenon_context& c, DeviceContext& x) {
  const Driver& driver = *x.device->driver;
  const MutexLock lock(x.device->capture_mutex);
  if (driver.cuStreamBeginCapture(x.own_stream, kCaptureThreadLocal) != kCudaSuccess)
    return nullptr;
  const std::uint64_t launches = x.stats.launches;
  const tenon_status status = Enqueuer(c, x, x.own_stream, false).run();
  x.stats.launches = launches;  // nothing was launched
  Handle graph = nullptr;
  Handle executable = nullptr;
  const bool is_captured =
      driver.cuStreamEndCapture(x.own_stream, &graph) == kCudaSuccess && graph != nullptr;
  if (is_captured && status == TENON_OK &&
      driver.cuGraphInstantiate(&executable, graph, 0) == kCudaSuccess)
    ++x.stats.graph_captures;
  if (is_captured) driver.cuGraphDestroy(graph);
  return executable;
}

tenon_status enqueue(tenon_context& c, DeviceContext& x, const DLTensor* inputs,
                     const DLTensor* results) {
  const bool is_stepwise = c.times != nullptr || x.is_sync_always;
  if (is_stepwise || !x.uses_graphs || !x.has_graphs)
    return enqueue_steps(c, x, x.stream, is_stepwise);
  const std::size_t num_inputs = c.model->info.num_inputs;
  for (std::size_t i = 0; i < x.addresses.size(); ++i)
    x.addresses[i] = rt::first_element(i < num_inputs ? inputs[i] : results[i - num_inputs]);
  bool was_known = false;
  GraphCache::Entry& entry = x.graphs.find(*x.device->driver, x.addresses.data(), &was_known);
  if (was_known && entry.graph == nullptr && !entry.is_refused) {
    entry.graph = x.num_enqueued <= kMaxGraphNodes ? capture(c, x) : nullptr;
    entry.is_refused = entry.graph == nullptr;
  }
  if (entry.graph == nullptr) return enqueue_steps(c, x, x.stream, false);
  ++x.stats.graph_launches;
  char plan[128];
  snprintf(plan, sizeof(plan), "%.*s", TENON_PLAN_STRING(c.model, c.model->info.name));
  return check(*x.device, x.device->driver->cuGraphLaunch(entry.graph, x.stream), "cuGraphLaunch",
               plan);
}

}  // namespace

tenon_status enqueue_steps(tenon_context& c, DeviceContext& x, Handle stream, bool is_stepwise) {
  return Enqueuer(c, x, stream, is_stepwise).run();
}

tenon_status wait_for_run(tenon_context& c, DeviceContext& x) {
  const tenon_model& m = *c.model;
  Device& d = *x.device;
  char plan[128];
  snprintf(plan, sizeof(plan), "%.*s", TENON_PLAN_STRING(&m, m.info.name));
  const std::size_t num_records = x.error_records.size();
  tenon_status status = TENON_OK;
  if (num_records != 0) {
    status = check(d,
                   d.driver->cuMemcpyDtoHAsync(x.error_records.data(), address_of(x.errors),
                                               num_records * sizeof(ErrorRecord), x.stream),
                   "cuMemcpyDtoHAsync", plan);
  }
  const tenon_status waited = check(d, d.driver->cuStreamSynchronize(x.stream), "waiting", plan);
  if (status == TENON_OK) status = waited;
  if (status != TENON_OK) return status;
  for (std::size_t i = 0; i < num_records; ++i) {
    const ErrorRecord& e = x.error_records[i];
    if (e.claimed == 0) continue;
    return rt::index_error(m, m.kernels[m.steps[i].index], {e.site, 0, e.value, e.extent});
  }
  return TENON_OK;
}

}  // namespace tenon::device

namespace tenon::rt {

tenon_status run_device_steps(tenon_context& c, const DLTensor* inputs, const DLTensor* results) {
  device::DeviceContext& x = *static_cast<device::DeviceContext*>(c.on_device);
  if (x.device->lost.load(std::memory_order_acquire) != device::kCudaSuccess)
    return device::lost_error(*x.device);
  set_argument_pointers(c, inputs, results);
  const device::CurrentContext current(*x.device);
  const std::uint64_t launches = x.stats.launches;
  tenon_status status = device::enqueue(c, x, inputs, results);
  c.stats.kernel_calls += x.stats.launches - launches;
  ++c.stats.runs;
  if (status != TENON_OK) {
    // What was enqueued still uses the arguments.
    x.device->driver->cuStreamSynchronize(x.stream);
    return status;
  }
  return x.is_async ? TENON_OK : device::wait_for_run(c, x);
}

}  // namespace tenon::rt
