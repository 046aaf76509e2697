#include "tenon/graph/compile.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <thread>
#include <tuple>

#include "graph/build_group.h"
#include "tenon/driver/build.h"
#include "tenon/driver/plan_sizes.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/simplify.h"
#include "tenon/ir/structural.h"
#include "tenon/ir/visit.h"
#include "tenon/rules/default_schedule.h"

namespace tenon::graph {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// f(0), ..., f(n - 1) on several threads; the first error is raised when all have stopped.
void in_parallel(std::size_t n, int num_threads, const std::function<void(std::size_t)>& f) {
  std::atomic<std::size_t> next{0};
  std::mutex error_mutex;
  std::exception_ptr error;
  const auto work = [&] {
    for (std::size_t i = next++; i < n; i = next++) {
      try {
        f(i);
      } catch (...) {
        const std::lock_guard lock(error_mutex);
        if (!error) error = std::current_exception();
        next = n;
      }
    }
  };
  std::vector<std::thread> threads;
  for (int t = 1; t < num_threads && static_cast<std::size_t>(t) < n; ++t)
    threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  if (error) std::rethrow_exception(error);
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

void check_inputs(const std::vector<Value>& inputs, const std::vector<Value>& outputs) {
  std::unordered_set<const ValueNode*> known;
  for (const Value& v : inputs) {
    TENON_USER_CHECK(v->is_input() && known.insert(v.get()).second, ExpressionError, "E0151", "'",
                     v->name,
                     "' is listed as an input of the network, but is computed or listed twice");
  }
  for (const Value& v : in_order(outputs)) {
    TENON_USER_CHECK(!v->is_input() || known.count(v.get()) != 0, ExpressionError, "E0151",
                     "input '", v->name, "' is used but is not among the inputs of the network");
    for (const Expr& e : v->shape) {
      uses_var(e, [&](const VarNode& x) {
        TENON_USER_CHECK(x.symbol == nullptr || is_dimension(x, inputs), ExpressionError, "E0152",
                         "symbol '", x.name,
                         "' is not a whole dimension of any input of the network\n  hint: its "
                         "value is taken from an argument's shape");
        return false;
      });
    }
  }
}

/// Kernels in the order of their calls, and which of them are one.
class Groups {
 public:
  Groups(const std::vector<Value>& inputs, const std::vector<Value>& outputs)
      : inputs_(inputs), fusion_(fuse(outputs)) {
    for (const Value& v : outputs) emit(v);
    std::unordered_map<std::uint64_t, std::vector<std::size_t>> by_hash;
    for (const GroupKernel& k : calls) {
      std::vector<std::size_t>& candidates = by_hash[structural_hash(k.function)];
      std::size_t found = distinct.size();
      for (const std::size_t c : candidates) {
        if (structural_equal(distinct[c], k.function)) found = c;
      }
      if (found == distinct.size()) {
        candidates.push_back(found);
        distinct.push_back(k.function);
      }
      code_of.push_back(found);
    }
  }

  std::vector<GroupKernel> calls;
  std::vector<Function> distinct;
  std::vector<std::size_t> code_of;  ///< index into distinct, for each call

 private:
  void emit(const Value& v) {
    if (v->is_input() || v->is_constant() || !done_.insert(v.get()).second) return;
    GroupKernel kernel = build_group(fusion_.group_of.at(v.get()), fusion_.stored, inputs_);
    for (const KernelParam& p : kernel.params) emit(p.value);
    calls.push_back(std::move(kernel));
  }

  const std::vector<Value>& inputs_;
  Fusion fusion_;
  std::unordered_set<const ValueNode*> done_;
};

/// Writes the plan of a network.
class PlanWriter {
 public:
  PlanWriter(const std::vector<Value>& inputs, const std::vector<Value>& outputs,
             const Groups& groups, const std::vector<CompiledKernel>& kernels)
      : inputs_(inputs), outputs_(outputs), groups_(groups), kernels_(kernels) {}

  ExecutableParts write(const std::string& name) {
    plan_.name = name;
    add_arguments();
    add_temporaries();
    for (const CompiledKernel& k : kernels_) {
      plan_.kernels.push_back({k.source->name, k.sites});
      parts_.kernels.push_back(k.entry);
    }
    for (std::size_t i = 0; i < groups_.calls.size(); ++i) add_step(i);
    in_parallel(packing_.size(), Target::host().num_cores, [&](std::size_t i) { packing_[i](); });
    parts_.plan = std::move(plan_);
    parts_.code = std::make_shared<const std::vector<CompiledKernel>>(kernels_);
    return std::move(parts_);
  }

 private:
  void add_arguments() {
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      for (std::size_t axis = 0; axis < inputs_[i]->shape.size(); ++axis)
        add_symbol(inputs_[i]->shape[axis], i, axis);
    }
    for (const Value& v : inputs_) plan_.inputs.push_back(argument(*v, v->name));
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      plan_.results.push_back(
          argument(*outputs_[i], outputs_.size() == 1 ? "result" : "result" + std::to_string(i)));
    }
    for (std::size_t i = 0; i < inputs_.size() + outputs_.size(); ++i) {
      const Value& v = i < inputs_.size() ? inputs_[i] : outputs_[i - inputs_.size()];
      buffer_of_[v.get()] = plan_.add_argument_buffer(static_cast<std::uint32_t>(i));
    }
  }

