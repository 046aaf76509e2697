#include <algorithm>

#include "graph/pass/pass.h"
#include "graph/tensors.h"
#include "graph/transform/control.h"
#include "graph/transform/definition.h"
#include "tenon/graph/control.h"
#include "tenon/graph/transform.h"
#include "tenon/ir/builder.h"

namespace tenon::graph {
namespace {

using Flags = std::vector<bool>;

std::vector<Expr> with_batch(const Expr& extent, const std::vector<Expr>& shape) {
  std::vector<Expr> out{extent};
  out.insert(out.end(), shape.begin(), shape.end());
  return out;
}

/// The value with a leading axis: itself, or repeated.
Value batched(const Value& v, bool has_batch, const Expr& extent) {
  if (has_batch) return v;
  return make_op("broadcast_to", {v}, {{"shape", with_batch(extent, v->shape)}});
}

/// [a, b, ...] as [b, a, ...].
Value exchanged(const Value& v) {
  std::vector<std::int64_t> axes{1, 0};
  for (std::size_t d = 2; d < v->shape.size(); ++d) axes.push_back(static_cast<std::int64_t>(d));
  return make_op("transpose", {v}, {{"axes", axes}});
}

/// holds[b] ? a[b, ...] : b[b, ...].
Value chosen(const Value& holds, const Value& a, const Value& b) {
  std::vector<Expr> shape = holds->shape;
  shape.resize(std::max(a->shape.size(), b->shape.size()), imm(1));
  const Value aligned = shape.size() == 1 ? holds : make_op("reshape", {holds}, {{"shape", shape}});
  return make_op("where", {aligned, a, b});
}

struct BatchedValues {
  std::vector<Value> values;
  Flags flags;
};

/// `outputs` of a body for the given forms of its inputs.
BatchedValues of_body(const std::vector<Value>& outputs, const std::vector<Value>& inputs,
                      const std::vector<Value>& forms, const Flags& flags, const Expr& extent) {
  BatchedValues out;
  out.values = vmap(outputs, inputs, forms, flags, extent, &out.flags);
  return out;
}

/// A loop of which each element of the batch may end on its own.
class BatchedLoop {
 public:
  BatchedLoop(const Value& v, const std::vector<Value>& operands, const Flags& flags,
              const Expr& extent)
      : v_(v),
        c_(*v->control),
        body_(c_.body()),
        operands_(operands),
        flags_(flags),
        extent_(extent),
        first_slice_(1 + c_.num_states),
        first_captured_(first_slice_ + c_.num_slices) {}

  BatchedValues run() {
    has_batched_limit_ = c_.has_limit && flags_[0];
    ends_alone_ = has_batched_limit_;
    input_flags_.push_back(false);
    for (std::size_t i = 1; i < body_.inputs.size(); ++i) input_flags_.push_back(flag_of(i));
    while (!settle_states()) {
    }
    parts_.op = v_->op;
    parts_.count = c_.count;
    parts_.is_reverse = c_.is_reverse;
    parts_.names = c_.names;
    parts_.iteration = forms_[0];
    for (std::size_t i = 1; i < first_slice_; ++i) {
      parts_.init.push_back(input_flags_[i] ? batched(operand(i), flag_of(i), extent_)
                                            : operand(i));
      parts_.states.push_back(forms_[i]);
    }
    for (std::size_t i = first_slice_; i < first_captured_; ++i) {
      parts_.stacked.push_back(flag_of(i) ? exchanged(operand(i)) : operand(i));
      parts_.slices.push_back(forms_[i]);
    }
    if (c_.has_limit) parts_.limit = has_batched_limit_ ? largest(operands_[0]) : operands_[0];
    ends_alone_ ? run_each_to_its_end() : run_together();
    const std::vector<Value> made = make_loop(parts_);
    BatchedValues out;
    for (std::size_t k = 0; k < made.size(); ++k) {
      const bool is_state = k < c_.num_states;
      out.flags.push_back(is_state ? input_flags_[1 + k] : result_flags_[k - c_.num_states]);
      out.values.push_back(!is_state && out.flags.back() ? exchanged(made[k]) : made[k]);
    }
    return out;
  }

 private:
  std::size_t place(std::size_t input) const { return c_.first_state_operand() + input - 1; }
  const Value& operand(std::size_t input) const { return operands_[place(input)]; }
  bool flag_of(std::size_t input) const { return flags_[place(input)]; }

