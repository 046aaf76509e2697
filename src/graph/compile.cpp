#include "tenon/graph/compile.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include "graph/expression_operator.h"
#include "graph/fold_constants.h"
#include "graph/groups.h"
#include "graph/in_parallel.h"
#include "graph/plan_writer.h"
#include "graph/schedule_for.h"
#include "tenon/graph/control.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/print.h"
#include "tenon/ir/visit.h"
#include "tenon/rules/default_schedule.h"

namespace tenon::graph {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// An input or constant that is an output, or an output listed twice, gets a kernel of its own that
/// copies it.
std::vector<Value> distinct_outputs(std::vector<Value> outputs) {
  std::unordered_set<const ValueNode*> seen;
  for (Value& v : outputs) {
    const bool is_made = !v->is_input() && !v->is_constant() && seen.insert(v.get()).second;
    if (!is_made) v = make_op("copy", {v});
  }
  return outputs;
}

bool is_dimension(const VarNode& symbol, const std::vector<Value>& inputs) {
  for (const Value& v : inputs) {
    for (const Expr& e : v->shape) {
      if (e.get() == &symbol) return true;
    }
  }
  return false;
}

/// Symbols that a value uses, besides those of its operands.
void check_symbols(const ValueNode& v, const std::vector<Value>& inputs) {
  std::vector<Expr> sizes = v.shape;
  if (v.expression) {
    sizes.insert(sizes.end(), v.expression->symbols.begin(), v.expression->symbols.end());
  }
  if (v.control && v.control->count) sizes.push_back(v.control->count);
  for (const Expr& e : sizes) {
    uses_var(e, [&](const VarNode& x) {
      TENON_USER_CHECK(x.symbol == nullptr || is_dimension(x, inputs), ExpressionError, "E0152",
                       "symbol '", x.name,
                       "' is not a whole dimension of any input of the network\n  hint: its "
                       "value is taken from an argument's shape");
      return false;
    });
  }
}

/// `inputs`: of the network; `known`: of the graph.
void check_graph(const std::vector<Value>& inputs, const std::vector<Value>& known,
                 const std::vector<Value>& outputs) {
  std::unordered_set<const ValueNode*> is_known;
  for (const Value& v : known) is_known.insert(v.get());
  for (const Value& v : in_order(outputs)) {
    TENON_USER_CHECK(!v->is_input() || is_known.count(v.get()) != 0, ExpressionError, "E0151",
                     "input '", v->name, "' is used but is not among the inputs of the network");
    check_symbols(*v, inputs);
    if (!v->control) continue;
    for (const SubGraph& body : v->control->bodies) check_graph(inputs, body.inputs, body.outputs);
  }
}

void check_inputs(const std::vector<Value>& inputs, const std::vector<Value>& outputs) {
  std::unordered_set<const ValueNode*> known;
  for (const Value& v : inputs) {
    TENON_USER_CHECK(v->is_input() && known.insert(v.get()).second, ExpressionError, "E0151", "'",
                     v->name,
                     "' is listed as an input of the network, but is computed or listed twice");
  }
  check_graph(inputs, inputs, outputs);
}

std::string describe_region(const ValueNode& v) {
  const Control& c = *v.control;
  if (c.kind == ControlKind::kIf) return "if (" + v.op + "):";
  std::string text = "for at most " + print(c.count) + " iterations";
  if (as_int(c.count) == std::numeric_limits<std::int64_t>::max()) text = "repeat";
  if (c.has_limit) text += ", fewer by an operand";
  if (c.has_condition) text += ", while a condition holds";
  if (c.is_reverse) text += ", from the last slice to the first";
  text += " (" + v.op + "; " + std::to_string(c.num_states) + " states, " +
          std::to_string(c.num_slices) + " scanned, " +
          std::to_string(c.num_results() - c.num_states) + " stacked):";
  return text;
}

/// Writes down kernel calls, branches and loops in the order of the plan.
class Describer {
 public:
  Describer(const std::vector<Value>& inputs, const std::vector<Value>& outputs,
            const Groups& groups, const std::map<std::size_t, LibraryCall>& library_calls,
            CompiledNetwork* network)
      : outputs_(outputs), groups_(groups), library_calls_(library_calls), network_(network) {
    for (const Value& v : inputs) inputs_.insert(v.get());
  }

