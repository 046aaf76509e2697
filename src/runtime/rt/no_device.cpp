#include "runtime/rt/device_part.h"
#include "runtime/rt/message.h"

namespace tenon::rt {

tenon_status attach_device(tenon_model&) {
  return fail(TENON_ERROR_UNSUPPORTED, "E1131",
              "this runtime is for the CPU and does not run plans for a GPU");
}

// Nothing is attached, so that none of these is called.
void detach_device(tenon_model&) {}
const void* device_constant(const tenon_model&, std::uint32_t) { return nullptr; }
tenon_status device_workspace(tenon_context&, std::uint64_t) { return TENON_ERROR_UNSUPPORTED; }
tenon_status bind_launches(tenon_context&) { return TENON_ERROR_UNSUPPORTED; }
tenon_status run_device_steps(tenon_context&, const DLTensor*, const DLTensor*) {
  return TENON_ERROR_UNSUPPORTED;
}
void release_device_context(tenon_context&) {}

}  // namespace tenon::rt
