#include <stdio.h>

#include "runtime/device/device_context.h"

namespace tenon::device {
namespace {

using namespace plan_format;  // NOLINT(google-build-using-namespace): this file is about these
                              // records

bool is_extern(const Step& s) { return static_cast<StepOp>(s.op) == StepOp::kExtern; }

tenon_status prepare(tenon_context& c, DeviceContext& x, std::uint32_t i) {
  const tenon_model& m = *c.model;
  const Step& s = m.steps[i];
  const ExternRecord& e = m.externs[s.index];
  char subject[192];
  extern_subject(m, i, subject, sizeof(subject));
  std::int64_t bytes[kMaxExternBuffers];
  for (std::uint32_t k = 0; k < s.buffers.count; ++k)
    bytes[k] = c.buffers[m.indices[s.buffers.begin + k]].bytes;
  ExternProblem problem = {};
  problem.device = x.device;
  problem.subject = subject;
  problem.sizes = c.sizes.data() + c.steps[i].sizes;
  problem.num_sizes = s.sizes.count;
  problem.buffer_bytes = bytes;
  problem.num_buffers = s.buffers.count;
  problem.num_operands = e.num_operands;
  problem.attributes = m.strings.data() + e.attributes.offset;
  problem.attribute_bytes = e.attributes.length;
  problem.workspace_bytes =
      s.shared_bytes == kNone ? 0 : static_cast<std::uint64_t>(c.registers[s.shared_bytes]);
  return device_model(m).externs[s.index]->prepare(problem, &x.externs[i]);
}

}  // namespace

void extern_subject(const tenon_model& m, std::uint32_t step, char* text, std::size_t bytes) {
  snprintf(text, bytes, "'%.*s' of '%.*s'",
           TENON_PLAN_STRING(&m, m.externs[m.steps[step].index].name),
           TENON_PLAN_STRING(&m, m.info.name));
}

void release_externs(const tenon_model& m, DeviceContext& x) {
  for (std::size_t i = 0; i < x.externs.size(); ++i) {
    if (x.externs[i] == nullptr) continue;
    device_model(m).externs[m.steps[i].index]->destroy(x.externs[i]);
    x.externs[i] = nullptr;
  }
}

tenon_status bind_externs(tenon_context& c, DeviceContext& x) {
  const tenon_model& m = *c.model;
  release_externs(m, x);
  tenon_status status = TENON_OK;
  for (std::uint32_t i = 0; i < x.externs.size() && status == TENON_OK; ++i) {
    if (is_extern(m.steps[i])) status = prepare(c, x, i);
  }
  return status;
}

}  // namespace tenon::device
