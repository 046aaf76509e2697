#include "tenon/driver/portable_kernel.h"

namespace tenon {

PortableKernel portable_kernel(const KernelObject& kernel) {
  return {serialize(plan_of(kernel)), kernel.object, kernel_symbol(kernel.function)};
}

struct LoadedKernel::State {
  std::vector<std::uint8_t> plan;  // the model may use it in place
  std::shared_ptr<const LoadedCode> code;
  tenon_model* model = nullptr;
  tenon_context* context = nullptr;

  ~State() {
    tenon_context_destroy(context);
    tenon_model_release(model);
  }
};

LoadedKernel::LoadedKernel(const PortableKernel& kernel) : state_(std::make_unique<State>()) {
  state_->plan = kernel.plan;
  state_->code = load_object(kernel.object);
  const auto entry = reinterpret_cast<tenon_kernel_fn>(state_->code->address(kernel.symbol));
  tenon_load_options options = {};
  options.struct_bytes = sizeof(options);
  options.kernels = &entry;
  options.num_kernels = 1;
  throw_if_error(
      tenon_model_load_memory(state_->plan.data(), state_->plan.size(), &options, &state_->model));
  throw_if_error(tenon_context_create(state_->model, &state_->context));
}

LoadedKernel::~LoadedKernel() = default;

void LoadedKernel::run(std::span<const DLTensor> inputs, std::span<const DLTensor> results) {
  throw_if_error(tenon_context_run(state_->context, inputs.data(),
                                   static_cast<std::int32_t>(inputs.size()), results.data(),
                                   static_cast<std::int32_t>(results.size())));
}

}  // namespace tenon