  /// Marks states that become batched in an iteration; true when there are no more.
  bool settle_states() {
    forms_ = {body_.inputs[0]};
    for (std::size_t i = 1; i < body_.inputs.size(); ++i) {
      const Value& x = body_.inputs[i];
      if (i >= first_captured_) {
        forms_.push_back(operand(i));
      } else {
        forms_.push_back(
            input_flags_[i] ? make_input(with_batch(extent_, x->shape), x->dtype, x->name) : x);
      }
    }
    const BatchedValues found = of_body(body_.outputs, body_.inputs, forms_, input_flags_, extent_);
    const bool has_own_condition = c_.has_condition && found.flags[0];
    bool is_settled = ends_alone_ || !has_own_condition;
    ends_alone_ = ends_alone_ || has_own_condition;
    for (std::size_t s = 0; s < c_.num_states; ++s) {
      if (input_flags_[1 + s] || !(ends_alone_ || found.flags[c_.first_next() + s])) continue;
      input_flags_[1 + s] = true;
      is_settled = false;
    }
    return is_settled;
  }

  void take_outputs(const BatchedValues& found, std::size_t first) {
    for (std::size_t s = 0; s < c_.num_states; ++s) {
      const Value& next = found.values[first + s];
      parts_.next.push_back(input_flags_[1 + s] ? batched(next, found.flags[first + s], extent_)
                                                : next);
    }
    for (std::size_t k = first + c_.num_states; k < found.values.size(); ++k) {
      parts_.results.push_back(found.values[k]);
      result_flags_.push_back(found.flags[k]);
    }
  }

  void run_together() {
    const BatchedValues found = of_body(body_.outputs, body_.inputs, forms_, input_flags_, extent_);
    if (c_.has_condition) parts_.condition = found.values[0];
    take_outputs(found, c_.first_next());
  }

  /// The loop runs while it does for any element; those that are at their end keep their states.
  /// What is computed for these is computed of their first states, for which the body was meant.
  void run_each_to_its_end() {
    TENON_CHECK(c_.num_results() == c_.num_states, "stacked results of ", v_->op);
    Value goes_on;
    if (c_.has_condition) {
      const BatchedValues found =
          of_body({body_.outputs[0]}, body_.inputs, forms_, input_flags_, extent_);
      goes_on = batched(found.values[0], found.flags[0], extent_);
    }
    if (has_batched_limit_) {
      const Value counts = make_op("less", {forms_[0], operands_[0]});
      goes_on = goes_on ? make_op("logical_and", {goes_on, counts}) : counts;
    }
    std::vector<Value> forms = forms_;
    for (std::size_t i = 1; i < first_slice_; ++i)
      forms[i] = chosen(goes_on, forms_[i], parts_.init[i - 1]);
    const std::vector<Value> next(body_.outputs.begin() + static_cast<long>(c_.first_next()),
                                  body_.outputs.end());
    take_outputs(of_body(next, body_.inputs, forms, input_flags_, extent_), 0);
    for (std::size_t s = 0; s < c_.num_states; ++s)
      parts_.next[s] = chosen(goes_on, parts_.next[s], forms_[1 + s]);
    const Value flags = make_op("cast", {goes_on}, {{"dtype", kInt32}});
    parts_.condition = make_op("greater", {largest(flags), number(kInt32, 0)});
  }

  static Value largest(const Value& v) {
    return make_op("max", {v}, {{"axes", std::vector<std::int64_t>{0}}});
  }

