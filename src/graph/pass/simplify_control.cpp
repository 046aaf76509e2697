#include <algorithm>

#include "graph/pass/pass.h"
#include "tenon/graph/control.h"

namespace tenon::graph {
namespace {

using Used = std::vector<bool>;  ///< for each result of a branch or loop

std::shared_ptr<ValueNode> with_control(const Value& v, Control control) {
  auto copy = std::make_shared<ValueNode>(*v);
  copy->control = std::make_shared<const Control>(std::move(control));
  return copy;
}

/// Inputs of a body that its outputs need.
std::unordered_set<const ValueNode*> needed_by(const std::vector<Value>& outputs) {
  std::unordered_set<const ValueNode*> needed;
  for (const Value& v : in_order(outputs)) {
    if (v->is_input()) needed.insert(v.get());
  }
  return needed;
}

/// The graph with other values in the place of inputs.
std::vector<Value> substitute_inputs(
    const std::vector<Value>& outputs,
    const std::unordered_map<const ValueNode*, Value>& substitutes) {
  if (substitutes.empty()) return outputs;
  return rewrite_graph(outputs, [&](const Value& v, const std::vector<Value>&) -> Value {
    const auto it = substitutes.find(v.get());
    return it == substitutes.end() ? nullptr : it->second;
  });
}

/// A branch or loop in simpler form, and what stands for its old results.
class Simplifier {
 public:
  Simplifier(const Value& v, Used used) : old_(v), c_(*v->control), used_(std::move(used)) {
    operands_ = v->inputs;
    for (std::size_t i = 0; i < used_.size(); ++i)
      (i < c_.num_states ? states_ : stacked_).push_back(i);
  }

  std::vector<Value> run() {
    if (c_.kind == ControlKind::kIf) {
      simplify_if();
    } else {
      simplify_loop();
    }
    return results_;
  }
  /// What was taken away, for reports; empty when nothing.
  std::string removed() const {
    std::string text;
    const auto add = [&](std::size_t n, const char* what) {
      if (n != 0) text += (text.empty() ? "" : "; ") + std::to_string(n) + what;
    };
    const auto num_unused = static_cast<std::size_t>(std::count(used_.begin(), used_.end(), false));
    const std::size_t num_before = old_->inputs.size();
    add(fixed_.size(), " of its states never change");
    add(num_unused, " of its results are used by nothing");
    add(num_before > operands_.size() ? num_before - operands_.size() : 0,
        " of its operands are constants, equal to others or not read");
    return text;
  }

 private:
  void simplify_if() {
    std::vector<std::size_t> kept;
    for (std::size_t i = 0; i < used_.size(); ++i) {
      if (used_[i]) kept.push_back(i);
    }
    for (SubGraph& body : c_.bodies) {
      std::vector<Value> outputs;
      for (const std::size_t i : kept) outputs.push_back(body.outputs[i]);
      body.outputs = outputs;
    }
    drop_inputs(1, 0);
    finish(kept);
  }

  void simplify_loop() {
    while (fix_constant_state()) {
    }
    drop_unused_states();
    SubGraph& body = c_.bodies[0];
    const std::size_t first_stacked = c_.first_next() + c_.num_states;
    std::vector<std::size_t> kept = states_;
    for (std::size_t i = stacked_.size(); i-- > 0;) {
      if (used_[stacked_[i]]) continue;
      body.outputs.erase(body.outputs.begin() + static_cast<std::ptrdiff_t>(first_stacked + i));
      stacked_.erase(stacked_.begin() + static_cast<std::ptrdiff_t>(i));
    }
    kept.insert(kept.end(), stacked_.begin(), stacked_.end());
    drop_slices();
    drop_inputs(c_.first_state_operand() + c_.num_states + c_.num_slices,
                1 + c_.num_states + c_.num_slices);
    finish(kept);
  }

  /// A state that stays what it was is a captured value.
  bool fix_constant_state() {
    SubGraph& body = c_.bodies[0];
    for (std::size_t i = 0; i < c_.num_states; ++i) {
      if (body.outputs[c_.first_next() + i] != body.inputs[1 + i]) continue;
      const Value input = body.inputs[1 + i], operand = operands_[c_.first_state_operand() + i];
      fixed_[states_[i]] = operand;
      remove_state(i);
      body.inputs.push_back(input);
      operands_.push_back(operand);
      return true;
    }
    return false;
  }

  /// States that no result and no condition need, not even by way of other states.
  void drop_unused_states() {
    const SubGraph& body = c_.bodies[0];
    const std::size_t first = c_.first_next(), first_stacked = first + c_.num_states;
    std::vector<Value> outputs(body.outputs.begin(),
                               body.outputs.begin() + static_cast<std::ptrdiff_t>(first));
    for (std::size_t i = 0; i < stacked_.size(); ++i) {
      if (used_[stacked_[i]]) outputs.push_back(body.outputs[first_stacked + i]);
    }
    std::vector<bool> is_live(c_.num_states);
    for (std::size_t i = 0; i < c_.num_states; ++i) {
      is_live[i] = used_[states_[i]];
      if (is_live[i]) outputs.push_back(body.outputs[first + i]);
    }
    for (bool is_changed = true; is_changed;) {
      is_changed = false;
      const auto needed = needed_by(outputs);
      for (std::size_t i = 0; i < c_.num_states; ++i) {
        if (is_live[i] || needed.count(body.inputs[1 + i].get()) == 0) continue;
        is_live[i] = is_changed = true;
        outputs.push_back(body.outputs[first + i]);
      }
    }
    for (std::size_t i = c_.num_states; i-- > 0;) {
      if (!is_live[i]) remove_state(i);
    }
  }