  void run() {
    run(groups_.program, 0);
    const std::vector<PlanArgument>& results = network_->executable.plan().results;
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      const auto call = call_of_.find(&origin_of(*outputs_[i]));
      if (call != call_of_.end())
        network_->calls[static_cast<std::size_t>(call->second)].outputs.push_back(results[i].name);
    }
  }

 private:
  void run(const Program& program, int depth) {
    for (const ProgramStep& step : program) {
      if (!step.control) {
        add_call(step.call, depth);
        continue;
      }
      const bool is_branch = step.control->control->kind == ControlKind::kIf;
      add_origins(*step.control);
      add_region(depth, describe_region(*step.control));
      for (std::size_t i = 0; i < step.parts.size(); ++i) {
        if (is_branch && i > 0) add_region(depth, "else:");
        run(step.parts[i], depth + 1);
      }
    }
  }

  /// What the inputs of bodies are at first.
  void add_origins(const ValueNode& v) {
    const std::size_t first = v.control->first_state_operand();
    for (const SubGraph& body : v.control->bodies) {
      for (std::size_t i = 1; i < body.inputs.size() && first + i - 1 < v.inputs.size(); ++i)
        origin_[body.inputs[i].get()] = v.inputs[first + i - 1].get();
    }
  }

  /// Where a value of a body, or a result of a branch or loop, comes from: the value that is given
  /// first, or that is computed in the (first) body.
  const ValueNode& origin_of(const ValueNode& value) const {
    const ValueNode* v = &value;
    while (true) {
      const auto it = origin_.find(v);
      if (it != origin_.end()) {
        v = it->second;
      } else if (v->is_op("item")) {
        const Control& c = *v->inputs[0]->control;
        const auto index = static_cast<std::size_t>(attr<std::int64_t>(*v, "index"));
        v = c.bodies[0].outputs[c.first_next() + index].get();
      } else {
        return *v;
      }
    }
  }

  void add_region(int depth, std::string text) {
    network_->regions.push_back({network_->calls.size(), depth, std::move(text)});
  }

  void add_call(std::size_t number, int depth) {
    const GroupKernel& k = groups_.calls[number];
    const std::vector<PlanStep>& steps = network_->executable.plan().steps;
    while (steps[next_step_].op != PlanStepOp::kKernel &&
           steps[next_step_].op != PlanStepOp::kLaunch &&
           steps[next_step_].op != PlanStepOp::kExtern) {
      ++next_step_;
    }
    KernelCall call;
    call.name = k.function->name;
    call.operators = k.operators;
    call.result = type_str(*k.result);
    call.code = static_cast<int>(groups_.code_of[number]);
    call.depth = depth;
    call.step = next_step_++;
    call.line = k.result->span.str();
    const auto library = library_calls_.find(number);
    if (library != library_calls_.end()) call.library = library->second.library;
    for (const KernelParam& p : k.params) call.inputs.push_back(operand(*p.value));
    for (const FusedOperator& f : k.fused) {
      note(&network_->rewrites, "fuse", *f.value, "fused", f.reason);
      network_->rewrites.back().call = static_cast<int>(network_->calls.size());
    }
    call_of_[k.result.get()] = static_cast<int>(network_->calls.size());
    network_->calls.push_back(std::move(call));
  }

  KernelOperand operand(const ValueNode& v) const {
    const ValueNode& origin = origin_of(v);
    KernelOperand o;
    o.name = origin.name;
    o.type = type_str(v);
    const auto call = call_of_.find(&origin);
    if (call != call_of_.end()) o.call = call->second;
    o.from = v.is_constant()          ? "constant"
             : &origin != &v          ? "loop"
             : inputs_.count(&v) != 0 ? "input"
             : call != call_of_.end() ? "kernel"
                                      : "loop";
    return o;
  }

