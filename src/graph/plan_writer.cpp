#include "graph/plan_writer.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "graph/in_parallel.h"
#include "graph/places.h"
#include "tenon/driver/plan_sizes.h"
#include "tenon/graph/control.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/simplify.h"
#include "tenon/ir/visit.h"

namespace tenon::graph {
namespace {

class PlanWriter {
 public:
  PlanWriter(const std::vector<Value>& inputs, const std::vector<Value>& outputs,
             const Groups& groups, const std::map<std::size_t, LibraryCall>& library_calls,
             std::vector<LibraryStep>* library_steps)
      : inputs_(inputs),
        outputs_(outputs),
        groups_(groups),
        library_calls_(library_calls),
        library_steps_(library_steps) {}

  ExecutableParts write(const std::string& name) {
    plan_.name = name;
    add_arguments();
    for (const auto& [output, pair] : groups_.in_place) {
      if (pair.is_reading) add_copy(result_place(output), place(inputs_[pair.input]));
    }
    add_program(groups_.program);
    for (const auto& [output, pair] : groups_.in_place) {
      if (pair.is_copied) add_copy(result_place(output), place(outputs_[output]));
    }
    places_.finish();
    in_parallel(packing_.size(), Target::host().num_cores, [&](std::size_t i) { packing_[i](); });
    parts_.plan = std::move(plan_);
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
    for (std::size_t i = 0; i < inputs_.size(); ++i)
      place_of_[inputs_[i].get()] = {PlanBufferKind::kArgument, static_cast<std::uint32_t>(i)};
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      const auto pair = groups_.in_place.find(i);
      if (pair != groups_.in_place.end())
        plan_.results[i].in_place_of = static_cast<std::uint32_t>(pair->second.input);
      if (pair == groups_.in_place.end() || !pair->second.is_copied)
        place_of_[outputs_[i].get()] = result_place(i);
    }
  }

  Place result_place(std::size_t output) const {
    return {PlanBufferKind::kArgument, static_cast<std::uint32_t>(inputs_.size() + output)};
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

  PlanRegister bytes_of(const ValueNode& v) {
    return plan_.program.bytes_of(add_sizes(&plan_.program, v.shape, symbols_), v.dtype.bytes());
  }

  /// Where a value is that is no constant; a new temporary for one that has no place yet.
  const Place& place(const Value& v) {
    const auto it = place_of_.find(v.get());
    if (it != place_of_.end()) return it->second;
    return place_of_[v.get()] = places_.add_temporary(bytes_of(*v), typical_bytes(*v));
  }

  Place place_of_param(const KernelParam& p) {
    return p.value->is_constant() ? constant(p) : place(p.value);
  }
  Place place_of_operand(const Value& v) {
    return v->is_constant() ? constant({te::Tensor(), v}) : place(v);
  }

  Place constant(const KernelParam& p) {
    const auto key = std::make_tuple(p.value.get(), p.is_packed, p.is_transposed);
    const auto it = constants_.find(key);
    if (it != constants_.end()) return it->second;
    const std::size_t number = parts_.constants.size();
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
      packing_.emplace_back([this, number, data, transposed = p.is_transposed] {
        parts_.constants[number] = pack_panels(data, transposed);
      });
    }
    plan_.constants.push_back(c);
    return constants_[key] = {PlanBufferKind::kConstant, static_cast<std::uint32_t>(number)};
  }

  void add_program(const Program& program) {
    for (const ProgramStep& step : program) {
      if (!step.control) {
        add_call(step.call);
      } else if (step.control->control->kind == ControlKind::kIf) {
        add_branch(step);
      } else {
        add_loop(step);
      }
    }
  }

