#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "tenon/runtime/plan.h"

namespace tenon {
namespace {

/// Writes registers as the expressions that they stand for: "n", "4 * n".
class PlanPrinter {
 public:
  explicit PlanPrinter(const Plan& plan) : plan_(plan) {}

  std::string print() {
    os_ << "plan " << plan_.name << (plan_.device == PlanDeviceKind::kCuda ? " on cuda" : "")
        << "\n";
    for (const PlanArgument& a : plan_.inputs) print_argument("input", a);
    for (const PlanArgument& a : plan_.results) print_argument("result", a);
    for (const PlanSymbol& s : plan_.symbols) print_symbol(s);
    for (const PlanCheck& c : plan_.checks) {
      const char* relations[] = {" == ", " <= ", " multiple of "};
      os_ << "  check " << value(c.a) << relations[static_cast<std::uint32_t>(c.kind)] << value(c.b)
          << "  # " << c.text << "\n";
    }
    for (const PlanConstant& c : plan_.constants) {
      os_ << "  constant " << c.name << ": " << to_string(c.dtype) << ", " << c.bytes << " bytes\n";
    }
    if (plan_.arena_bytes != kPlanNone) {
      os_ << "  arena " << value(plan_.arena_bytes) << " bytes\n";
    }
    std::vector<std::size_t> ends;  // of the regions around a step
    for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
      while (!ends.empty() && ends.back() <= i) ends.pop_back();
      os_ << std::string(2 + 2 * ends.size(), ' ');
      const PlanStep& s = plan_.steps[i];
      if (s.op != PlanStepOp::kBranch && s.op != PlanStepOp::kLoop) {
        print_step(s);
        continue;
      }
      print_region(i, s);
      ends.push_back(i + 1 + plan_.regions.at(s.kernel).num_steps);
    }
    return os_.str();
  }

  /// The expression of a register; one that nests deeper than a line can show is its number.
  std::string value(PlanRegister reg, int depth = 0) const {
    for (const PlanSymbol& s : plan_.symbols) {
      if (s.reg == reg) return s.name;
    }
    const plan_format::Instruction& in = plan_.program.instructions().at(reg);
    const PlanOp op = static_cast<PlanOp>(in.op);
    if (op == PlanOp::kConstant) return std::to_string(in.imm);
    if (op == PlanOp::kDim) {
      return plan_.inputs.at(in.a).name + ".shape[" + std::to_string(in.b) + "]";
    }
    if (depth == kMaxDepth) return "%" + std::to_string(reg);
    const std::string a = value(in.a, depth + 1);
    const std::string b = value(in.b, depth + 1);
    if (op == PlanOp::kMin || op == PlanOp::kMax) {
      return (op == PlanOp::kMin ? "min(" : "max(") + a + ", " + b + ")";
    }
    if (op == PlanOp::kSelect) {
      return "select(" + a + ", " + b + ", " + value(in.c, depth + 1) + ")";
    }
    const std::string text = a + " " + symbol_of(op) + " " + b;
    return depth == 0 ? text : "(" + text + ")";
  }

 private:
  void print_argument(const char* kind, const PlanArgument& a) {
    os_ << "  " << kind << " " << a.name << ": " << to_string(a.dtype) << list(a.dims);
    if (!a.strides.empty()) os_ << " strides " << list(a.strides);
    if (a.in_place_of != kPlanNone) os_ << " in place of " << plan_.inputs.at(a.in_place_of).name;
    os_ << "\n";
  }

  void print_symbol(const PlanSymbol& s) {
    os_ << "  symbol " << s.name << " = " << plan_.inputs.at(s.input).name << ".shape[" << s.axis
        << "], min " << s.min;
    if (s.max != std::numeric_limits<std::int64_t>::max()) os_ << ", max " << s.max;
    if (s.multiple_of != 1) os_ << ", multiple of " << s.multiple_of;
    os_ << "\n";
  }

  void print_region(std::size_t i, const PlanStep& s) {
    const PlanRegion& r = plan_.regions.at(s.kernel);
    if (s.op == PlanStepOp::kBranch) {
      os_ << "if " << buffer(s.buffers.at(r.condition)) << ": the next " << r.num_first
          << " steps, else the " << r.num_steps - r.num_first << " after them\n";
      return;
    }
    os_ << "for t" << i << " in 0.." << value(r.count);
    if (r.count_buffer != kPlanNone) os_ << ", below " << buffer(s.buffers.at(r.count_buffer));
    if (r.iteration != kPlanNone) os_ << ", stored in " << buffer(s.buffers.at(r.iteration));
    if (r.condition != kPlanNone) {
      os_ << ", while " << buffer(s.buffers.at(r.condition)) << " after " << r.num_first
          << " steps";
    }
    os_ << ": the next " << r.num_steps << " steps\n";
  }

