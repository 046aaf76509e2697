#pragma once

/// What a model has on its device: loaded code and constants.

#include "runtime/device/device.h"
#include "runtime/device/extern_routine.h"
#include "runtime/rt/model.h"

namespace tenon::device {

/// A kernel, loaded.
struct LoadedKernel {
  Handle function;
  int max_threads;   ///< of a block, by its registers
  int shared_bytes;  ///< of its own
};

/// `tenon_model::on_device`. Immutable after loading.
struct DeviceModel {
  Device* device = nullptr;
  rt::Block<Handle> modules;                ///< of each cubin; null where no kernel uses it
  rt::Block<LoadedKernel> kernels;          ///< of each device kernel
  rt::Block<const ExternRoutine*> externs;  ///< of each extern record
  void* constants = nullptr;                ///< one block of the pool
  rt::Block<std::uint64_t> offsets;         ///< of each constant in it
};

inline const DeviceModel& device_model(const tenon_model& model) {
  return *static_cast<const DeviceModel*>(model.on_device.load(std::memory_order_acquire));
}

/// Whether code for `arch` ("sm_80", "sm_90a") runs on a device of this compute capability: the
/// same major version and no higher minor one; with a suffix the same of both.
bool runs_on(const char* arch, std::size_t length, int major, int minor);

}  // namespace tenon::device
