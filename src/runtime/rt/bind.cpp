#include <string.h>

#include "runtime/rt/context.h"
#include "runtime/rt/device_part.h"
#include "runtime/rt/message.h"

namespace tenon::rt {
namespace {

using namespace plan_format;  // NOLINT(google-build-using-namespace): this file is about these
                              // records

constexpr std::int64_t kMaxBytes = std::int64_t{1} << 46;

tenon_status too_large(const tenon_model& m, const char* what) {
  return fail(TENON_ERROR_SHAPE, "E0458",
              "%.*s: the size of %s is negative or beyond 2^46 bytes for these shapes",
              TENON_PLAN_STRING(&m, m.info.name), what);
}

/// A register's value as a number of bytes; 0 for kNone, -1 when out of range.
std::int64_t bytes_register(const tenon_context& c, std::uint32_t reg) {
  if (reg == kNone) return 0;
  const std::int64_t value = c.registers[reg];
  return value >= 0 && value <= kMaxBytes ? value : -1;
}

/// Dims and strides of one argument, and the bytes that they span.
tenon_status bind_argument(tenon_context& c, std::size_t i) {
  const tenon_model& m = *c.model;
  const Argument& a = m.arguments[i];
  std::int64_t* dims = c.dims.data() + c.dims_begin[i];
  std::int64_t* strides = c.strides.data() + c.dims_begin[i];
  const std::int64_t element = a.bits / 8;
  std::int64_t row_major = 1;
  std::int64_t last = 0;  // index of the last element
  bool empty = false;
  bool fits = true;
  for (std::uint32_t k = a.dims.count; k-- > 0;) {
    dims[k] = c.registers[m.indices[a.dims.begin + k]];
    strides[k] = a.strides.count != 0 ? c.registers[m.indices[a.strides.begin + k]] : row_major;
    fits = fits && dims[k] >= 0 && strides[k] >= 0;
    empty = empty || dims[k] == 0;
    std::int64_t reach = 0;
    fits = fits && !__builtin_mul_overflow(row_major, dims[k] > 0 ? dims[k] : 1, &row_major);
    fits = fits && !__builtin_mul_overflow(dims[k] > 0 ? dims[k] - 1 : 0, strides[k], &reach);
    fits = fits && !__builtin_add_overflow(last, reach, &last) && last < kMaxBytes / element &&
           row_major <= kMaxBytes / element;
  }
  TextBuffer what;
  what.append("'%.*s'", TENON_PLAN_STRING(&m, a.name));
  if (!fits) return too_large(m, what.str());
  c.arguments[i].bytes = empty ? 0 : (last + 1) * element;
  c.arguments[i].alignment = a.alignment != 0 ? a.alignment : static_cast<std::uintptr_t>(element);
  return TENON_OK;
}

/// Bytes that a buffer record may lie in.
std::int64_t container_bytes(const tenon_context& c, const BufferRecord& b,
                             std::int64_t arena_bytes) {
  switch (static_cast<BufferKind>(b.kind)) {
    case BufferKind::kArgument:
      return c.arguments[b.index].bytes;
    case BufferKind::kConstant:
      return static_cast<std::int64_t>(c.model->constants[b.index].bytes);
    case BufferKind::kWorkspace:
      return arena_bytes;
  }
  return 0;
}

constexpr std::int64_t kIdle = -1;

/// The most that moves shift each buffer, in `shifts`; kIdle where one is of a loop without
/// iterations, so that the buffer is not used.
tenon_status bind_moves(tenon_context& c) {
  const tenon_model& m = *c.model;
  for (std::int64_t& shift : c.shifts) shift = 0;
  for (const Move& v : m.moves) {
    const std::int64_t stride = bytes_register(c, v.stride);
    if (stride < 0) return too_large(m, "a step of a loop");
    const std::int64_t count = c.registers[m.regions[m.steps[v.loop].index].count];
    const MoveKind kind = static_cast<MoveKind>(v.kind);
    const bool is_slice = kind == MoveKind::kForward || kind == MoveKind::kBackward;
    std::int64_t& shift = c.shifts[v.buffer];
    std::int64_t most = stride;
    if (is_slice && count <= 0) shift = kIdle;
    if (shift == kIdle) continue;
    if (is_slice && __builtin_mul_overflow(stride, count - 1, &most)) most = kMaxBytes + 1;
    if (most > kMaxBytes - shift) return too_large(m, "what a loop goes over");
    shift += most;
  }
  return TENON_OK;
}

tenon_status bind_buffer(tenon_context& c, std::size_t i, std::int64_t arena_bytes) {
  const tenon_model& m = *c.model;
  const BufferRecord& b = m.buffers[i];
  const std::int64_t container = container_bytes(c, b, arena_bytes);
  const std::int64_t offset = bytes_register(c, b.offset_bytes);
  std::int64_t bytes = b.bytes == kNone ? container - offset : bytes_register(c, b.bytes);
  if (c.shifts[i] == kIdle && offset >= 0 && bytes >= 0) {
    c.buffers[i] = {0, bytes};
    return TENON_OK;
  }
  // All places that it moves to lie within its memory.
  if (bytes >= 0 && c.shifts[i] > 0) bytes += c.shifts[i];
  if (offset < 0 || bytes < 0 || offset > container || bytes > container - offset) {
    return fail(
        TENON_ERROR_MODEL, "E0907",
        "%.*s: buffer %llu of the plan does not fit its memory (%lld bytes at %lld of %lld)",
        TENON_PLAN_STRING(&m, m.info.name), 0ull + i, static_cast<long long>(bytes),
        static_cast<long long>(offset), static_cast<long long>(container));
  }
  c.buffers[i] = {offset, bytes - c.shifts[i]};
  return TENON_OK;
}

/// Scratch bytes of one step for `num_workers` threads; -1 when out of range.
std::int64_t scratch_bytes(const tenon_context& c, const Step& s) {
  const std::int64_t shared = bytes_register(c, s.shared_bytes);
  const std::int64_t worker = bytes_register(c, s.worker_bytes);
  std::int64_t total = 0;
  if (shared < 0 || worker < 0 ||
      __builtin_mul_overflow(worker, static_cast<std::int64_t>(c.num_workers), &total) ||
      __builtin_add_overflow(total, shared, &total) || total > kMaxBytes) {
    return -1;
  }
  return total;
}

/// Makes the workspace large enough for the arena and the largest step's scratch memory.
tenon_status bind_workspace(tenon_context& c, std::int64_t arena_bytes) {
  std::int64_t scratch = 0;
  for (const Step& s : c.model->steps) {
    const std::int64_t bytes = scratch_bytes(c, s);
    if (bytes < 0) return too_large(*c.model, "the workspace");
    if (bytes > scratch) scratch = bytes;
  }
  c.scratch_offset = (static_cast<std::uint64_t>(arena_bytes) + 63) / 64 * 64;
  const std::uint64_t needed = c.scratch_offset + static_cast<std::uint64_t>(scratch);
  if (needed <= c.workspace_bytes) return TENON_OK;
  if (is_on_device(*c.model)) return device_workspace(c, needed);
  tenon_pool_free(c.workspace);
  c.workspace_bytes = 0;
  c.workspace = tenon_pool_allocate(needed);
  if (c.workspace == nullptr) {
    return fail(TENON_ERROR_RESOURCE, "E1001", "%.*s: out of memory for a workspace of %llu bytes",
                TENON_PLAN_STRING(c.model, c.model->info.name), 0ull + needed);
  }
  c.workspace_bytes = needed;
  return TENON_OK;
}

/// The address of a buffer that does not move between calls; arguments' are set at each run.
void* fixed_address(const tenon_context& c, std::uint32_t buffer) {
  const BufferRecord& b = c.model->buffers[buffer];
  const std::int64_t offset = c.buffers[buffer].offset_bytes;
  if (static_cast<BufferKind>(b.kind) == BufferKind::kWorkspace)
    return static_cast<char*>(c.workspace) + offset;
  const void* constant =
      is_on_device(*c.model) ? device_constant(*c.model, b.index) : c.model->constant_data[b.index];
  // Kernels get plain pointers; they do not write constants.
  return const_cast<char*>(static_cast<const char*>(constant) + offset);
}

void bind_step(tenon_context& c, std::size_t i) {
  const tenon_model& m = *c.model;
  const Step& s = m.steps[i];
  for (std::uint32_t k = 0; k < s.buffers.count; ++k) {
    const std::uint32_t buffer = m.indices[s.buffers.begin + k];
    const std::uint32_t position = c.steps[i].pointers + k;
    if (static_cast<BufferKind>(m.buffers[buffer].kind) == BufferKind::kArgument) {
      c.uses[c.num_uses++] = {position, m.buffers[buffer].index, c.buffers[buffer].offset_bytes};
    } else {
      c.pointers[position] = fixed_address(c, buffer);
    }
  }
  for (std::uint32_t k = 0; k < s.sizes.count; ++k) {
    c.sizes[c.steps[i].sizes + k] = c.registers[m.indices[s.sizes.begin + k]];
  }
}

tenon_status check_copy(const tenon_context& c, const Step& s) {
  if (static_cast<StepOp>(s.op) != StepOp::kCopy) return TENON_OK;
  const std::int64_t to = c.buffers[c.model->indices[s.buffers.begin]].bytes;
  const std::int64_t from = c.buffers[c.model->indices[s.buffers.begin + 1]].bytes;
  if (to == from) return TENON_OK;
  return fail(TENON_ERROR_MODEL, "E0907", "%.*s: a copy step from %lld to %lld bytes",
              TENON_PLAN_STRING(c.model, c.model->info.name), static_cast<long long>(from),
              static_cast<long long>(to));
}

/// The lengths of what the runtime itself reads and writes for branches and loops.
tenon_status check_region(const tenon_context& c, std::size_t i) {
  const Step& s = c.model->steps[i];
  const StepOp op = static_cast<StepOp>(s.op);
  if (op != StepOp::kBranch && op != StepOp::kLoop) return TENON_OK;
  const Region& r = c.model->regions[s.index];
  const auto has = [&](std::uint32_t position, std::int64_t bytes) {
    return position == kNone ||
           c.buffers[c.model->indices[s.buffers.begin + position]].bytes >= bytes;
  };
  if (has(r.condition, 1) && has(r.count_buffer, 8) && has(r.iteration, 8)) return TENON_OK;
  return fail(TENON_ERROR_MODEL, "E0907", "%.*s: a buffer of step %llu is too short",
              TENON_PLAN_STRING(c.model, c.model->info.name), 0ull + i);
}

tenon_status bind_all(tenon_context& c, const DLTensor* inputs, std::int32_t num_inputs) {
  const tenon_model& m = *c.model;
  tenon_status status = check_inputs(m, inputs, num_inputs);
  if (status == TENON_OK && is_on_device(m)) status = attach_device(*c.model);
  if (status == TENON_OK) status = run_program(c, inputs);
  if (status == TENON_OK) status = check_shapes(c, inputs);
  for (std::size_t i = 0; i < m.arguments.size() && status == TENON_OK; ++i)
    status = bind_argument(c, i);
  if (status != TENON_OK) return status;
  const std::int64_t arena_bytes = bytes_register(c, m.info.arena_bytes);
  if (arena_bytes < 0) return too_large(m, "the workspace");
  status = bind_moves(c);
  for (std::size_t i = 0; i < m.buffers.size() && status == TENON_OK; ++i)
    status = bind_buffer(c, i, arena_bytes);
  for (std::size_t i = 0; i < m.steps.size() && status == TENON_OK; ++i) {
    status = check_copy(c, m.steps[i]);
    if (status == TENON_OK) status = check_region(c, i);
  }
  if (status == TENON_OK) status = bind_workspace(c, arena_bytes);
  if (status != TENON_OK) return status;
  c.num_uses = 0;
  for (std::size_t i = 0; i < m.steps.size(); ++i) bind_step(c, i);
  return is_on_device(m) ? bind_launches(c) : TENON_OK;
}

}  // namespace

namespace {

/// Threads that scratch memory is for; a device has its own.
std::int32_t num_workers_now(const tenon_model& m) {
  return is_on_device(m) ? 1 : tenon_get_num_threads();
}

}  // namespace

bool matches_binding(const tenon_context& c, const DLTensor* inputs, std::int32_t num_inputs) {
  const tenon_model& m = *c.model;
  if (!c.bound || c.num_workers != num_workers_now(m) ||
      static_cast<std::uint32_t>(num_inputs) != m.info.num_inputs)
    return false;
  for (std::size_t i = 0; i < m.info.num_inputs; ++i) {
    const DLTensor& t = inputs[i];
    const Argument& a = m.arguments[i];
    const DLDataType dtype = {a.code, a.bits, a.lanes};
    if (t.device.device_type != m.device.device_type ||
        (is_on_device(m) && t.device.device_id != m.device.device_id) ||
        memcmp(&t.dtype, &dtype, sizeof(dtype)) != 0)
      return false;
    if (static_cast<std::uint32_t>(t.ndim) != a.dims.count) return false;
    const std::int64_t* dims = c.dims.data() + c.dims_begin[i];
    for (std::uint32_t k = 0; k < a.dims.count; ++k) {
      if (t.shape[k] != dims[k]) return false;
    }
  }
  return true;
}

tenon_status bind(tenon_context& c, const DLTensor* inputs, std::int32_t num_inputs) {
  c.bound = false;
  c.num_workers = num_workers_now(*c.model);
  ++c.stats.binds;
  const tenon_status status = bind_all(c, inputs, num_inputs);
  c.bound = status == TENON_OK;
  c.stats.workspace_bytes = c.workspace_bytes;
  return status;
}

}  // namespace tenon::rt
