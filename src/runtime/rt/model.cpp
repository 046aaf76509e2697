#include "runtime/rt/model.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

#include "runtime/rt/check_constants.h"
#include "runtime/rt/device_part.h"
#include "runtime/rt/message.h"
#include "runtime/rt/plan_reader.h"

namespace tenon::rt {
namespace {

using plan_format::Argument;
using plan_format::Constant;

tenon_status out_of_memory() {
  return fail(TENON_ERROR_RESOURCE, "E1001", "out of memory while loading a plan");
}

tenon_status connect_kernels(const tenon_load_options& options, tenon_model& model) {
  // The code of a plan for a device is in the plan.
  if (model.device_kind != plan_format::DeviceKind::kHost && options.num_kernels == 0)
    return TENON_OK;
  if (options.num_kernels != model.kernels.size()) {
    return fail(TENON_ERROR_MODEL, "E0910",
                "the plan has %llu kernels but %llu functions were given",
                0ull + model.kernels.size(), 0ull + options.num_kernels);
  }
  for (std::uint64_t i = 0; i < options.num_kernels; ++i) {
    if (options.kernels[i] == nullptr)
      return fail(TENON_ERROR_MODEL, "E0910", "the function of kernel %llu is null", 0ull + i);
  }
  return model.functions.copy_from(options.kernels, options.num_kernels) ? TENON_OK
                                                                         : out_of_memory();
}

/// An embedded constant: in place when aligned, otherwise a copy in aligned memory.
tenon_status connect_embedded(const Constant& constant, const PlanData& data, std::size_t i,
                              tenon_model& model) {
  const unsigned char* bytes = data.bytes + constant.offset;
  if (reinterpret_cast<std::uintptr_t>(bytes) % constant.alignment == 0) {
    model.constant_data[i] = bytes;
    return TENON_OK;
  }
  // The pool aligns to 64 bytes; a larger alignment is made by hand.
  const std::uint64_t slack = constant.alignment > 64 ? constant.alignment : 0;
  char* memory = static_cast<char*>(tenon_pool_allocate(constant.bytes + slack));
  if (memory == nullptr) return out_of_memory();
  model.owned_constants[i] = memory;
  const std::uintptr_t address = reinterpret_cast<std::uintptr_t>(memory);
  char* aligned =
      memory + ((constant.alignment - address % constant.alignment) % constant.alignment);
  if (constant.bytes != 0) memcpy(aligned, bytes, constant.bytes);
  model.constant_data[i] = aligned;
  return TENON_OK;
}

tenon_status connect_constant(std::size_t i, const PlanData& data,
                              const tenon_load_options& options, tenon_model& model) {
  const Constant& constant = model.constants[i];
  if (constant.embedded == 1) {
    const tenon_status status = connect_embedded(constant, data, i, model);
    if (status != TENON_OK) return status;
  } else {
    const void* memory =
        i < options.num_constants && options.constants != nullptr ? options.constants[i] : nullptr;
    if (memory == nullptr && constant.bytes != 0) {
      return fail(TENON_ERROR_MODEL, "E0910", "no memory was given for constant '%.*s'",
                  TENON_PLAN_STRING(&model, constant.name));
    }
    if (reinterpret_cast<std::uintptr_t>(memory) % constant.alignment != 0) {
      return fail(TENON_ERROR_MODEL, "E0910",
                  "the memory of constant '%.*s' is not aligned to %u bytes",
                  TENON_PLAN_STRING(&model, constant.name), constant.alignment);
    }
    model.constant_data[i] = memory;
  }
  return TENON_OK;
}

tenon_status connect_constants(const PlanData& data, const tenon_load_options& options,
                               tenon_model& model) {
  if (!model.constant_data.allocate(model.constants.size()) ||
      !model.owned_constants.allocate(model.constants.size())) {
    return out_of_memory();
  }
  for (std::size_t i = 0; i < model.constants.size(); ++i) {
    const tenon_status status = connect_constant(i, data, options, model);
    if (status != TENON_OK) return status;
  }
  return TENON_OK;
}

/// Terminated copies of the arguments' names.
tenon_status copy_names(tenon_model& model) {
  std::uint64_t bytes = 0;
  for (const Argument& a : model.arguments) bytes += std::uint64_t{a.name.length} + 1;
  // Names do not share bytes, so that this table is never larger than the plan.
  if (bytes > model.strings.size() + model.arguments.size()) {
    return fail(TENON_ERROR_MODEL, "E0907",
                "the plan is damaged or not a plan: its argument names take %llu bytes",
                0ull + bytes);
  }
  if (!model.argument_names.allocate(bytes) || !model.name_offsets.allocate(model.arguments.size()))
    return out_of_memory();
  std::uint32_t offset = 0;
  for (std::size_t i = 0; i < model.arguments.size(); ++i) {
    const plan_format::StringRef name = model.arguments[i].name;
    model.name_offsets[i] = offset;
    memcpy(model.argument_names.data() + offset, model.strings.data() + name.offset, name.length);
    offset += name.length + 1;
  }
  return TENON_OK;
}

void destroy_model(tenon_model* model) {
  if (model->on_device.load() != nullptr) detach_device(*model);
  for (void* memory : model->owned_constants) tenon_pool_free(memory);
  void* library = model->library;
  free_object(model);
  if (library != nullptr) dlclose(library);
}

}  // namespace

tenon_status load_model(const void* plan, std::uint64_t plan_bytes,
                        const tenon_load_options& options, tenon_model** out) {
  tenon_model* model = make_object<tenon_model>();
  if (model == nullptr) return out_of_memory();
  PlanData data = {static_cast<const unsigned char*>(options.data), options.data_bytes};
  tenon_status status = read_plan(plan, plan_bytes, *model, data);
  if (status == TENON_OK) status = check_constants(*model, data);
  if (status == TENON_OK) status = connect_kernels(options, *model);
  if (status == TENON_OK) status = connect_constants(data, options, *model);
  if (status == TENON_OK) status = copy_names(*model);
  if (is_on_device(*model)) model->device = {kDLCUDA, options.device_id};
  if (status != TENON_OK) {
    destroy_model(model);
    return status;
  }
  *out = model;
  return TENON_OK;
}

}  // namespace tenon::rt

