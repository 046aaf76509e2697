#include "runtime/device/device_model.h"

#include <stdio.h>
#include <string.h>

#include "runtime/rt/device_part.h"
#include "runtime/rt/message.h"

namespace tenon::device {
namespace {

using namespace plan_format;  // NOLINT(google-build-using-namespace): this file is about these
                              // records
using rt::fail;

pthread_mutex_t attach_mutex = PTHREAD_MUTEX_INITIALIZER;

constexpr std::uint64_t kConstantAlignment = 256;

/// Printf arguments: "'name' of plan" texts are cut to this.
void name_of(const tenon_model& m, char* text, std::size_t bytes, const char* what) {
  snprintf(text, bytes, "%s%.*s", what, TENON_PLAN_STRING(&m, m.info.name));
}

tenon_status wrong_arch(const tenon_model& m, const Device& d, const CubinRecord& c) {
  return fail(TENON_ERROR_TARGET, "E1124",
              "%.*s: its code is for %.*s, but cuda:%d (%s) is sm_%d%d\n  hint: compile it for "
              "\"cuda -arch=sm_%d%d\"",
              TENON_PLAN_STRING(&m, m.info.name), TENON_PLAN_STRING(&m, c.arch), d.number, d.name,
              d.major, d.minor, d.major, d.minor);
}

tenon_status load_cubin(const tenon_model& m, std::uint32_t index, DeviceModel& on_device) {
  Handle& module = on_device.modules[index];
  if (module != nullptr) return TENON_OK;
  Device& d = *on_device.device;
  const CubinRecord& c = m.cubins[index];
  if (!runs_on(m.strings.data() + c.arch.offset, c.arch.length, d.major, d.minor))
    return wrong_arch(m, d, c);
  const Result result = d.driver->cuModuleLoadData(&module, m.code.data() + c.offset);
  if (result == kCudaNoBinaryForGpu) return wrong_arch(m, d, c);
  if (result == kCudaInvalidImage) {
    return fail(TENON_ERROR_MODEL, "E1130",
                "%.*s: the driver does not take cubin %u for %.*s\n  hint: build the plan again",
                TENON_PLAN_STRING(&m, m.info.name), index, TENON_PLAN_STRING(&m, c.arch));
  }
  char plan[128];
  name_of(m, plan, sizeof(plan), "");
  return check(d, result, "cuModuleLoadData", plan);
}

tenon_status load_kernel(const tenon_model& m, std::size_t i, DeviceModel& on_device) {
  const DeviceKernelRecord& k = m.device_kernels[i];
  const tenon_status status = load_cubin(m, k.cubin, on_device);
  if (status != TENON_OK) return status;
  Device& d = *on_device.device;
  char name[512];
  snprintf(name, sizeof(name), "%.*s", TENON_PLAN_STRING(&m, k.name));
  LoadedKernel& loaded = on_device.kernels[i];
  Result result = d.driver->cuModuleGetFunction(&loaded.function, on_device.modules[k.cubin], name);
  if (result == kCudaNotFound) {
    return fail(TENON_ERROR_MODEL, "E1130", "%.*s: cubin %u has no kernel '%s'",
                TENON_PLAN_STRING(&m, m.info.name), k.cubin, name);
  }
  if (result == kCudaSuccess) {
    result =
        d.driver->cuFuncGetAttribute(&loaded.max_threads, kFunctionMaxThreads, loaded.function);
  }
  if (result == kCudaSuccess) {
    result =
        d.driver->cuFuncGetAttribute(&loaded.shared_bytes, kFunctionSharedBytes, loaded.function);
  }
  return check(d, result, "cuModuleGetFunction", name);
}

tenon_status find_externs(const tenon_model& m, DeviceModel& on_device) {
  for (std::size_t i = 0; i < m.externs.size(); ++i) {
    const StringRef& name = m.externs[i].name;
    on_device.externs[i] = find_routine(m.strings.data() + name.offset, name.length);
    if (on_device.externs[i] != nullptr) continue;
    return fail(TENON_ERROR_UNSUPPORTED, "E1312",
                "%.*s: it calls '%.*s', which this runtime does not know\n  hint: use a newer "
                "Tenon, or build the plan without libraries",
                TENON_PLAN_STRING(&m, m.info.name), TENON_PLAN_STRING(&m, name));
  }
  return TENON_OK;
}

/// One block of memory for all constants.
tenon_status load_constants(const tenon_model& m, DeviceModel& on_device) {
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < m.constants.size(); ++i) {
    on_device.offsets[i] = bytes;
    bytes +=
        (m.constants[i].bytes + kConstantAlignment - 1) / kConstantAlignment * kConstantAlignment;
  }
  if (bytes == 0) return TENON_OK;
  Device& d = *on_device.device;
  char owner[64];
  name_of(m, owner, sizeof(owner), "constants of ");
  tenon_status status = d.pool.allocate(d, bytes, owner, d.stream, &on_device.constants);
  for (std::size_t i = 0; i < m.constants.size() && status == TENON_OK; ++i) {
    const Address to = reinterpret_cast<Address>(on_device.constants) + on_device.offsets[i];
    status = check(
        d, d.driver->cuMemcpyHtoDAsync(to, m.constant_data[i], m.constants[i].bytes, d.stream),
        "cuMemcpyHtoD", owner);
  }
  if (status == TENON_OK)
    status = check(d, d.driver->cuStreamSynchronize(d.stream), "waiting", owner);
  return status;
}

void destroy(DeviceModel* on_device) {
  Device& d = *on_device->device;
  if (d.lost.load() == kCudaSuccess) {
    const CurrentContext current(d);
    for (const Handle module : on_device->modules) {
      if (module != nullptr) d.driver->cuModuleUnload(module);
    }
    d.pool.free(on_device->constants);
  }
  rt::free_object(on_device);
}

tenon_status load(const tenon_model& m, DeviceModel** out) {
  Device* device = nullptr;
  tenon_status status = get_device(m.device.device_id, &device);
  if (status != TENON_OK) return status;
  DeviceModel* on_device = rt::make_object<DeviceModel>();
  if (on_device == nullptr || !on_device->modules.allocate(m.cubins.size()) ||
      !on_device->kernels.allocate(m.device_kernels.size()) ||
      !on_device->externs.allocate(m.externs.size()) ||
      !on_device->offsets.allocate(m.constants.size())) {
    rt::free_object(on_device);
    return fail(TENON_ERROR_RESOURCE, "E1001", "out of memory while loading a plan");
  }
  on_device->device = device;
  {
    const CurrentContext current(*device);
    for (std::size_t i = 0; i < m.device_kernels.size() && status == TENON_OK; ++i)
      status = load_kernel(m, i, *on_device);
    if (status == TENON_OK) status = find_externs(m, *on_device);
    if (status == TENON_OK) status = load_constants(m, *on_device);
  }
  if (status != TENON_OK) {
    destroy(on_device);
    return status;
  }
  *out = on_device;
  return TENON_OK;
}

}  // namespace