  const std::vector<Value>& outputs_;
  const Groups& groups_;
  const std::map<std::size_t, LibraryCall>& library_calls_;
  CompiledNetwork* network_;
  std::unordered_set<const ValueNode*> inputs_;
  std::unordered_map<const ValueNode*, const ValueNode*> origin_;
  std::unordered_map<const ValueNode*, int> call_of_;
  std::size_t next_step_ = 0;
};

std::vector<ArgumentReport> reports(const std::vector<Value>& values,
                                    const std::vector<PlanArgument>& arguments) {
  std::vector<ArgumentReport> result;
  for (std::size_t i = 0; i < values.size(); ++i) {
    ArgumentReport a{arguments[i].name, values[i]->dtype, {}};
    for (const Expr& size : values[i]->shape) a.dims.push_back(print(size));
    result.push_back(std::move(a));
  }
  return result;
}

/// The graph without what repeats or does nothing, and with its constants computed.
std::vector<Value> clean_up(const std::vector<Value>& outputs, const Target& target,
                            const CompileOptions& options, int* num_folded_batch_norms,
                            RewriteLog* log) {
  using Pass = std::vector<Value> (*)(const std::vector<Value>&, RewriteLog*);
  const auto all = [&](const std::vector<Value>& graph, Pass pass) {
    return everywhere(graph, [&](const std::vector<Value>& part) { return pass(part, log); });
  };
  std::vector<Value> graph = all(merge_loops(outputs, log), erase_gradient_marks);
  graph = all(all(graph, simplify_control), choose_layouts);
  graph = hoist_invariants(all(graph, lay_out_products), log);
  graph = all(all(graph, simplify_control), share_equal_values);
  if (options.fold_constants) {
    // Constants are computed here, whatever the network runs on.
    ConstantFolding folding(graph, target.is_gpu() ? Target::host() : target, options, log);
    graph = everywhere(graph, [&](const std::vector<Value>& part) {
      return folding.fold(fold_batch_norms(part, num_folded_batch_norms, log));
    });
  }
  graph = all(graph, simplify_control);  // constants move into bodies
  graph = all(graph, merge_linears);
  return all(graph, share_equal_values);
}

/// What the functions of a network became, on one of the two.
struct Kernels {
  std::vector<CompiledKernel> on_host;
  std::vector<DeviceKernelCode> on_device;

  int num_from_cache() const {
    const auto is_cached = [](const KernelCode& k) { return k.is_from_cache; };
    return static_cast<int>(std::count_if(on_host.begin(), on_host.end(), is_cached) +
                            std::count_if(on_device.begin(), on_device.end(), is_cached));
  }
};

void add_kernels(const Kernels& kernels, ExecutableParts* parts) {
  for (const CompiledKernel& k : kernels.on_host) {
    add_kernel(&parts->plan, parts->kernels.size(), k);
    parts->kernels.push_back(k.entry);
  }
  parts->code = std::make_shared<const std::vector<CompiledKernel>>(kernels.on_host);
  for (std::size_t i = 0; i < kernels.on_device.size(); ++i)
    add_device_kernel(&parts->plan, i, kernels.on_device[i]);
  if (kernels.on_device.empty()) return;
  for (auto* arguments : {&parts->plan.inputs, &parts->plan.results}) {
    for (PlanArgument& a : *arguments) a.alignment = kDeviceArgumentAlignment;
  }
}

std::vector<LaunchReport> launches_of(const DeviceKernelCode& code) {
  std::vector<LaunchReport> launches;
  for (std::size_t i = 0; i < code.module.kernels.size(); ++i) {
    const CudaKernel& k = code.module.kernels[i];
    const CudaKernelResources& r = code.resources(i);
    LaunchReport launch;
    launch.name = k.name;
    for (std::size_t d = 0; d < 3; ++d) launch.grid[d] = print(k.grid[d]);
    launch.block = k.block;
    launch.registers = r.registers;
    launch.shared_bytes = k.static_shared_bytes + k.dynamic_shared_bytes;
    launch.spill_bytes = r.spill_store_bytes.value_or(0);
    launch.has_fma = k.has_fma;
    launches.push_back(std::move(launch));
  }
  return launches;
}

}  // namespace