using namespace tenon::rt;  // NOLINT(google-build-using-namespace): the C functions below are this
                            // file's surface

extern "C" {

tenon_status tenon_model_load_memory(const void* plan, uint64_t plan_bytes,
                                     const tenon_load_options* options, tenon_model** out) {
  // Callers built against version 1.1 have no device_id.
  constexpr uint64_t kOldest = offsetof(tenon_load_options, device_id);
  if (out == nullptr || options == nullptr || options->struct_bytes < kOldest ||
      (options->kernels == nullptr && options->num_kernels != 0)) {
    return fail(TENON_ERROR_USAGE, "E1006",
                "tenon_model_load_memory: options or out is null or not initialised");
  }
  tenon_load_options known = {};
  memcpy(&known, options,
         options->struct_bytes < sizeof(known) ? options->struct_bytes : sizeof(known));
  return load_model(plan, plan_bytes, known, out);
}

void tenon_model_retain(tenon_model* model) {
  if (model != nullptr) model->ref_count.fetch_add(1, std::memory_order_relaxed);
}

void tenon_model_release(tenon_model* model) {
  if (model != nullptr && model->ref_count.fetch_sub(1, std::memory_order_acq_rel) == 1)
    destroy_model(model);
}

int32_t tenon_model_num_inputs(const tenon_model* model) {
  return model != nullptr ? static_cast<int32_t>(model->info.num_inputs) : 0;
}

int32_t tenon_model_num_results(const tenon_model* model) {
  return model != nullptr ? static_cast<int32_t>(model->info.num_results) : 0;
}

const char* tenon_model_level(const tenon_model* model) {
  return model != nullptr ? model->level : "";
}

tenon_status tenon_model_argument(const tenon_model* model, int32_t index,
                                  tenon_argument_info* out) {
  if (model == nullptr || out == nullptr || index < 0 ||
      static_cast<std::size_t>(index) >= model->arguments.size()) {
    return fail(TENON_ERROR_USAGE, "E1006", "tenon_model_argument: no argument %d", index);
  }
  const tenon::plan_format::Argument& a = model->arguments[static_cast<std::size_t>(index)];
  out->name = model->argument_names.data() + model->name_offsets[static_cast<std::size_t>(index)];
  out->dtype = {a.code, a.bits, a.lanes};
  out->rank = static_cast<int32_t>(a.dims.count);
  return TENON_OK;
}

}  // extern "C"