  void remove_state(std::size_t i) {
    const auto at = static_cast<std::ptrdiff_t>(i);
    SubGraph& body = c_.bodies[0];
    body.inputs.erase(body.inputs.begin() + 1 + at);
    body.outputs.erase(body.outputs.begin() + static_cast<std::ptrdiff_t>(c_.first_next()) + at);
    operands_.erase(operands_.begin() + static_cast<std::ptrdiff_t>(c_.first_state_operand()) + at);
    if (i < c_.names.size()) c_.names.erase(c_.names.begin() + at);
    states_.erase(states_.begin() + at);
    --c_.num_states;
  }

  void drop_slices() {
    SubGraph& body = c_.bodies[0];
    const auto needed = needed_by(body.outputs);
    for (std::size_t i = c_.num_slices; i-- > 0;) {
      const std::size_t input = 1 + c_.num_states + i;
      if (needed.count(body.inputs[input].get()) != 0) continue;
      body.inputs.erase(body.inputs.begin() + static_cast<std::ptrdiff_t>(input));
      operands_.erase(operands_.begin() +
                      static_cast<std::ptrdiff_t>(c_.first_state_operand() + c_.num_states + i));
      --c_.num_slices;
    }
  }

  /// Captured values: constants move into the bodies, equal ones are one, unused ones go.
  void drop_inputs(std::size_t first_operand, std::size_t first_input) {
    std::vector<std::unordered_map<const ValueNode*, Value>> substitutes(c_.bodies.size());
    std::vector<bool> is_needed(operands_.size() - first_operand, false);
    for (std::size_t i = 0; i < is_needed.size(); ++i) {
      std::size_t same = i;
      for (std::size_t k = 0; k < i; ++k) {
        if (operands_[first_operand + k] == operands_[first_operand + i]) same = std::min(same, k);
      }
      for (std::size_t b = 0; b < c_.bodies.size(); ++b) {
        const std::vector<Value>& inputs = c_.bodies[b].inputs;
        const ValueNode* input = inputs[first_input + i].get();
        if (operands_[first_operand + i]->is_constant()) {
          substitutes[b][input] = operands_[first_operand + i];
        } else if (same != i) {
          substitutes[b][input] = inputs[first_input + same];
        }
      }
    }
    for (std::size_t b = 0; b < c_.bodies.size(); ++b) {
      SubGraph& body = c_.bodies[b];
      body.outputs = substitute_inputs(body.outputs, substitutes[b]);
      const auto needed = needed_by(body.outputs);
      for (std::size_t i = 0; i < is_needed.size(); ++i)
        is_needed[i] = is_needed[i] || needed.count(body.inputs[first_input + i].get()) != 0;
    }
    for (std::size_t i = is_needed.size(); i-- > 0;) {
      if (is_needed[i]) continue;
      operands_.erase(operands_.begin() + static_cast<std::ptrdiff_t>(first_operand + i));
      for (SubGraph& body : c_.bodies)
        body.inputs.erase(body.inputs.begin() + static_cast<std::ptrdiff_t>(first_input + i));
    }
  }

  /// `kept`: the old numbers of the results that are left.
  void finish(const std::vector<std::size_t>& kept) {
    const auto now = with_control(old_, c_);
    now->inputs = operands_;
    results_.resize(used_.size());
    for (const auto& [index, value] : fixed_) results_[index] = value;
    for (std::size_t i = 0; i < kept.size(); ++i) results_[kept[i]] = make_item(now, i);
  }

  Value old_;
  Control c_;
  Used used_;
  std::vector<Value> operands_, results_;
  /// Numbers that the states and stacked results which are left had.
  std::vector<std::size_t> states_, stacked_;
  std::unordered_map<std::size_t, Value> fixed_;
};

}  // namespace

std::vector<Value> everywhere(
    const std::vector<Value>& outputs,
    const std::function<std::vector<Value>(const std::vector<Value>&)>& pass) {
  return rewrite_graph(pass(outputs), [&](const Value& v, std::vector<Value> inputs) -> Value {
    if (!v->control) return nullptr;
    Control control = *v->control;
    for (SubGraph& body : control.bodies) body.outputs = everywhere(body.outputs, pass);
    const auto now = with_control(v, std::move(control));
    now->inputs = std::move(inputs);
    return now;
  });
}

std::vector<Value> simplify_control(const std::vector<Value>& outputs, RewriteLog* log) {
  std::unordered_map<const ValueNode*, Used> used;
  for (const Value& v : in_order(outputs)) {
    if (v->control) used[v.get()].resize(v->control->num_results(), false);
    if (v->is_op("item"))
      used[v->inputs[0].get()][static_cast<std::size_t>(attr<std::int64_t>(*v, "index"))] = true;
  }
  std::unordered_map<const ValueNode*, std::vector<Value>> results;  // by the old branch or loop
  return rewrite_graph(outputs, [&](const Value& v, std::vector<Value> inputs) -> Value {
    if (v->control) {
      const Value now = with_inputs(*v, std::move(inputs));
      Simplifier simplifier(now, used.at(v.get()));
      results[v.get()] = simplifier.run();
      const std::string removed = simplifier.removed();
      if (!removed.empty()) note(log, "simplify_control", *v, "removed", removed);
      return now;
    }
    if (!v->is_op("item")) return nullptr;
    return results.at(
        v->inputs[0].get())[static_cast<std::size_t>(attr<std::int64_t>(*v, "index"))];
  });
}

}  // namespace tenon::graph
