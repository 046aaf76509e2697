#include <stdio.h>

#include "runtime/device/device_context.h"
#include "runtime/rt/device_part.h"
#include "runtime/rt/message.h"

namespace tenon::device {
namespace {

using namespace plan_format;  // NOLINT(google-build-using-namespace): this file is about these
                              // records
using rt::fail;

/// One launch and what messages say about it.
class LaunchBinder {
 public:
  LaunchBinder(const tenon_context& c, const DeviceContext& on_device, const LaunchRecord& launch)
      : c_(c),
        m_(*c.model),
        d_(*on_device.device),
        l_(launch),
        kernel_(device_model(*c.model).kernels[launch.kernel]) {}

  tenon_status bind(BoundLaunch& bound) {
    tenon_status status = check_block();
    if (status == TENON_OK) status = check_shared();
    for (int axis = 0; axis < 3 && status == TENON_OK; ++axis) {
      const std::int64_t value = c_.registers[l_.grid[axis]];
      // Axis x of the format is 32 bits wide, the device's limit below that.
      bound.grid[axis] = value > 0 && value <= d_.max_grid[axis] ? static_cast<unsigned>(value) : 0;
      if (value > d_.max_grid[axis]) status = grid_error(axis, value);
    }
    return status;
  }

 private:
  /// "plan: kernel 'k'".
  void append_kernel(rt::TextBuffer& text) const {
    text.append("%.*s: kernel '%.*s'", TENON_PLAN_STRING(&m_, m_.info.name),
                TENON_PLAN_STRING(&m_, m_.device_kernels[l_.kernel].name));
  }
  /// " (loop i_outer)", or nothing where no loop is bound to the axis.
  void append_loop(rt::TextBuffer& text, const StringRef& loop) const {
    if (loop.length != 0) text.append(" (loop %.*s)", TENON_PLAN_STRING(&m_, loop));
  }

  tenon_status grid_error(int axis, std::int64_t value) const {
    rt::TextBuffer text;
    append_kernel(text);
    text.append(" has %lld blocks along blockIdx.%c", static_cast<long long>(value), "xyz"[axis]);
    append_loop(text, l_.loops[axis]);
    return fail(TENON_ERROR_TARGET, "E1127",
                "%s, cuda:%d allows %d\n  hint: bind that loop to blockIdx.x, or split it",
                text.str(), d_.number, d_.max_grid[axis]);
  }

  tenon_status check_block() const {
    const std::uint64_t threads = std::uint64_t{l_.block[0]} * l_.block[1] * l_.block[2];
    rt::TextBuffer text;
    append_kernel(text);
    if (l_.block[2] > static_cast<std::uint32_t>(d_.max_block_z)) {
      text.append(" has %u threads along threadIdx.z", l_.block[2]);
      append_loop(text, l_.loops[5]);
      return fail(TENON_ERROR_TARGET, "E1127",
                  "%s, cuda:%d allows %d\n  hint: bind that loop to threadIdx.x, or split it",
                  text.str(), d_.number, d_.max_block_z);
    }
    // Sides are bounded too, so that the product does not overflow.
    const std::uint64_t limit = static_cast<std::uint64_t>(d_.max_threads);
    if (l_.block[0] <= limit && l_.block[1] <= limit && threads <= limit &&
        threads <= static_cast<std::uint64_t>(kernel_.max_threads)) {
      return TENON_OK;
    }
    text.append(" has %u x %u x %u threads in a block", l_.block[0], l_.block[1], l_.block[2]);
    for (int axis = 0; axis < 3; ++axis) {
      if (l_.block[axis] > 1) append_loop(text, l_.loops[3 + axis]);
    }
    if (threads <= limit && l_.block[0] <= limit && l_.block[1] <= limit) {
      return fail(TENON_ERROR_TARGET, "E1127",
                  "%s, but its registers allow %d\n  hint: use smaller blocks or register tiles",
                  text.str(), kernel_.max_threads);
    }
    return fail(TENON_ERROR_TARGET, "E1127", "%s, cuda:%d allows %d\n  hint: split those loops",
                text.str(), d_.number, d_.max_threads);
  }

  tenon_status check_shared() const {
    const std::uint64_t own = static_cast<std::uint64_t>(kernel_.shared_bytes);
    const std::uint64_t fixed = own > l_.static_shared_bytes ? own : l_.static_shared_bytes;
    const std::uint64_t bytes = fixed + l_.dynamic_shared_bytes;
    if (bytes <= static_cast<std::uint64_t>(d_.max_shared_bytes)) return TENON_OK;
    rt::TextBuffer text;
    append_kernel(text);
    for (int axis = 0; axis < 3; ++axis) append_loop(text, l_.loops[axis]);
    return fail(TENON_ERROR_TARGET, "E1127",
                "%s has %llu bytes of shared memory in a block, cuda:%d allows %d\n  hint: use "
                "smaller tiles or fewer stages",
                text.str(), 0ull + bytes, d_.number, d_.max_shared_bytes);
  }

