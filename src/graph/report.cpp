#include <algorithm>
#include <cstdio>
#include <map>

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

/// Checks counts and ranks; the registers.
std::vector<std::int64_t> bound_registers(const Plan& plan, const std::vector<Shape>& shapes) {
  TENON_USER_CHECK(shapes.size() == plan.inputs.size(), ShapeError, "E0421", plan.name, " takes ",
                   plan.inputs.size(), " inputs, got ", shapes.size(), " shapes");
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    TENON_USER_CHECK(shapes[i].size() == plan.inputs[i].dims.size(), ShapeError, "E0421", "input '",
                     plan.inputs[i].name, "' has ", plan.inputs[i].dims.size(),
                     " dimensions, got the shape ", shape_str(shapes[i]));
  }
  return registers_of(plan, shapes);
}

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

/// One line for each pass, action and reason, with the operators that it was done to.
std::string describe(const RewriteLog& rewrites) {
  std::vector<std::pair<std::string, std::vector<std::pair<std::string, int>>>> groups;
  for (const Rewrite& r : rewrites) {
    const std::string title = r.pass + ": " + r.action + " (" + r.reason + "): ";
    auto group =
        std::find_if(groups.begin(), groups.end(), [&](const auto& g) { return g.first == title; });
    if (group == groups.end()) group = groups.insert(groups.end(), {title, {}});
    const std::string op = r.node.substr(0, r.node.find(" -> "));
    auto node = std::find_if(group->second.begin(), group->second.end(),
                             [&](const auto& n) { return n.first == op; });
    if (node == group->second.end()) node = group->second.insert(group->second.end(), {op, 0});
    ++node->second;
  }
  std::string text;
  for (const auto& [title, nodes] : groups) {
    std::vector<std::string> names;
    for (const auto& [op, count] : nodes)
      names.push_back(count == 1 ? op : std::to_string(count) + " " + op);
    text += "  " + title + listed(names) + "\n";
  }
  return text;
}

/// One line for each source of schedules: "  schedule: rule contraction: kernels 0, 2".
std::string describe(const std::vector<std::string>& schedules) {
  std::vector<std::pair<std::string, std::vector<std::string>>> groups;
  for (std::size_t i = 0; i < schedules.size(); ++i) {
    auto group = std::find_if(groups.begin(), groups.end(),
                              [&](const auto& g) { return g.first == schedules[i]; });
    if (group == groups.end()) group = groups.insert(groups.end(), {schedules[i], {}});
    group->second.push_back(std::to_string(i));
  }
  std::string text;
  for (const auto& [source, kernels] : groups) {
    text += "  schedule: " + source + ": kernel" + (kernels.size() == 1 ? " " : "s ") +
            listed(kernels) + "\n";
  }
  return text;
}

/// The kernel call that step `step` is, or that follows it.
std::size_t call_at(const std::vector<KernelCall>& calls, std::size_t step) {
  std::size_t i = 0;
  while (i < calls.size() && calls[i].step < step) ++i;
  return calls.empty() ? 0 : std::min(i, calls.size() - 1);
}

}  // namespace

std::int64_t CompiledNetwork::workspace_bytes(const std::vector<Shape>& shapes) const {
  const MemoryLayout layout = memory(shapes);
  return layout.arena_bytes + layout.scratch_bytes;
}

MemoryLayout CompiledNetwork::memory(const std::vector<Shape>& shapes) const {
  const Plan& plan = executable.plan();
  const std::vector<std::int64_t> r = bound_registers(plan, shapes);
  const auto value = [&](PlanRegister reg) { return reg == kPlanNone ? 0 : r.at(reg); };
  MemoryLayout layout;
  layout.arena_bytes = value(plan.arena_bytes);
  std::vector<std::pair<std::size_t, std::size_t>> steps(plan.buffers.size(),
                                                         {plan.steps.size(), 0});
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    const PlanStep& step = plan.steps[i];
    layout.scratch_bytes = std::max(
        layout.scratch_bytes, value(step.shared_bytes) + num_threads() * value(step.worker_bytes));
    for (const PlanBufferId b : step.buffers)
      steps[b] = {std::min(steps[b].first, i), std::max(steps[b].second, i)};
  }
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    if (plan.steps[i].op != PlanStepOp::kLoop) continue;
    // What is there before a loop and used in it is needed until its end.
    const std::size_t end = i + plan.regions[plan.steps[i].kernel].num_steps;
    for (auto& [first, last] : steps) {
      if (first <= i && last > i && last < end) last = end;
    }
  }
  for (std::size_t b = 0; b < plan.buffers.size(); ++b) {
    const PlanBuffer& buffer = plan.buffers[b];
    const auto& [first, last] = steps[b];
    if (buffer.kind != PlanBufferKind::kWorkspace || first > last) continue;
    const std::size_t begin = call_at(calls, first), end = call_at(calls, last + 1);
    const std::size_t until = end > 0 && calls[end].step > last ? end - 1 : end;
    layout.blocks.push_back({value(buffer.offset_bytes), value(buffer.bytes), begin,
                             std::max(begin, until)});  // a copy alone stands for what follows it
  }
  return layout;
}