  void add_symbol(const Expr& e, std::size_t input, std::size_t axis) {
    const auto* v = e.as<VarNode>();
    if (v == nullptr || v->symbol == nullptr || symbols_.count(v) != 0) return;
    PlanSymbol symbol;
    symbol.name = v->name;
    symbol.input = static_cast<std::uint32_t>(input);
    symbol.axis = static_cast<std::uint32_t>(axis);
    symbol.reg = plan_.program.dim(symbol.input, symbol.axis);
    symbol.min = v->symbol->min;
    if (v->symbol->max) symbol.max = *v->symbol->max;
    symbol.multiple_of = v->symbol->multiple_of;
    symbols_[v] = symbol.reg;
    plan_.symbols.push_back(symbol);
  }

  PlanArgument argument(const ValueNode& v, const std::string& name) {
    PlanArgument a;
    a.name = name;
    a.dtype = v.dtype;
    a.dims = add_sizes(&plan_.program, v.shape, symbols_);
    return a;
  }

  /// Bytes of a value when every symbol is 128.
  std::int64_t typical_bytes(const ValueNode& v) const {
    VarMap sizes;
    for (const auto& [symbol, reg] : symbols_) sizes[symbol] = imm(128);
    std::int64_t bytes = v.dtype.bytes();
    for (const Expr& e : v.shape) bytes *= as_int(simplify(substitute(e, sizes))).value_or(128);
    return bytes;
  }

  void add_temporaries() {
    std::unordered_map<const ValueNode*, std::size_t> index;
    std::vector<Temporary> all;
    std::vector<const ValueNode*> values;
    for (std::size_t i = 0; i < groups_.calls.size(); ++i) {
      const GroupKernel& call = groups_.calls[i];
      for (const KernelParam& p : call.params) {
        const auto it = index.find(p.value.get());
        if (it != index.end()) all[it->second].last = i;
      }
      const ValueNode* v = call.result.get();
      if (buffer_of_.count(v) != 0) continue;
      const PlanRegister bytes =
          plan_.program.bytes_of(add_sizes(&plan_.program, v->shape, symbols_), v->dtype.bytes());
      index[v] = all.size();
      all.push_back({plan_.program.round_up(bytes, 64), typical_bytes(*v), i, i});
      values.push_back(v);
    }
    const MemoryPlan memory = plan_memory(all, &plan_.program);
    if (all.empty()) return;
    plan_.arena_bytes = memory.arena_bytes;
    for (std::size_t i = 0; i < all.size(); ++i)
      buffer_of_[values[i]] = plan_.add_workspace_buffer(memory.offsets[i], all[i].bytes);
  }

