#include "graph/transform/control.h"

#include "graph/pass/pass.h"
#include "graph/transform/iteration_sum.h"
#include "tenon/graph/control.h"
#include "tenon/graph/transform.h"

namespace tenon::graph {
namespace {

Value zeros_like(const Value& v) {
  return make_op("broadcast_to", {number(v->dtype, 0)}, {{"shape", v->shape}});
}
Value or_zeros(const Value& given, const Value& like) { return given ? given : zeros_like(like); }
Value input_like(const Value& v, const char* name) { return make_input(v->shape, v->dtype, name); }

std::vector<Value> replace(const std::vector<Value>& outputs,
                           const std::unordered_map<const ValueNode*, Value>& by) {
  return rewrite_graph(outputs, [&](const Value& v, const std::vector<Value>&) -> Value {
    const auto it = by.find(v.get());
    return it == by.end() ? nullptr : it->second;
  });
}

/// A loop backwards.
class LoopGradient {
 public:
  LoopGradient(const Value& v, const std::vector<Value>& cotangents, const Active& active)
      : v_(v),
        c_(*v->control),
        body_(c_.body()),
        given_(cotangents),
        active_(active),
        first_slice_(1 + c_.num_states),
        first_captured_(first_slice_ + c_.num_slices) {}

  std::vector<Value> run() {
    TENON_USER_CHECK(!c_.has_condition && !c_.has_limit, GradientError, "E0174", v_->op, " at ",
                     v_->span.str(),
                     ": the gradient of a loop whose number of iterations depends on data cannot "
                     "be taken in reverse\n  hint: bound it with tn.scan or tn.fori_loop, or use "
                     "tn.jvp");
    parts_.op = v_->op + "_grad";
    parts_.count = c_.count;
    parts_.is_reverse = !c_.is_reverse;
    parts_.iteration = make_input({}, kInt64, "t");
    differentiate_body();
    keep_residuals();
    return make();
  }

 private:
  Value operand(std::size_t input) const { return v_->inputs[input - 1]; }

  /// The cotangents of the body's inputs as graphs of these and of cotangents of its outputs.
  void differentiate_body() {
    for (std::size_t i = 1; i < body_.inputs.size(); ++i) {
      const bool is_wanted = i < first_slice_ || active_.count(operand(i).get()) != 0;
      if (is_wanted && body_.inputs[i]->dtype.is_float()) variables_.push_back(i);
    }
    std::vector<Value> outputs, cotangents, inputs;
    for (std::size_t i = 0; i < body_.outputs.size(); ++i) {
      const Value& y = body_.outputs[i];
      const bool is_state = i < c_.num_states;
      if (!y->dtype.is_float() || (!is_state && !given_[i])) continue;
      outputs.push_back(y);
      cotangents.push_back(input_like(y, "cotangent"));
      if (is_state) {
        parts_.init.push_back(or_zeros(given_[i], v_->inputs[i]));
        parts_.states.push_back(cotangents.back());
      } else {
        parts_.stacked.push_back(given_[i]);
        parts_.slices.push_back(cotangents.back());
      }
    }
    for (const std::size_t i : variables_) inputs.push_back(body_.inputs[i]);
    found_ = vjp(outputs, inputs, cotangents);
  }