  const tenon_context& c_;
  const tenon_model& m_;
  const Device& d_;
  const LaunchRecord& l_;
  const LoadedKernel& kernel_;
};

bool is_scratch_in_range(const tenon_context& c, const LaunchRecord& l, const ParamRecord& p) {
  if (static_cast<ParamKind>(p.kind) != ParamKind::kScratch) return true;
  const std::uint32_t reg = c.model->steps[l.step].shared_bytes;
  const std::int64_t bytes = reg == kNone ? 0 : c.registers[reg];
  const std::int64_t offset = c.registers[p.index];
  return offset >= 0 && offset <= bytes;
}

/// What is more than 48 KiB of shared memory has to be asked for.
tenon_status set_shared_bytes(DeviceContext& on_device, const tenon_model& m,
                              const LaunchRecord& l) {
  constexpr std::uint32_t kFree = 48 << 10;
  const LoadedKernel& kernel = device_model(m).kernels[l.kernel];
  if (l.dynamic_shared_bytes + static_cast<std::uint32_t>(kernel.shared_bytes) <= kFree)
    return TENON_OK;
  // Several launches may share a kernel: the most that any of them needs.
  std::uint32_t most = 0;
  for (const LaunchRecord& other : m.launches) {
    if (other.kernel == l.kernel && other.dynamic_shared_bytes > most)
      most = other.dynamic_shared_bytes;
  }
  char name[128];
  snprintf(name, sizeof(name), "%.*s", TENON_PLAN_STRING(&m, m.device_kernels[l.kernel].name));
  return check(*on_device.device,
               on_device.device->driver->cuFuncSetAttribute(
                   kernel.function, kFunctionMaxDynamicSharedBytes, static_cast<int>(most)),
               "cuFuncSetAttribute", name);
}

/// True unless the data decide what runs.
bool is_static(const tenon_model& m) {
  for (const Step& s : m.steps) {
    const StepOp op = static_cast<StepOp>(s.op);
    if (op == StepOp::kBranch) return false;
    if (op != StepOp::kLoop) continue;
    const Region& r = m.regions[s.index];
    if (r.condition != kNone || r.count_buffer != kNone) return false;
  }
  return true;
}

tenon_status bind_all(tenon_context& c, DeviceContext& on_device) {
  const tenon_model& m = *c.model;
  std::uint32_t params = 0;
  std::uint32_t repeats = 0;
  for (std::size_t i = 0; i < m.launches.size(); ++i) {
    const LaunchRecord& l = m.launches[i];
    on_device.launches[i].params_begin = params;
    on_device.launches[i].repeats_begin = repeats;
    tenon_status status = LaunchBinder(c, on_device, l).bind(on_device.launches[i]);
    if (status == TENON_OK) status = set_shared_bytes(on_device, m, l);
    if (status != TENON_OK) return status;
    for (std::uint32_t k = 0; k < l.num_params; ++k) {
      if (is_scratch_in_range(c, l, m.params[params + k])) continue;
      return fail(TENON_ERROR_MODEL, "E0907",
                  "%.*s: parameter %u of launch %llu lies outside of the step's scratch memory",
                  TENON_PLAN_STRING(&m, m.info.name), k, 0ull + i);
    }
    params += l.num_params;
    repeats += l.num_repeats;
  }
  return TENON_OK;
}

}  // namespace
}  // namespace tenon::device

namespace tenon::rt {

tenon_status device_workspace(tenon_context& c, std::uint64_t bytes) {
  device::DeviceContext* on_device = nullptr;
  tenon_status status = device::get_device_context(c, &on_device);
  if (status != TENON_OK) return status;
  device::Device& d = *on_device->device;
  const device::CurrentContext current(d);
  // Runs that were not waited for may still use it.
  if (on_device->is_async) d.driver->cuStreamSynchronize(on_device->stream);
  d.pool.free(c.workspace);
  c.workspace = nullptr;
  c.workspace_bytes = 0;
  char owner[64];
  snprintf(owner, sizeof(owner), "workspace of %.*s",
           TENON_PLAN_STRING(c.model, c.model->info.name));
  status = d.pool.allocate(d, bytes, owner, on_device->stream, &c.workspace);
  if (status == TENON_OK) c.workspace_bytes = bytes;
  return status;
}

tenon_status bind_launches(tenon_context& c) {
  device::DeviceContext* on_device = nullptr;
  tenon_status status = device::get_device_context(c, &on_device);
  if (status != TENON_OK) return status;
  const device::CurrentContext current(*on_device->device);
  on_device->graphs.clear(*on_device->device->driver);
  on_device->has_graphs = device::is_static(*c.model);
  status = device::bind_all(c, *on_device);
  return status == TENON_OK ? device::bind_externs(c, *on_device) : status;
}

}  // namespace tenon::rt