  void add_call(std::size_t i) {
    const GroupKernel& call = groups_.calls[i];
    PlanStep step;
    step.kernel = static_cast<std::uint32_t>(groups_.code_of[i]);
    const std::size_t now = plan_.steps.size();
    for (std::size_t k = 0; k < call.params.size(); ++k) {
      const bool is_result = call.function->inputs[k].same_as(call.function->outputs[0]);
      step.buffers.push_back(
          places_.use(is_result ? place(call.result) : place_of_param(call.params[k]), now));
    }
    step.buffers.push_back(places_.use(place(call.result), now));
    for (const Symbol& symbol : call.function->symbols) {
      const bool is_rows = call.rows && symbol.var.same_as(call.rows);
      step.sizes.push_back(
          add_size(&plan_.program, is_rows ? call.lead_product : symbol.var, symbols_));
    }
    plan_.steps.push_back(std::move(step));
    const auto library = library_calls_.find(i);
    if (library == library_calls_.end()) return;
    LibraryStep routine = {now, library->second.routine, {}, {}, library->second.workspace_bytes};
    for (const std::size_t operand : library->second.operands)
      routine.buffers.push_back(plan_.steps[now].buffers[operand]);
    routine.buffers.push_back(plan_.steps[now].buffers.back());
    routine.sizes = add_sizes(&plan_.program, library->second.sizes, symbols_);
    library_steps_->push_back(std::move(routine));
  }

  void add_copy(const Place& to, const Place& from) {
    const std::size_t now = plan_.steps.size();
    plan_.steps.push_back(
        {.op = PlanStepOp::kCopy, .buffers = {places_.use(to, now), places_.use(from, now)}});
  }

  /// Begins a branch or loop; its steps follow.
  PlanRegion& begin_region(PlanStepOp op) {
    plan_.steps.push_back({.op = op, .kernel = static_cast<std::uint32_t>(plan_.regions.size())});
    plan_.regions.emplace_back();
    return plan_.regions.back();
  }
  /// Adds a buffer to the branch or loop at `step`; its position.
  std::uint32_t add_region_buffer(std::size_t step, const Place& p) {
    std::vector<PlanBufferId>& list = plan_.steps[step].buffers;
    list.push_back(places_.use(p, step));
    return static_cast<std::uint32_t>(list.size() - 1);
  }
  PlanRegion& region_of(std::size_t step) { return plan_.regions[plan_.steps[step].kernel]; }

  /// The places that a body's outputs are wanted at: its kernels write there, where one writes the
  /// output alone. The others are copied by copy_outputs.
  using Wanted = std::vector<std::pair<Value, Place>>;
  std::vector<bool> place_outputs(const Wanted& wanted) {
    std::unordered_set<const ValueNode*> seen;
    std::vector<bool> is_placed;
    for (const auto& [v, p] : wanted) {
      is_placed.push_back(!v->is_input() && !v->is_constant() && seen.insert(v.get()).second);
      if (is_placed.back()) place_of_[v.get()] = p;
    }
    return is_placed;
  }
  void copy_outputs(const Wanted& wanted, const std::vector<bool>& is_placed) {
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      if (!is_placed[i]) add_copy(wanted[i].second, place_of_operand(wanted[i].first));
    }
  }

  /// The results of a branch or loop.
  std::vector<Value> items_of(const Value& control) const {
    std::vector<Value> items;
    for (std::size_t i = 0; i < control->control->num_results(); ++i)
      items.push_back(make_item(control, i));
    const auto it = groups_.items.find(control.get());
    if (it == groups_.items.end()) return items;
    for (const Value& item : it->second)
      items[static_cast<std::size_t>(attr<std::int64_t>(*item, "index"))] = item;
    return items;
  }

  void add_branch(const ProgramStep& step) {
    const Value& v = step.control;
    const Control& c = *v->control;
    const std::vector<Value> items = items_of(v);
    const std::size_t begin = plan_.steps.size();
    begin_region(PlanStepOp::kBranch);
    region_of(begin).condition = add_region_buffer(begin, place_of_operand(v->inputs[0]));
    std::vector<Place> results;
    for (std::size_t i = 0; i < items.size(); ++i) {
      results.push_back(place(items[i]));
      places_.use(results.back(), begin);
    }
    const auto outside = place_of_;
    for (std::size_t b = 0; b < c.bodies.size(); ++b) {
      const SubGraph& body = c.bodies[b];
      for (std::size_t i = 0; i < body.inputs.size(); ++i)
        place_of_[body.inputs[i].get()] = place_of_operand(v->inputs[1 + i]);
      Wanted wanted;
      for (std::size_t i = 0; i < results.size(); ++i)
        wanted.emplace_back(body.outputs[i], results[i]);
      const std::vector<bool> is_placed = place_outputs(wanted);
      add_program(step.parts[b]);
      copy_outputs(wanted, is_placed);
      if (b == 0)
        region_of(begin).num_first = static_cast<std::uint32_t>(plan_.steps.size() - begin - 1);
      place_of_ = outside;
    }
    region_of(begin).num_steps = static_cast<std::uint32_t>(plan_.steps.size() - begin - 1);
    for (const Place& p : results) places_.use(p, plan_.steps.size() - 1);
  }