  /// What the backward body needs of the forward one comes from arrays: slices that the loop read,
  /// and new results of it.
  void keep_residuals() {
    std::unordered_set<const ValueNode*> varying;
    for (std::size_t i = 0; i < first_captured_; ++i) varying.insert(body_.inputs[i].get());
    for (const Value& v : in_order(body_.outputs)) {
      for (const Value& x : v->inputs) {
        if (varying.count(x.get()) != 0) varying.insert(v.get());
      }
    }
    std::unordered_map<const ValueNode*, Value> by;
    for (std::size_t i = first_captured_; i < body_.inputs.size(); ++i)
      by[body_.inputs[i].get()] = operand(i);
    for (std::size_t i = first_slice_; i < first_captured_; ++i) {
      parts_.stacked.push_back(operand(i));
      parts_.slices.push_back(body_.inputs[i]);
      varying.erase(body_.inputs[i].get());
    }
    std::vector<Value> wanted;
    for (const Value& v : found_) {
      if (v) wanted.push_back(v);
    }
    Control forward = c_;
    std::vector<Value> kept;
    for (const Value& v : residuals(wanted, varying)) {
      forward.bodies[0].outputs.push_back(v);
      kept.push_back(v);
    }
    auto again = std::make_shared<ValueNode>(*v_);
    again->control = std::make_shared<const Control>(std::move(forward));
    for (std::size_t i = 0; i < kept.size(); ++i) {
      by[kept[i].get()] = input_like(kept[i], "residual");
      parts_.stacked.push_back(make_item(again, c_.num_results() + i));
      parts_.slices.push_back(by[kept[i].get()]);
    }
    wanted = replace(wanted, by);
    std::size_t next = 0;
    for (Value& v : found_) {
      if (v) v = wanted[next++];
    }
  }

  /// Values of the forward body at which the graph behind `wanted` is cut: states, the iteration,
  /// and what is more than element-wise.
  static std::vector<Value> residuals(const std::vector<Value>& wanted,
                                      const std::unordered_set<const ValueNode*>& varying) {
    std::vector<Value> found, stack = wanted;
    std::unordered_set<const ValueNode*> seen;
    while (!stack.empty()) {
      const Value v = stack.back();
      stack.pop_back();
      if (!seen.insert(v.get()).second) continue;
      const Operator* op = operator_of(*v);
      const bool is_heavy = op == nullptr || op->element == nullptr;
      if (varying.count(v.get()) != 0 && is_heavy && !v->control) {
        found.push_back(v);
        continue;
      }
      stack.insert(stack.end(), v->inputs.begin(), v->inputs.end());
    }
    return found;
  }

  std::vector<Value> make() {
    std::vector<std::size_t> captured, slices;  // variables with a cotangent
    for (std::size_t k = 0; k < variables_.size(); ++k) {
      const std::size_t i = variables_[k];
      if (i < first_slice_) {
        parts_.next.push_back(or_zeros(found_[k], body_.inputs[i]));
      } else if (found_[k]) {
        (i < first_captured_ ? slices : captured).push_back(k);
      }
    }
    for (const std::size_t k : slices) parts_.results.push_back(found_[k]);
    // What all iterations use: a sum after the loop, or one that it carries.
    IterationSums sums(&parts_);
    std::vector<std::size_t> carried, after;
    for (const std::size_t k : captured) (sums.can_sum(found_[k]) ? after : carried).push_back(k);
    for (const std::size_t k : after) sums.stack(found_[k]);
    for (const std::size_t k : carried) {
      const Value& x = body_.inputs[variables_[k]];
      parts_.init.push_back(zeros_like(x));
      parts_.states.push_back(input_like(x, "sum"));
      parts_.next.push_back(add(parts_.states.back(), found_[k]));
    }
    std::vector<Value> result(v_->inputs.size());
    std::vector<Value> made;
    if (!parts_.states.empty() || !parts_.results.empty()) made = make_loop(parts_);
    std::size_t next = 0;
    for (const std::size_t i : variables_) {
      if (i < first_slice_) result[i - 1] = made[next++];
    }
    for (const std::size_t k : carried) result[variables_[k] - 1] = made[next++];
    for (const std::size_t k : slices) result[variables_[k] - 1] = made[next++];
    for (const std::size_t k : after) result[variables_[k] - 1] = sums.make(found_[k], made);
    return result;
  }

