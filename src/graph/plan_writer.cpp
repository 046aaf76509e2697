#include "graph/plan_writer.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "graph/in_parallel.h"
#include "tenon/driver/plan_sizes.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/simplify.h"
#include "tenon/ir/visit.h"

namespace tenon::graph {
namespace {

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
    for (const auto& [output, pair] : groups_.in_place) {
      if (pair.is_reading)
        add_copy(result_buffer(output), buffer_of_.at(inputs_[pair.input].get()));
    }
    for (std::size_t i = 0; i < groups_.calls.size(); ++i) add_step(i);
    for (const auto& [output, pair] : groups_.in_place) {
      if (pair.is_copied) add_copy(result_buffer(output), buffer_of_.at(outputs_[output].get()));
    }
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
    for (const Value& v : inputs_) buffer_of_[v.get()] = add_argument_buffer();
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      result_buffers_.push_back(add_argument_buffer());
      const auto pair = groups_.in_place.find(i);
      if (pair != groups_.in_place.end())
        plan_.results[i].in_place_of = static_cast<std::uint32_t>(pair->second.input);
      if (pair == groups_.in_place.end() || !pair->second.is_copied)
        buffer_of_[outputs_[i].get()] = result_buffers_.back();
    }
  }

  PlanBufferId add_argument_buffer() { return plan_.add_argument_buffer(num_arguments_++); }
  PlanBufferId result_buffer(std::size_t output) const { return result_buffers_[output]; }

  /// Nothing when both are the same memory.
  void add_copy(PlanBufferId to, PlanBufferId from) {
    PlanStep step;
    step.op = PlanStepOp::kCopy;
    step.buffers = {to, from};
    plan_.steps.push_back(std::move(step));
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
    std::vector<PlanRegister> lengths;
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
      lengths.push_back(bytes);
    }
    for (const auto& [output, pair] : groups_.in_place) {
      const auto it = index.find(outputs_[output].get());
      if (it != index.end()) all[it->second].last = groups_.calls.size();
    }
    const MemoryPlan memory = plan_memory(all, &plan_.program);
    if (all.empty()) return;
    plan_.arena_bytes = memory.arena_bytes;
    for (std::size_t i = 0; i < all.size(); ++i)
      buffer_of_[values[i]] = plan_.add_workspace_buffer(memory.offsets[i], lengths[i]);
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
      const auto columns =
          static_cast<std::uint64_t>(p.is_transposed ? data.shape().front() : data.shape().back());
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
    const PlanBufferId result = buffer_of_.at(call.result.get());
    for (std::size_t k = 0; k < call.params.size(); ++k) {
      const bool is_result = call.function->inputs[k].same_as(call.function->outputs[0]);
      step.buffers.push_back(is_result ? result : buffer(call.params[k]));
    }
    step.buffers.push_back(result);
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
  std::vector<PlanBufferId> result_buffers_;
  std::uint32_t num_arguments_ = 0;
  std::map<std::tuple<const ValueNode*, bool, bool>, PlanBufferId> constants_;
  std::vector<std::function<void()>> packing_;
};

}  // namespace

ExecutableParts write_plan(const std::vector<Value>& inputs, const std::vector<Value>& outputs,
                           const Groups& groups, const std::vector<CompiledKernel>& kernels,
                           const std::string& name) {
  return PlanWriter(inputs, outputs, groups, kernels).write(name);
}

}  // namespace tenon::graph