  PlanBufferId buffer(const KernelParam& p) {
    if (!p.value->is_constant()) return buffer_of_.at(p.value.get());
    const auto key = std::make_tuple(p.value.get(), p.is_packed, p.is_transposed);
    const auto it = constants_.find(key);
    if (it != constants_.end()) return it->second;
    const std::size_t place = parts_.constants.size();
    const Array& data = p.value->data;
    parts_.constants.push_back(data);
    PlanConstant c;
    c.name = p.value->name;
    c.dtype = p.value->dtype;
    c.alignment = static_cast<std::uint32_t>(std::max(data.dtype().bytes(), 1));
    c.bytes = static_cast<std::uint64_t>(data.nbytes());
    if (p.is_packed) {
      const auto columns = static_cast<std::uint64_t>(data.shape()[p.is_transposed ? 0 : 1]);
      if (columns != 0) c.bytes = c.bytes / columns * ((columns + 63) / 64 * 64);
      packing_.emplace_back([this, place, data, transposed = p.is_transposed] {
        parts_.constants[place] = pack_panels(data, transposed);
      });
    }
    plan_.constants.push_back(c);
    return constants_[key] = plan_.add_constant_buffer(static_cast<std::uint32_t>(place));
  }

  void add_step(std::size_t i) {
    const GroupKernel& call = groups_.calls[i];
    const CompiledKernel& kernel = kernels_[groups_.code_of[i]];
    PlanStep step;
    step.kernel = static_cast<std::uint32_t>(groups_.code_of[i]);
    for (const KernelParam& p : call.params) step.buffers.push_back(buffer(p));
    step.buffers.push_back(buffer_of_.at(call.result.get()));
    SymbolRegisters own;
    for (std::size_t s = 0; s < call.function->symbols.size(); ++s) {
      const Expr& var = call.function->symbols[s].var;
      const bool is_rows = call.rows && var.same_as(call.rows);
      const PlanRegister reg =
          add_size(&plan_.program, is_rows ? call.lead_product : var, symbols_);
      step.sizes.push_back(reg);
      own[kernel.function->symbols.at(s).var.get()] = reg;
      own[kernel.source->symbols.at(s).var.get()] = reg;
    }
    const auto bytes = [&](const Expr& e) {
      return is_int(e, 0) ? kPlanNone : add_size(&plan_.program, e, own);
    };
    step.shared_bytes = bytes(kernel.info.workspace.shared_bytes);
    step.worker_bytes = bytes(kernel.info.workspace.worker_bytes);
    plan_.steps.push_back(std::move(step));
  }

  const std::vector<Value>& inputs_;
  const std::vector<Value>& outputs_;
  const Groups& groups_;
  const std::vector<CompiledKernel>& kernels_;
  Plan plan_;
  ExecutableParts parts_;
  SymbolRegisters symbols_;
  std::unordered_map<const ValueNode*, PlanBufferId> buffer_of_;
  std::map<std::tuple<const ValueNode*, bool, bool>, PlanBufferId> constants_;
  std::vector<std::function<void()>> packing_;
};

/// Whether the operator can be computed now, given that its operands are constants.
bool is_fixed(const ValueNode& v) {
  const auto is_number = [](const Expr& e) { return as_int(e).has_value(); };
  for (const auto& [name, attr] : v.attrs) {
    const auto* sizes = std::get_if<std::vector<Expr>>(&attr);
    if (sizes != nullptr && !std::all_of(sizes->begin(), sizes->end(), is_number)) return false;
  }
  return std::all_of(v.shape.begin(), v.shape.end(), is_number);
}