  const Value& v_;
  const Control& c_;
  const SubGraph& body_;
  const std::vector<Value>& given_;
  const Active& active_;
  std::size_t first_slice_, first_captured_;
  LoopParts parts_;
  std::vector<std::size_t> variables_;  ///< inputs of the body
  std::vector<Value> found_;            ///< their cotangents in one iteration
};

std::vector<Value> vjp_branch(const Value& v, const std::vector<Value>& given,
                              const Active& active) {
  const Control& c = *v->control;
  std::vector<std::size_t> variables;  // inputs of the bodies
  for (std::size_t i = 0; i + 1 < v->inputs.size(); ++i) {
    if (v->inputs[1 + i]->dtype.is_float() && active.count(v->inputs[1 + i].get()) != 0)
      variables.push_back(i);
  }
  std::vector<Value> operands(v->inputs.begin() + 1, v->inputs.end()), cotangents;
  std::vector<std::size_t> outputs;
  for (std::size_t i = 0; i < given.size(); ++i) {
    if (!given[i]) continue;
    outputs.push_back(i);
    operands.push_back(given[i]);
  }
  std::vector<SubGraph> branches;
  for (const SubGraph& body : c.bodies) {
    SubGraph branch{body.inputs, {}};
    std::vector<Value> y, g, x;
    for (const std::size_t i : outputs) {
      y.push_back(body.outputs[i]);
      g.push_back(input_like(body.outputs[i], "cotangent"));
      branch.inputs.push_back(g.back());
    }
    for (const std::size_t i : variables) x.push_back(body.inputs[i]);
    branch.outputs = vjp(y, x, g);
    for (std::size_t k = 0; k < x.size(); ++k)
      branch.outputs[k] = or_zeros(branch.outputs[k], x[k]);
    branches.push_back(std::move(branch));
  }
  std::vector<Value> result(v->inputs.size());
  if (variables.empty()) return result;
  const std::vector<Value> made = make_if(v->inputs[0], operands, branches[0], branches[1], 0);
  for (std::size_t k = 0; k < variables.size(); ++k) result[1 + variables[k]] = made[k];
  return result;
}

std::vector<Value> jvp_branch(const Value& v, const std::vector<Value>& tangents) {
  const Control& c = *v->control;
  std::vector<Value> operands(v->inputs.begin() + 1, v->inputs.end());
  std::vector<std::size_t> variables;
  for (std::size_t i = 1; i < v->inputs.size(); ++i) {
    if (!tangents[i]) continue;
    variables.push_back(i - 1);
    operands.push_back(tangents[i]);
  }
  std::vector<std::size_t> outputs;
  for (std::size_t i = 0; i < c.num_results(); ++i) {
    if (c.body().outputs[i]->dtype.is_float()) outputs.push_back(i);
  }
  std::vector<SubGraph> branches;
  for (const SubGraph& body : c.bodies) {
    SubGraph branch{body.inputs, {}};
    std::vector<Value> y, x, d;
    for (const std::size_t i : outputs) y.push_back(body.outputs[i]);
    for (const std::size_t i : variables) {
      x.push_back(body.inputs[i]);
      d.push_back(input_like(x.back(), "tangent"));
      branch.inputs.push_back(d.back());
    }
    branch.outputs = jvp(y, x, d);
    for (std::size_t k = 0; k < y.size(); ++k)
      branch.outputs[k] = or_zeros(branch.outputs[k], y[k]);
    branches.push_back(std::move(branch));
  }
  std::vector<Value> result(c.num_results());
  if (outputs.empty()) return result;
  const std::vector<Value> made = make_if(v->inputs[0], operands, branches[0], branches[1], 0);
  for (std::size_t k = 0; k < outputs.size(); ++k) result[outputs[k]] = made[k];
  return result;
}

/// The loop with the tangents of its states and slices beside them.
std::vector<Value> jvp_loop(const Value& v, const std::vector<Value>& tangents) {
  const Control& c = *v->control;
  const SubGraph& body = c.body();
  const std::size_t first_slice = 1 + c.num_states, first_captured = first_slice + c.num_slices;
  const auto operand = [&](std::size_t i) { return c.first_state_operand() + i - 1; };
  LoopParts parts;
  parts.op = v->op + "_jvp";
  parts.count = c.count;
  parts.is_reverse = c.is_reverse;
  if (c.has_limit) parts.limit = v->inputs[0];
  parts.iteration = body.inputs[0];
  std::unordered_map<const ValueNode*, Value> captured;
  std::vector<Value> variables, directions;
  for (std::size_t i = 1; i < body.inputs.size(); ++i) {
    const Value &x = body.inputs[i], &given = v->inputs[operand(i)],
                &tangent = tangents[operand(i)];
    const bool is_state = i < first_slice, is_captured = i >= first_captured;
    const bool has_tangent = x->dtype.is_float() && (is_state || tangent);
    if (is_captured) captured[x.get()] = given;
    if (!is_captured) {
      (is_state ? parts.init : parts.stacked).push_back(given);
      (is_state ? parts.states : parts.slices).push_back(x);
    }
    if (!has_tangent) continue;
    variables.push_back(x);
    directions.push_back(is_captured ? tangent : input_like(x, "tangent"));
  }
  for (std::size_t k = 0; k < variables.size(); ++k) {
    for (std::size_t i = 1; i < first_captured; ++i) {
      if (body.inputs[i] != variables[k]) continue;
      const bool is_state = i < first_slice;
      (is_state ? parts.init : parts.stacked)
          .push_back(is_state ? or_zeros(tangents[operand(i)], v->inputs[operand(i)])
                              : tangents[operand(i)]);
      (is_state ? parts.states : parts.slices).push_back(directions[k]);
    }
  }
  std::vector<Value> y,
      all(body.outputs.begin() + static_cast<long>(c.first_next()), body.outputs.end());
  std::vector<std::size_t> outputs;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!all[i]->dtype.is_float()) continue;
    outputs.push_back(i);
    y.push_back(all[i]);
  }
  std::vector<Value> d = jvp(y, variables, directions);
  for (std::size_t k = 0; k < d.size(); ++k) d[k] = or_zeros(d[k], y[k]);
  all.insert(all.end(), d.begin(), d.end());
  if (c.has_condition) all.push_back(body.outputs[0]);
  all = replace(all, captured);
  if (c.has_condition) {
    parts.condition = all.back();
    all.pop_back();
  }
  const std::size_t num = c.num_results();
  parts.next.assign(all.begin(), all.begin() + static_cast<long>(c.num_states));
  std::vector<std::size_t> state_of, stacked_of;  // results whose tangents these are
  for (std::size_t k = 0; k < outputs.size(); ++k) {
    const bool is_state = outputs[k] < c.num_states;
    (is_state ? parts.next : parts.results).push_back(all[num + k]);
    (is_state ? state_of : stacked_of).push_back(outputs[k]);
  }
  const std::vector<Value> made = make_loop(parts);
  std::vector<Value> result(num);
  for (std::size_t k = 0; k < state_of.size(); ++k) result[state_of[k]] = made[c.num_states + k];
  for (std::size_t k = 0; k < stacked_of.size(); ++k)
    result[stacked_of[k]] = made[parts.next.size() + k];
  return result;
}

}  // namespace

std::vector<Value> vjp_control(const Value& v, const std::vector<Value>& cotangents,
                               const Active& active) {
  const SpanScope span(v->span);
  return v->control->kind == ControlKind::kIf ? vjp_branch(v, cotangents, active)
                                              : LoopGradient(v, cotangents, active).run();
}

std::vector<Value> jvp_control(const Value& v, const std::vector<Value>& tangents) {
  const SpanScope span(v->span);
  return v->control->kind == ControlKind::kIf ? jvp_branch(v, tangents) : jvp_loop(v, tangents);
}

}  // namespace tenon::graph