  /// State that a loop carries: two halves of one temporary, read and written in turn.
  struct State {
    Place first, now, next;
  };

  State add_state(const ValueNode& v, std::uint32_t loop) {
    const PlanRegister bytes = bytes_of(v), half = plan_.program.round_up(bytes, 64);
    Place both = places_.add_temporary(plan_.program.mul(half, plan_.program.constant(2)),
                                       2 * typical_bytes(v));
    both.bytes = bytes;
    return {both, Places::moving(both, loop, half, PlanMoveKind::kEven, bytes),
            Places::moving(both, loop, half, PlanMoveKind::kOdd, bytes)};
  }

  void add_loop(const ProgramStep& step) {
    const Value& v = step.control;
    const Control& c = *v->control;
    const SubGraph& body = c.body();
    const std::vector<Value> items = items_of(v);
    std::vector<Place> operands;
    for (const Value& x : v->inputs) operands.push_back(place_of_operand(x));
    const auto loop = static_cast<std::uint32_t>(plan_.steps.size() + c.num_states);
    std::vector<State> states;
    for (std::size_t i = 0; i < c.num_states; ++i) {
      states.push_back(add_state(*body.inputs[1 + i], loop));
      add_copy(states[i].first, operands[c.first_state_operand() + i]);
    }
    std::vector<Place> stacked;
    for (std::size_t i = c.num_states; i < items.size(); ++i) stacked.push_back(place(items[i]));
    const auto outside = place_of_;
    begin_region(PlanStepOp::kLoop).count = add_size(&plan_.program, c.count, symbols_);
    if (c.has_limit) region_of(loop).count_buffer = add_region_buffer(loop, operands[0]);
    place_body_inputs(c, loop, states, operands);
    if (is_used_in(body, body.inputs[0]))
      region_of(loop).iteration = add_region_buffer(loop, place(body.inputs[0]));

    const PlanMoveKind order = c.is_reverse ? PlanMoveKind::kBackward : PlanMoveKind::kForward;
    Wanted wanted;
    for (std::size_t i = 0; i < c.num_states; ++i)
      wanted.emplace_back(body.outputs[c.first_next() + i], states[i].next);
    for (std::size_t i = 0; i < stacked.size(); ++i) {
      const Value& y = body.outputs[c.first_next() + c.num_states + i];
      const PlanRegister bytes = bytes_of(*y);
      wanted.emplace_back(y, Places::moving(stacked[i], loop, bytes, order, bytes));
    }
    const std::vector<bool> is_placed = place_outputs(wanted);
    add_program(step.parts[0]);
    if (c.has_condition) {
      region_of(loop).num_first = static_cast<std::uint32_t>(plan_.steps.size() - loop - 1);
      region_of(loop).condition = add_region_buffer(loop, place_of_operand(body.outputs[0]));
    }
    add_program(step.parts[1]);
    copy_outputs(wanted, is_placed);
    const std::size_t end = plan_.steps.size();
    region_of(loop).num_steps = static_cast<std::uint32_t>(end - loop - 1);
    places_.add_loop(loop + 1, end);
    for (const Place& p : stacked) places_.use(p, loop);
    place_of_ = outside;
    for (std::size_t i = 0; i < c.num_states; ++i) take_last_state(items[i], states[i].now);
  }