bool runs_on(const char* arch, std::size_t length, int major, int minor) {
  char text[16] = {};
  if (length < 5 || length >= sizeof(text) || memcmp(arch, "sm_", 3) != 0) return false;
  memcpy(text, arch, length);
  int capability = 0;
  std::size_t at = 3;
  for (; text[at] >= '0' && text[at] <= '9'; ++at) capability = capability * 10 + (text[at] - '0');
  const bool is_specific = text[at] == 'a';
  if (text[at] != '\0' && (!is_specific || text[at + 1] != '\0')) return false;
  if (capability / 10 != major) return false;
  return is_specific ? capability % 10 == minor : capability % 10 <= minor;
}

}  // namespace tenon::device

namespace tenon::rt {

tenon_status attach_device(tenon_model& model) {
  if (model.on_device.load(std::memory_order_acquire) != nullptr) {
    device::Device* device = nullptr;
    return device::get_device(model.device.device_id, &device);  // it may be lost
  }
  const device::MutexLock lock(device::attach_mutex);
  if (model.on_device.load(std::memory_order_relaxed) != nullptr) return TENON_OK;
  device::DeviceModel* on_device = nullptr;
  const tenon_status status = device::load(model, &on_device);
  if (status == TENON_OK) model.on_device.store(on_device, std::memory_order_release);
  return status;
}

void detach_device(tenon_model& model) {
  device::destroy(static_cast<device::DeviceModel*>(model.on_device.exchange(nullptr)));
}

const void* device_constant(const tenon_model& model, std::uint32_t constant) {
  const device::DeviceModel& on_device = device::device_model(model);
  return static_cast<const char*>(on_device.constants) + on_device.offsets[constant];
}

}  // namespace tenon::rt

extern "C" DLDevice tenon_model_device(const tenon_model* model) {
  return model != nullptr ? model->device : DLDevice{kDLCPU, 0};
}