std::vector<KernelCost> CompiledNetwork::costs(const std::vector<Shape>& shapes) const {
  const Plan& plan = executable.plan();
  const std::vector<std::int64_t> r = bound_registers(plan, shapes);
  std::map<std::pair<int, std::vector<std::int64_t>>, KernelCost> known;
  std::vector<KernelCost> result;
  for (const KernelCall& call : calls) {
    std::vector<std::int64_t> sizes;
    // Those of the kernel, also where a library computes it.
    for (const PlanRegister reg : source.plan.steps[call.step].sizes) sizes.push_back(r.at(reg));
    const auto [it, is_new] = known.try_emplace(std::make_pair(call.code, sizes));
    if (is_new) it->second = cost_of(source.functions[static_cast<std::size_t>(call.code)], sizes);
    result.push_back(it->second);
  }
  return result;
}

namespace {

/// What a kernel call launches: a line each.
std::string launch_lines(const std::vector<LaunchReport>& launches) {
  std::string text;
  for (const LaunchReport& l : launches) {
    text += "         launch " + l.name + ": blocks " + l.grid[0] + ", " + l.grid[1] + ", " +
            l.grid[2] + " of " + std::to_string(l.block[0] * l.block[1] * l.block[2]) +
            " threads, " + std::to_string(l.registers) + " registers, " +
            std::to_string(l.shared_bytes) + " bytes shared";
    if (l.spill_bytes > 0) text += ", " + std::to_string(l.spill_bytes) + " bytes spilled";
    text += "\n";
  }
  return text;
}

/// What a GPU's host waits for: data that decide which steps come next.
std::string waits_line(const Plan& plan) {
  if (plan.device == PlanDeviceKind::kHost) return "";
  std::size_t branches = 0, loops = 0;
  for (const PlanStep& step : plan.steps) {
    if (step.op == PlanStepOp::kBranch) ++branches;
    if (step.op != PlanStepOp::kLoop) continue;
    const PlanRegion& region = plan.regions[step.kernel];
    if (region.condition != kPlanNone || region.count_buffer != kPlanNone) ++loops;
  }
  if (branches + loops == 0) return "";
  const auto counted = [](std::size_t n, const std::string& one, const std::string& many) {
    return std::to_string(n) + " " + (n == 1 ? one : many);
  };
  return "  the host waits for data of " + counted(branches, "branch", "branches") + " and " +
         counted(loops, "loop", "loops") + ": the steps are launched one by one, not as a graph\n";
}

std::string libraries_line(Libraries libraries, const std::vector<KernelCall>& calls) {
  if (libraries == Libraries::kNever) return "";
  const auto count = std::count_if(calls.begin(), calls.end(),
                                   [](const KernelCall& c) { return !c.library.empty(); });
  return std::string("  libraries: ") + (libraries == Libraries::kAuto ? "auto" : "always") + ", " +
         std::to_string(count) + " of " + std::to_string(calls.size()) + " kernel calls\n";
}

}  // namespace

std::string CompiledNetwork::report() const {
  char line[160];
  std::snprintf(line, sizeof line,
                "%zu kernel calls of %d kernels (%d from the cache), compiled in %.2f s\n",
                calls.size(), num_compiled, num_from_cache, seconds);
  std::string text = executable.name() + (launches.empty() ? "" : " for " + target) + ": " + line;
  std::size_t next_region = 0;
  for (std::size_t i = 0; i <= calls.size(); ++i) {
    for (; next_region < regions.size() && regions[next_region].first_call == i; ++next_region) {
      const RegionReport& r = regions[next_region];
      text += std::string(static_cast<std::size_t>(2 + 2 * r.depth), ' ') + r.text + "\n";
    }
    if (i == calls.size()) break;
    text += std::string(static_cast<std::size_t>(2 * calls[i].depth), ' ');
    std::snprintf(line, sizeof line, "  %3zu  kernel %-3d %-28s -> %-28s ", i, calls[i].code,
                  calls[i].name.c_str(), calls[i].result.c_str());
    text += line + ("[" + listed(calls[i].operators) + "]\n");
    if (!calls[i].library.empty()) {
      text += "         library " + calls[i].library + ", whose order of sums is its own\n";
    } else if (!launches.empty()) {
      text += launch_lines(launches[static_cast<std::size_t>(calls[i].code)]);
    }
  }
  text += libraries_line(libraries, calls);
  if (num_folded_batch_norms > 0) {
    text += "  folded into weights and biases, which changes roundings: " +
            std::to_string(num_folded_batch_norms) + " batch_norm\n";
  }
  return text + waits_line(executable.plan()) + describe(schedules) + describe(rewrites);
}

}  // namespace tenon::graph