  void place_body_inputs(const Control& c, std::uint32_t loop, const std::vector<State>& states,
                         const std::vector<Place>& operands) {
    const std::vector<Value>& inputs = c.body().inputs;
    const std::size_t first_slice = 1 + c.num_states;
    for (std::size_t i = 0; i < c.num_states; ++i) place_of_[inputs[1 + i].get()] = states[i].now;
    const PlanMoveKind order = c.is_reverse ? PlanMoveKind::kBackward : PlanMoveKind::kForward;
    for (std::size_t i = first_slice; i < inputs.size(); ++i) {
      const Place& operand = operands[c.first_state_operand() + i - 1];
      const PlanRegister bytes = bytes_of(*inputs[i]);
      place_of_[inputs[i].get()] = i < first_slice + c.num_slices
                                       ? Places::moving(operand, loop, bytes, order, bytes)
                                       : operand;
    }
  }

  /// The last state is where the loop left it, unless it is wanted elsewhere.
  void take_last_state(const Value& item, const Place& state) {
    const auto it = place_of_.find(item.get());
    if (it == place_of_.end()) {
      place_of_[item.get()] = state;
    } else {
      add_copy(it->second, state);
    }
  }

  static bool is_used_in(const SubGraph& graph, const Value& input) {
    for (const Value& v : in_order(graph.outputs)) {
      if (v == input) return true;
    }
    return false;
  }

  const std::vector<Value>& inputs_;
  const std::vector<Value>& outputs_;
  const Groups& groups_;
  const std::map<std::size_t, LibraryCall>& library_calls_;
  std::vector<LibraryStep>* library_steps_;
  Plan plan_;
  ExecutableParts parts_;
  SymbolRegisters symbols_;
  Places places_{&plan_};
  std::unordered_map<const ValueNode*, Place> place_of_;
  std::map<std::tuple<const ValueNode*, bool, bool>, Place> constants_;
  std::vector<std::function<void()>> packing_;
};

}  // namespace

ExecutableParts write_plan(const std::vector<Value>& inputs, const std::vector<Value>& outputs,
                           const Groups& groups, const std::string& name,
                           const std::map<std::size_t, LibraryCall>& library_calls,
                           std::vector<LibraryStep>* library_steps) {
  return PlanWriter(inputs, outputs, groups, library_calls, library_steps).write(name);
}

void add_library_steps(Plan* plan, const std::vector<LibraryStep>& steps) {
  for (const LibraryStep& s : steps) {
    PlanStep& step = plan->steps[s.step];
    step.op = PlanStepOp::kExtern;
    step.kernel = static_cast<std::uint32_t>(plan->externs.size());
    step.buffers = s.buffers;
    step.sizes = s.sizes;
    step.shared_bytes = plan->program.constant(s.workspace_bytes);
    step.launches.clear();
    plan->externs.push_back(s.routine);
  }
}

namespace {

/// Adds the kernel; `f` gets each step that calls it, with the registers of the kernel's symbols.
template <typename F>
void for_steps_of(Plan* plan, std::size_t number, const KernelCode& kernel, F&& f) {
  TENON_CHECK(plan->kernels.size() == number, "kernels are added in their order");
  plan->kernels.push_back({kernel.source->name, kernel.sites});
  for (PlanStep& step : plan->steps) {
    if (step.op != PlanStepOp::kKernel || step.kernel != number) continue;
    SymbolRegisters own;
    for (std::size_t s = 0; s < step.sizes.size(); ++s) {
      own[kernel.function->symbols.at(s).var.get()] = step.sizes[s];
      own[kernel.source->symbols.at(s).var.get()] = step.sizes[s];
    }
    f(&step, own);
  }
}

}  // namespace

void add_kernel(Plan* plan, std::size_t number, const KernelCode& kernel) {
  for_steps_of(plan, number, kernel, [&](PlanStep* step, const SymbolRegisters& symbols) {
    const auto bytes = [&](const Expr& e) {
      return is_int(e, 0) ? kPlanNone : add_size(&plan->program, e, symbols);
    };
    step->shared_bytes = bytes(kernel.info.workspace.shared_bytes);
    step->worker_bytes = bytes(kernel.info.workspace.worker_bytes);
  });
}

void add_device_kernel(Plan* plan, std::size_t number, const DeviceKernelCode& kernel) {
  const std::uint32_t first = add_kernels(plan, kernel);
  for_steps_of(plan, number, kernel, [&](PlanStep* step, const SymbolRegisters& symbols) {
    add_launches(plan, step, kernel, first, symbols);
  });
}

}  // namespace tenon::graph