  void print_step(const PlanStep& s) {
    switch (s.op) {
      case PlanStepOp::kKernel:
      case PlanStepOp::kLaunch:
        os_ << plan_.kernels.at(s.kernel).name << "(";
        break;
      case PlanStepOp::kCopy:
        os_ << "copy(";
        break;
      case PlanStepOp::kExtern:
        os_ << "extern " << plan_.externs.at(s.kernel).name << "(";
        break;
      case PlanStepOp::kFill:
      case PlanStepOp::kBranch:
      case PlanStepOp::kLoop:
      case PlanStepOp::kSubPlan:
        os_ << "opcode " << static_cast<std::uint32_t>(s.op) << "(";
        break;
    }
    for (std::size_t i = 0; i < s.buffers.size(); ++i) {
      os_ << (i == 0 ? "" : ", ") << buffer(s.buffers[i]);
    }
    os_ << ")";
    if (!s.sizes.empty()) os_ << " sizes " << list(s.sizes);
    if (s.shared_bytes != kPlanNone) os_ << " shared " << value(s.shared_bytes);
    if (s.worker_bytes != kPlanNone) os_ << " worker " << value(s.worker_bytes);
    os_ << "\n";
    for (const DeviceLaunch& l : s.launches) print_launch(l);
  }

  /// "launch k grid [4 * n, 1, 1] block [256, 1, 1] shared 1024, for 0..n".
  void print_launch(const DeviceLaunch& l) {
    os_ << "    launch " << plan_.device_program.kernels.at(l.kernel).name << " grid "
        << list({l.grid.begin(), l.grid.end()}) << " block [" << l.block[0] << ", " << l.block[1]
        << ", " << l.block[2] << "]";
    const std::uint32_t shared = l.static_shared_bytes + l.dynamic_shared_bytes;
    if (shared != 0) os_ << " shared " << shared;
    for (const DeviceRepeat& r : l.repeats) os_ << ", for r" << r.id << " in 0.." << value(r.count);
    os_ << "\n";
  }

  std::string buffer(PlanBufferId id) const {
    const PlanBuffer& b = plan_.buffers.at(id);
    std::string at = b.offset_bytes == kPlanNone ? "" : "+" + value(b.offset_bytes);
    for (const PlanMove& m : plan_.moves) {
      if (m.buffer != id) continue;
      const std::string t = "t" + std::to_string(m.loop);
      const std::string places[] = {
          t,
          "(" + value(plan_.regions.at(plan_.steps.at(m.loop).kernel).count) + " - 1 - " + t + ")",
          t + " % 2", "(" + t + " + 1) % 2"};
      at += "+" + places[static_cast<std::uint32_t>(m.kind)] + " * " + value(m.stride);
    }
    switch (b.kind) {
      case PlanBufferKind::kArgument: {
        const std::size_t n = plan_.inputs.size();
        return (b.index < n ? plan_.inputs[b.index] : plan_.results.at(b.index - n)).name + at;
      }
      case PlanBufferKind::kConstant:
        return plan_.constants.at(b.index).name + at;
      case PlanBufferKind::kWorkspace:
        return "arena" + at;
    }
    return {};
  }

  std::string list(const std::vector<PlanRegister>& registers) const {
    std::string out = "[";
    for (std::size_t i = 0; i < registers.size(); ++i) {
      out += (i == 0 ? "" : ", ") + value(registers[i]);
    }
    return out + "]";
  }

  static const char* symbol_of(PlanOp op) {
    switch (op) {
      case PlanOp::kAdd:
        return "+";
      case PlanOp::kSub:
        return "-";
      case PlanOp::kMul:
        return "*";
      case PlanOp::kFloorDiv:
        return "//";
      case PlanOp::kFloorMod:
        return "%";
      case PlanOp::kLess:
        return "<";
      case PlanOp::kLessEqual:
        return "<=";
      case PlanOp::kEqual:
        return "==";
      case PlanOp::kNotEqual:
        return "!=";
      case PlanOp::kConstant:
      case PlanOp::kDim:
      case PlanOp::kMin:
      case PlanOp::kMax:
      case PlanOp::kSelect:
        return "?";
    }
    return "?";
  }

  static constexpr int kMaxDepth = 4;
  const Plan& plan_;
  std::ostringstream os_;
};

}  // namespace

std::string register_text(const Plan& plan, PlanRegister reg) {
  return PlanPrinter(plan).value(reg);
}

std::string to_string(const Plan& plan) { return PlanPrinter(plan).print(); }

}  // namespace tenon
