#pragma once

/// `Plan`: what a compiled function or network does when called, as the compiler's floors build it.
///
/// A plan says how sizes follow from the inputs' shapes (an integer program), what is checked,
/// where temporaries lie and which kernels run. `serialize` writes the flat format of
/// plan_format.h, which the runtime loads; docs/design/plan.md explains both.

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "tenon/runtime/device_program.h"
#include "tenon/runtime/dtype.h"
#include "tenon/runtime/plan_format.h"

namespace tenon {

/// Index into Plan::buffers.
using PlanBufferId = std::uint32_t;

using PlanOp = plan_format::Op;
using PlanCheckKind = plan_format::CheckKind;
using PlanBufferKind = plan_format::BufferKind;
using PlanSiteKind = plan_format::SiteKind;
using PlanStepOp = plan_format::StepOp;
using PlanMoveKind = plan_format::MoveKind;
inline constexpr std::uint32_t kPlanNone = plan_format::kNone;

/// The integer program. Equal instructions are written once and constants are folded, so registers
/// can be compared.
class PlanProgram {
 public:
  PlanRegister constant(std::int64_t value);
  /// Size of `axis` of input `input`.
  PlanRegister dim(std::uint32_t input, std::uint32_t axis);
  PlanRegister binary(PlanOp op, PlanRegister a, PlanRegister b);
  PlanRegister add(PlanRegister a, PlanRegister b) { return binary(PlanOp::kAdd, a, b); }
  PlanRegister sub(PlanRegister a, PlanRegister b) { return binary(PlanOp::kSub, a, b); }
  PlanRegister mul(PlanRegister a, PlanRegister b) { return binary(PlanOp::kMul, a, b); }
  PlanRegister floordiv(PlanRegister a, PlanRegister b) { return binary(PlanOp::kFloorDiv, a, b); }
  PlanRegister floormod(PlanRegister a, PlanRegister b) { return binary(PlanOp::kFloorMod, a, b); }
  PlanRegister min(PlanRegister a, PlanRegister b) { return binary(PlanOp::kMin, a, b); }
  PlanRegister max(PlanRegister a, PlanRegister b) { return binary(PlanOp::kMax, a, b); }
  PlanRegister select(PlanRegister condition, PlanRegister a, PlanRegister b);
  /// ceil(a / b) * b for a constant b > 0: sizes of aligned temporaries.
  PlanRegister round_up(PlanRegister a, std::int64_t multiple);
  /// Product of `dims` times `element_bytes`.
  PlanRegister bytes_of(const std::vector<PlanRegister>& dims, int element_bytes);

  const std::vector<plan_format::Instruction>& instructions() const { return instructions_; }

