#pragma once

/// What the executor needs of the part of the runtime that knows GPUs (src/runtime/device).
/// Libraries for the CPU are linked with no_device.cpp in its place.

#include <cstdint>

#include "runtime/rt/context.h"

namespace tenon::rt {

inline bool is_on_device(const tenon_model& model) {
  return model.device_kind != plan_format::DeviceKind::kHost;
}

/// Brings code and constants of the model onto its device, once; later calls cost a load.
tenon_status attach_device(tenon_model& model);
/// Gives them back; the model is used no more.
void detach_device(tenon_model& model);
/// The address of a constant on the device. The model is attached.
const void* device_constant(const tenon_model& model, std::uint32_t constant);

/// Makes `context.workspace` at least `bytes` long.
tenon_status device_workspace(tenon_context& context, std::uint64_t bytes);
/// Checks launches against the limits of the device and computes what does not change between runs.
/// Sizes and pointers are bound.
tenon_status bind_launches(tenon_context& context);
/// run_steps for a plan on a device.
tenon_status run_device_steps(tenon_context& context, const DLTensor* inputs,
                              const DLTensor* results);
/// Gives workspace, stream and graphs back.
void release_device_context(tenon_context& context);

}  // namespace tenon::rt