ScheduledFunctions schedule_for(const NetworkSource& source, const Target& target) {
  const std::size_t count = source.functions.size();
  ScheduledFunctions scheduled{std::vector<Function>(count), std::vector<std::string>(count)};
  in_parallel(count, target.num_cores, [&](std::size_t i) {
    if (source.is_scheduled[i]) {
      scheduled.functions[i] = source.functions[i];
      scheduled.sources[i] = "the caller's";
      return;
    }
    ChosenSchedule chosen = choose_schedule(source.functions[i], target);
    scheduled.functions[i] = chosen.schedule.function();
    scheduled.sources[i] = std::move(chosen.source);
  });
  return scheduled;
}

BuildOptions build_options(const CompileOptions& options) {
  BuildOptions build;
  build.use_cache = options.use_cache;
  build.poll = options.poll;
  build.lower.verify = options.verify;
  build.codegen.verify_llvm = options.verify;
  return build;
}

CompiledNetwork compile(const std::vector<Value>& inputs, const std::vector<Value>& outputs,
                        const std::string& name, const Target& target,
                        const CompileOptions& options) {
  const auto start = Clock::now();
  TENON_USER_CHECK(!outputs.empty(), ExpressionError, "E0151",
                   "a network needs at least one output");
  check_inputs(inputs, outputs);
  check_sizes(outputs);
  CompiledNetwork network;
  const std::vector<Value> made = distinct_outputs(
      clean_up(outputs, target, options, &network.num_folded_batch_norms, &network.rewrites));
  const Libraries libraries = target.is_gpu() ? options.libraries : Libraries::kNever;
  const Groups groups =
      make_groups(inputs, made, options.in_place, target.is_gpu(), libraries == Libraries::kAlways);
  const std::map<std::size_t, LibraryCall> library_calls = choose_library_calls(groups, libraries);

  network.source.functions = groups.distinct;
  network.source.is_scheduled = groups.is_scheduled;
  const auto schedule_start = Clock::now();
  ScheduledFunctions scheduled = schedule_for(network.source, target);
  network.schedules = std::move(scheduled.sources);
  network.schedule_seconds = seconds_since(schedule_start);

  const auto kernel_start = Clock::now();
  Kernels kernels;
  if (target.is_gpu()) {
    kernels.on_device = compile_device_kernels(scheduled.functions, target, build_options(options));
  } else {
    kernels.on_host = compile_kernels(scheduled.functions, target, build_options(options));
  }
  network.kernel_seconds = seconds_since(kernel_start);

  const auto constant_start = Clock::now();
  std::vector<LibraryStep> library_steps;
  ExecutableParts parts = write_plan(inputs, made, groups, name, library_calls, &library_steps);
  if (!options.result_names.empty()) {
    TENON_CHECK(options.result_names.size() == made.size(), "names of results");
    for (std::size_t i = 0; i < made.size(); ++i)
      parts.plan.results[i].name = options.result_names[i];
  }
  network.source.plan = parts.plan;
  add_kernels(kernels, &parts);
  add_library_steps(&parts.plan, library_steps);
  for (const DeviceKernelCode& k : kernels.on_device) network.launches.push_back(launches_of(k));
  network.executable = Executable(std::move(parts));
  network.constant_seconds = seconds_since(constant_start);
  network.target = target.str();
  network.inputs = reports(inputs, network.executable.plan().inputs);
  network.results = reports(made, network.executable.plan().results);
  Describer(inputs, made, groups, library_calls, &network).run();
  network.libraries = libraries;
  network.num_compiled = static_cast<int>(scheduled.functions.size());
  network.num_from_cache = kernels.num_from_cache();
  network.seconds = seconds_since(start);
  return network;
}

}  // namespace tenon::graph
