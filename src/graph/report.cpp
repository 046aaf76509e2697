#include <algorithm>
#include <cstdio>

#include "tenon/graph/compile.h"

namespace tenon::graph {
namespace {

std::int64_t floor_div(std::int64_t a, std::int64_t b) {
  if (b == 0) return 0;
  const std::int64_t q = a / b;
  return (a % b != 0 && (a < 0) != (b < 0)) ? q - 1 : q;
}

/// Registers of the integer program for inputs of these shapes.
std::vector<std::int64_t> registers_of(const Plan& plan, const std::vector<Shape>& shapes) {
  std::vector<std::int64_t> r;
  for (const plan_format::Instruction& x : plan.program.instructions()) {
    const auto op = static_cast<PlanOp>(x.op);
    if (op == PlanOp::kConstant || op == PlanOp::kDim) {
      r.push_back(op == PlanOp::kConstant ? x.imm : shapes.at(x.a).at(x.b));
      continue;
    }
    const std::int64_t a = r.at(x.a), b = r.at(x.b);
    switch (op) {
      case PlanOp::kAdd:
        r.push_back(a + b);
        break;
      case PlanOp::kSub:
        r.push_back(a - b);
        break;
      case PlanOp::kMul:
        r.push_back(a * b);
        break;
      case PlanOp::kFloorDiv:
        r.push_back(floor_div(a, b));
        break;
      case PlanOp::kFloorMod:
        r.push_back(b == 0 ? 0 : a - floor_div(a, b) * b);
        break;
      case PlanOp::kMin:
        r.push_back(std::min(a, b));
        break;
      case PlanOp::kMax:
        r.push_back(std::max(a, b));
        break;
      case PlanOp::kLess:
        r.push_back(a < b ? 1 : 0);
        break;
      case PlanOp::kLessEqual:
        r.push_back(a <= b ? 1 : 0);
        break;
      case PlanOp::kEqual:
        r.push_back(a == b ? 1 : 0);
        break;
      case PlanOp::kNotEqual:
        r.push_back(a != b ? 1 : 0);
        break;
      case PlanOp::kSelect:
        r.push_back(a != 0 ? b : r.at(x.c));
        break;
      case PlanOp::kConstant:
      case PlanOp::kDim:
        break;
    }
  }
  return r;
}

}  // namespace

std::int64_t CompiledNetwork::workspace_bytes(const std::vector<Shape>& shapes) const {
  const Plan& plan = executable.plan();
  TENON_USER_CHECK(shapes.size() == plan.inputs.size(), ShapeError, "E0421", plan.name, " takes ",
                   plan.inputs.size(), " inputs, got ", shapes.size(), " shapes");
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    TENON_USER_CHECK(shapes[i].size() == plan.inputs[i].dims.size(), ShapeError, "E0421", "input '",
                     plan.inputs[i].name, "' has ", plan.inputs[i].dims.size(),
                     " dimensions, got the shape ", shape_str(shapes[i]));
  }
  const std::vector<std::int64_t> r = registers_of(plan, shapes);
  const auto value = [&](PlanRegister reg) { return reg == kPlanNone ? 0 : r.at(reg); };
  std::int64_t scratch = 0;
  for (const PlanStep& step : plan.steps) {
    scratch =
        std::max(scratch, value(step.shared_bytes) + num_threads() * value(step.worker_bytes));
  }
  return value(plan.arena_bytes) + scratch;
}

std::string CompiledNetwork::report() const {
  char line[160];
  std::snprintf(line, sizeof line,
                "%zu kernel calls of %d kernels (%d from the cache), compiled in %.2f s\n",
                calls.size(), num_compiled, num_from_cache, seconds);
  std::string text = executable.name() + ": " + line;
  std::size_t next_region = 0;
  for (std::size_t i = 0; i <= calls.size(); ++i) {
    for (; next_region < regions.size() && regions[next_region].first_call == i; ++next_region) {
      const RegionReport& r = regions[next_region];
      text += std::string(static_cast<std::size_t>(2 + 2 * r.depth), ' ') + r.text + "\n";
    }
    if (i == calls.size()) break;
    text += std::string(static_cast<std::size_t>(2 * calls[i].depth), ' ');
    std::string operators;
    for (const std::string& op : calls[i].operators)
      operators += (operators.empty() ? "" : ", ") + op;
    std::snprintf(line, sizeof line, "  %3zu  kernel %-3d %-28s -> %-28s ", i, calls[i].code,
                  calls[i].name.c_str(), calls[i].result.c_str());
    text += line + ("[" + operators + "]\n");
  }
  if (num_folded_batch_norms > 0) {
    text += "  folded into weights and biases, which changes roundings: " +
            std::to_string(num_folded_batch_norms) + " batch_norm\n";
  }
  return text;
}

}  // namespace tenon::graph