  const Value& v_;
  const Control& c_;
  const SubGraph& body_;
  const std::vector<Value>& operands_;
  const Flags& flags_;
  const Expr& extent_;
  const std::size_t first_slice_, first_captured_;
  bool has_batched_limit_ = false, ends_alone_ = false;
  Flags input_flags_;         ///< of the body's inputs
  std::vector<Value> forms_;  ///< what stands for the body's inputs
  Flags result_flags_;        ///< of stacked results
  LoopParts parts_;
};

/// A branch that is the same for the whole batch.
BatchedValues vmap_branch(const Value& v, const std::vector<Value>& operands, const Flags& flags,
                          const Expr& extent) {
  const Control& c = *v->control;
  const Flags input_flags(flags.begin() + 1, flags.end());
  std::vector<SubGraph> branches;
  std::vector<Flags> of_branch;
  for (const SubGraph& body : c.bodies) {
    SubGraph branch;
    for (std::size_t i = 0; i < body.inputs.size(); ++i) {
      const Value& x = body.inputs[i];
      branch.inputs.push_back(
          input_flags[i] ? make_input(with_batch(extent, x->shape), x->dtype, x->name) : x);
    }
    BatchedValues found = of_body(body.outputs, body.inputs, branch.inputs, input_flags, extent);
    branch.outputs = std::move(found.values);
    of_branch.push_back(std::move(found.flags));
    branches.push_back(std::move(branch));
  }
  BatchedValues out;
  for (std::size_t k = 0; k < c.num_results(); ++k) {
    out.flags.push_back(of_branch[0][k] || of_branch[1][k]);
    for (std::size_t b = 0; b < branches.size(); ++b) {
      Value& y = branches[b].outputs[k];
      if (out.flags[k]) y = batched(y, of_branch[b][k], extent);
    }
  }
  const std::vector<Value> inputs(operands.begin() + 1, operands.end());
  out.values = make_if(operands[0], inputs, branches[0], branches[1], 0);
  return out;
}

/// Whether a value has an index that data decide, which may be out of range.
bool has_checked_index(const Value& v) {
  if (operator_of(*v) == nullptr || v->control) return false;
  const auto is_checked = [](const Expr& e) {
    bool found = false;
    post_order_visit(e, [&](const Node& n) {
      const auto* call = n.kind == NodeKind::kCall ? &static_cast<const CallNode&>(n) : nullptr;
      found = found || (call != nullptr && call->name == "checked_index");
    });
    return found;
  };
  const std::function<bool(const te::Tensor&)> has_one = [&](const te::Tensor& t) {
    return (t->body && is_checked(t->body)) ||
           std::any_of(t->indices.begin(), t->indices.end(), is_checked) ||
           (t->scan && std::any_of(t->scan->body.begin(), t->scan->body.end(), has_one));
  };
  const std::vector<te::Tensor> tensors = computed_tensors({definition_of(*v).output});
  return std::any_of(tensors.begin(), tensors.end(), has_one);
}

/// Whether computing the graph may be an error.
bool can_fail(const std::vector<Value>& outputs) {
  const std::vector<Value> order = in_order(outputs);
  return std::any_of(order.begin(), order.end(), [](const Value& v) {
    if (!v->control) return has_checked_index(v);
    return std::any_of(v->control->bodies.begin(), v->control->bodies.end(),
                       [](const SubGraph& body) { return can_fail(body.outputs); });
  });
}

/// A branch that elements of the batch take or not, and that must not be computed where it is not
/// taken: one element after the other.
BatchedValues vmap_one_by_one(const Value& v, const std::vector<Value>& operands,
                              const Flags& flags, const Expr& extent) {
  const Control& c = *v->control;
  LoopParts parts;
  parts.op = v->op;
  parts.count = extent;
  parts.iteration = make_input({}, kInt64, "b");
  std::vector<Value> of_element;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    of_element.push_back(operands[i]);
    if (!flags[i]) continue;
    const Value& one = v->inputs[i];
    parts.stacked.push_back(operands[i]);
    parts.slices.push_back(make_input(one->shape, one->dtype, one->name));
    of_element.back() = parts.slices.back();
  }
  const Value predicate = of_element[0];
  of_element.erase(of_element.begin());
  parts.results = make_if(predicate, of_element, c.bodies[0], c.bodies[1], 0);
  BatchedValues out;
  out.values = make_loop(parts);
  out.flags.assign(out.values.size(), true);
  return out;
}

/// A branch that elements of the batch take or not: both are computed.
BatchedValues vmap_choice(const Value& v, const std::vector<Value>& operands, const Flags& flags,
                          const Expr& extent) {
  const Flags input_flags(flags.begin() + 1, flags.end());
  const std::vector<Value> inputs(operands.begin() + 1, operands.end());
  std::vector<std::vector<Value>> results;
  for (const SubGraph& body : v->control->bodies) {
    const BatchedValues found = of_body(body.outputs, body.inputs, inputs, input_flags, extent);
    results.emplace_back();
    for (std::size_t k = 0; k < found.values.size(); ++k)
      results.back().push_back(batched(found.values[k], found.flags[k], extent));
  }
  BatchedValues out;
  for (std::size_t k = 0; k < results[0].size(); ++k) {
    out.values.push_back(chosen(operands[0], results[0][k], results[1][k]));
    out.flags.push_back(true);
  }
  return out;
}

}  // namespace

std::vector<Value> vmap_control(const Value& v, const std::vector<Value>& operands,
                                const std::vector<bool>& is_batched, const Expr& extent,
                                std::vector<bool>* result_is_batched) {
  BatchedValues out;
  if (v->control->kind == ControlKind::kLoop) {
    out = BatchedLoop(v, operands, is_batched, extent).run();
  } else {
    const std::vector<SubGraph>& branches = v->control->bodies;
    const auto vmap_if = !is_batched[0] ? vmap_branch
                         : can_fail(branches[0].outputs) || can_fail(branches[1].outputs)
                             ? vmap_one_by_one
                             : vmap_choice;
    out = vmap_if(v, operands, is_batched, extent);
  }
  *result_is_batched = std::move(out.flags);
  return std::move(out.values);
}

}  // namespace tenon::graph