/// The largest parts of the graph that use no input; views of constants stay what they are.
std::vector<Value> constant_parts(const std::vector<Value>& outputs) {
  std::unordered_set<const ValueNode*> fixed, needed;
  const std::vector<Value> order = in_order(outputs);
  for (const Value& v : order) {
    bool is_constant = v->is_constant();
    if (!is_constant && !v->is_input() && is_fixed(*v)) {
      is_constant = std::all_of(v->inputs.begin(), v->inputs.end(),
                                [&](const Value& x) { return fixed.count(x.get()) != 0; });
    }
    if (is_constant) fixed.insert(v.get());
  }
  const auto is_view = [](const Value& v) {
    const Operator* op = find_operator(v->op);
    return op == nullptr || op->kind == OperatorKind::kMovement;
  };
  for (const Value& v : outputs) needed.insert(v.get());
  for (const Value& v : order) {
    if (fixed.count(v.get()) != 0 && !is_view(v)) continue;
    for (const Value& x : v->inputs) needed.insert(x.get());
  }
  std::vector<Value> parts;
  for (const Value& v : order) {
    if (!is_view(v) && fixed.count(v.get()) != 0 && needed.count(v.get()) != 0) parts.push_back(v);
  }
  return parts;
}

/// Constants in place of what uses no input, computed by kernels.
std::vector<Value> fold_constants(const std::vector<Value>& outputs, const Target& target,
                                  const CompileOptions& options) {
  const std::vector<Value> parts = constant_parts(outputs);
  if (parts.empty()) return outputs;
  CompileOptions as_it_is = options;
  as_it_is.fold_constants = false;
  const std::vector<Array> results =
      compile({}, parts, "constants", target, as_it_is).executable.call({});
  std::unordered_map<const ValueNode*, Value> folded;
  for (std::size_t i = 0; i < parts.size(); ++i) folded[parts[i].get()] = make_constant(results[i]);
  return rewrite_graph(outputs, [&](const Value& v, const std::vector<Value>&) -> Value {
    const auto it = folded.find(v.get());
    return it == folded.end() ? nullptr : it->second;
  });
}

std::vector<KernelCall> describe_calls(const Groups& groups) {
  std::vector<KernelCall> calls;
  for (std::size_t i = 0; i < groups.calls.size(); ++i) {
    const GroupKernel& k = groups.calls[i];
    calls.push_back(
        {k.function->name, k.operators, type_str(*k.result), static_cast<int>(groups.code_of[i])});
  }
  return calls;
}

}  // namespace

CompiledNetwork compile(const std::vector<Value>& inputs, const std::vector<Value>& outputs,
                        const std::string& name, const Target& target,
                        const CompileOptions& options) {
  const auto start = Clock::now();
  TENON_USER_CHECK(!outputs.empty(), ExpressionError, "E0151",
                   "a network needs at least one output");
  check_inputs(inputs, outputs);
  std::vector<Value> graph = share_equal_values(outputs);
  if (options.fold_constants) graph = fold_constants(graph, target, options);
  const std::vector<Value> made = distinct_outputs(share_equal_values(merge_linears(graph)));
  const Groups groups(inputs, made);

  CompiledNetwork network;
  const auto schedule_start = Clock::now();
  std::vector<Function> scheduled(groups.distinct.size());
  in_parallel(scheduled.size(), target.num_cores, [&](std::size_t i) {
    scheduled[i] = default_schedule(groups.distinct[i], target).function();
  });
  network.schedule_seconds = seconds_since(schedule_start);

  const auto kernel_start = Clock::now();
  BuildOptions build;
  build.use_cache = options.use_cache;
  build.poll = options.poll;
  build.lower.verify = options.verify;
  build.codegen.verify_llvm = options.verify;
  const std::vector<CompiledKernel> kernels = compile_kernels(scheduled, target, build);
  network.kernel_seconds = seconds_since(kernel_start);

  const auto constant_start = Clock::now();
  network.executable = Executable(PlanWriter(inputs, made, groups, kernels).write(name));
  network.constant_seconds = seconds_since(constant_start);
  network.calls = describe_calls(groups);
  network.num_compiled = static_cast<int>(kernels.size());
  for (const CompiledKernel& k : kernels) network.num_from_cache += k.is_from_cache ? 1 : 0;
  network.seconds = seconds_since(start);
  return network;
}

}  // namespace tenon::graph