 private:
  PlanRegister emit(const plan_format::Instruction& instruction);
  bool is_constant(PlanRegister reg, std::int64_t* value) const;
  std::vector<plan_format::Instruction> instructions_;
};

/// An input or result: dims are registers, compared with the caller's array at bind.
struct PlanArgument {
  std::string name;
  DType dtype;
  std::vector<PlanRegister> dims;
  std::vector<PlanRegister> strides = {};  ///< in elements; empty: row-major
  std::uint32_t alignment = 0;             ///< of the first element; 0: that of the element
  std::uint32_t in_place_of = kPlanNone;   ///< for a result: the input whose memory it may be
};

/// A size with a name (te.symbol), defined by one axis of one input.
struct PlanSymbol {
  std::string name;
  PlanRegister reg = 0;
  std::uint32_t input = 0;
  std::uint32_t axis = 0;
  std::int64_t min = 0;
  std::int64_t max = std::numeric_limits<std::int64_t>::max();
  std::int64_t multiple_of = 1;
};

/// A further condition between two registers; `text` starts the message.
struct PlanCheck {
  PlanCheckKind kind = PlanCheckKind::kEqual;
  PlanRegister a = 0;
  PlanRegister b = 0;
  std::string text;
};

struct PlanBuffer {
  PlanBufferKind kind = PlanBufferKind::kArgument;
  std::uint32_t index = 0;                ///< argument (results follow inputs) or constant
  PlanRegister offset_bytes = kPlanNone;  ///< kPlanNone: 0
  PlanRegister bytes = kPlanNone;         ///< kPlanNone: all of the argument or constant
};

/// Bytes that every call reads. `data` empty means that the loader gets a pointer to `bytes` bytes
/// instead.
struct PlanConstant {
  std::string name;
  DType dtype;
  std::uint64_t bytes = 0;
  std::uint32_t alignment = 64;
  std::vector<std::uint8_t> data = {};
  /// True: at `offset` of a block beside the plan (a library's weights), with this checksum.
  bool is_beside = false;
  std::uint64_t offset = 0;
  std::uint32_t crc32c = 0;
};

/// A checked access of a kernel; the n-th site is `tenon_index_error.site == n`.
struct PlanSite {
  PlanSiteKind kind = PlanSiteKind::kRead;
  std::string buffer;  ///< for an assert: its message
  std::uint32_t axis = 0;
  std::string source = {};  ///< "file.py:14"
};

struct PlanKernel {
  std::string name;
  std::vector<PlanSite> sites = {};
};

/// What a branch or loop governs; see plan_format::Region. Buffers are positions in the step's
/// list.
struct PlanRegion {
  std::uint32_t num_steps = 0;
  std::uint32_t num_first = 0;
  std::uint32_t condition = kPlanNone;
  PlanRegister count = kPlanNone;
  std::uint32_t count_buffer = kPlanNone;
  std::uint32_t iteration = kPlanNone;
};

/// A buffer whose place depends on the iteration of a loop; see plan_format::MoveKind.
struct PlanMove {
  std::uint32_t loop = 0;  ///< index into Plan::steps
  PlanBufferId buffer = 0;
  PlanRegister stride = 0;  ///< in bytes
  PlanMoveKind kind = PlanMoveKind::kForward;
};

/// A routine of a library; docs/design/extern.md lists names and attributes.
struct PlanExtern {
  std::string name;
  std::string attributes = {};     ///< bytes
  std::uint32_t num_operands = 0;  ///< of the step's buffers; the others are results
};

struct PlanStep {
  PlanStepOp op = PlanStepOp::kKernel;
  std::uint32_t kernel = 0;  ///< index into Plan::kernels; of a branch or loop into Plan::regions,
                             ///< of an extern step into Plan::externs
  std::vector<PlanBufferId> buffers = {};   ///< kernel: in parameter order; copy: destination,
                                            ///< source; extern: operands, results
  std::vector<PlanRegister> sizes = {};     ///< values of Function.symbols in order
  PlanRegister shared_bytes = kPlanNone;    ///< scratch of the call, a multiple of 64; kPlanNone: 0
  PlanRegister worker_bytes = kPlanNone;    ///< scratch of each worker, likewise
  std::vector<DeviceLaunch> launches = {};  ///< kLaunch: in order
};

struct Plan {
  std::string name;
  PlanProgram program;
  std::vector<PlanArgument> inputs;
  std::vector<PlanArgument> results;
  std::vector<PlanSymbol> symbols;
  std::vector<PlanCheck> checks;
  std::vector<PlanBuffer> buffers;
  std::vector<PlanConstant> constants;
  std::vector<PlanKernel> kernels;
  std::vector<PlanStep> steps;
  std::vector<PlanRegion> regions;
  std::vector<PlanExtern> externs = {};  ///< on a device only
  std::vector<PlanMove> moves;
  PlanRegister arena_bytes = kPlanNone;  ///< size of the memory that workspace buffers lie in
  /// kCuda: arguments, workspace and constants are on a device, and steps launch `device_program`.
  PlanDeviceKind device = PlanDeviceKind::kHost;
  DeviceProgram device_program = {};

  /// Appends a buffer that is all of argument `index` (results follow inputs).
  PlanBufferId add_argument_buffer(std::uint32_t index);
  PlanBufferId add_constant_buffer(std::uint32_t index);
  PlanBufferId add_workspace_buffer(PlanRegister offset_bytes, PlanRegister bytes);
};

/// One line for each argument, symbol, check, constant and step, for people: sizes as expressions.
std::string to_string(const Plan& plan);

/// A register as the expression that it stands for: "n", "4 * n".
std::string register_text(const Plan& plan, PlanRegister reg);

/// The plan in the format of plan_format.h. Equal plans give equal bytes.
std::vector<std::uint8_t> serialize(const Plan& plan);

}  // namespace tenon
