#pragma once

/// A loaded plan: the tables of plan_format.h, checked, with the kernels and constants that they
/// refer to.

#include <atomic>
#include <cstdint>

#include "runtime/rt/block.h"
#include "tenon/runtime/c_api.h"
#include "tenon/runtime/plan_format.h"

/// Immutable after loading, apart from the count.
///
/// **Well-formed means** that every index, list, string and register that a table holds is in
/// range, operands of an instruction come before it, each step has an opcode that this runtime
/// runs, regions nest, buffers that move forward or backward are used in their loops only, and
/// launches belong to launch steps: nothing that binds or runs checks them again.
struct tenon_model {
  std::atomic<std::int32_t> ref_count{1};
  tenon::plan_format::Info info = {};
  tenon::rt::Block<char> strings;
  tenon::rt::Block<tenon::plan_format::Instruction> program;
  tenon::rt::Block<std::uint32_t> indices;
  tenon::rt::Block<tenon::plan_format::Argument> arguments;
  tenon::rt::Block<tenon::plan_format::Symbol> symbols;
  tenon::rt::Block<tenon::plan_format::Check> checks;
  tenon::rt::Block<tenon::plan_format::BufferRecord> buffers;
  tenon::rt::Block<tenon::plan_format::Constant> constants;
  tenon::rt::Block<tenon::plan_format::KernelRecord> kernels;
  tenon::rt::Block<tenon::plan_format::Site> sites;
  tenon::rt::Block<tenon::plan_format::Step> steps;
  tenon::rt::Block<tenon::plan_format::Region> regions;
  tenon::rt::Block<tenon::plan_format::Move> moves;
  tenon::plan_format::DeviceKind device_kind = tenon::plan_format::DeviceKind::kHost;
  tenon::rt::Block<tenon::plan_format::CubinRecord> cubins;
  tenon::rt::Block<tenon::plan_format::DeviceKernelRecord> device_kernels;
  tenon::rt::Block<tenon::plan_format::LaunchRecord> launches;
  tenon::rt::Block<tenon::plan_format::ParamRecord> params;
  tenon::rt::Block<tenon::plan_format::RepeatRecord> repeats;
  tenon::rt::Block<unsigned char> code;
  tenon::rt::Block<tenon::plan_format::ExternRecord> externs;

  DLDevice device = {kDLCPU, 0};                 ///< where arguments and results are
  std::atomic<void*> on_device{nullptr};         ///< the device part's: loaded code and constants
  tenon::rt::Block<tenon_kernel_fn> functions;   ///< one for each kernel
  tenon::rt::Block<const void*> constant_data;   ///< one for each constant
  tenon::rt::Block<void*> owned_constants;       ///< copies, from the pool; null entries
  tenon::rt::Block<char> argument_names;         ///< terminated
  tenon::rt::Block<std::uint32_t> name_offsets;  ///< of each argument in argument_names
  void* library = nullptr;                       ///< dlopen handle
  const char* level = "";                        ///< the library's text
};

namespace tenon::rt {

/// The arguments of printf's "%.*s" for a string of the plan.
#define TENON_PLAN_STRING(model, ref) \
  static_cast<int>((ref).length), (model)->strings.data() + (ref).offset

/// Reads and checks a plan and connects kernels and constants. On failure `*out` is untouched.
tenon_status load_model(const void* plan, std::uint64_t plan_bytes,
                        const tenon_load_options& options, tenon_model** out);

}  // namespace tenon::rt
