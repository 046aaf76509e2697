#include "graph/transform/iteration_sum.h"

#include <algorithm>

#include "graph/pass/pass.h"
#include "graph/tensors.h"
#include "graph/transform/definition.h"
#include "tenon/graph/expression.h"
#include "tenon/ir/builder.h"

namespace tenon::graph {
namespace {

bool is_sum_of_terms(const Value& v) { return v->is_op("add"); }

/// Whether the operator only arranges the elements of its operand.
bool is_arrangement(const Value& v) { return v->is_op("transpose") || v->is_op("reshape"); }

/// The sum at the top of an element, perhaps rounded; null when there is none.
const ReduceNode* sum_of(Expr e) {
  while (const auto* c = e.as<CastNode>()) {
    if (!c->dtype.is_float() || !c->value->dtype.is_float()) return nullptr;
    e = c->value;
  }
  const auto* reduce = e.as<ReduceNode>();
  return reduce != nullptr && reduce->op == ReduceOp::kSum ? reduce : nullptr;
}

bool has_reduction(const Expr& e) {
  bool found = false;
  post_order_visit(e, [&](const Node& n) { found |= n.kind == NodeKind::kReduce; });
  return found;
}

/// Whether a definition is one element over placeholders.
bool is_one_element(const te::Tensor& t) {
  if (t->kind != te::TensorKind::kCompute) return false;
  const std::vector<te::Tensor> operands = te::operands_of(t);
  return std::all_of(operands.begin(), operands.end(),
                     [](const te::Tensor& x) { return x->kind == te::TensorKind::kPlaceholder; });
}

}  // namespace

IterationSums::IterationSums(LoopParts* parts) : parts_(parts) {
  varying_.insert(parts->iteration.get());
  for (const auto* inputs : {&parts->states, &parts->slices}) {
    for (const Value& x : *inputs) varying_.insert(x.get());
  }
}

bool IterationSums::can_sum(const Value& term) const {
  auto varying = varying_;
  for (const Value& v : in_order({term})) {
    for (const Value& x : v->inputs) {
      if (varying.count(x.get()) != 0) varying.insert(v.get());
    }
  }
  if (varying.count(term.get()) == 0) return false;
  if (is_sum_of_terms(term)) {
    return std::all_of(term->inputs.begin(), term->inputs.end(), [&](const Value& x) {
      return same_shape(x->shape, term->shape) && can_sum(x);
    });
  }
  if (is_arrangement(term)) return can_sum(term->inputs[0]);
  if (term->control || operator_of(*term) == nullptr) return false;
  const te::Tensor output = definition_of(*term).output;
  if (!is_one_element(output)) return false;
  if (sum_of(output->body) != nullptr) return true;
  return !has_reduction(output->body) &&
         std::all_of(term->inputs.begin(), term->inputs.end(), [&](const Value& x) {
           return varying.count(x.get()) == 0 || x->shape.size() < term->shape.size();
         });
}

void IterationSums::stack(const Value& term) {
  if (is_sum_of_terms(term) || is_arrangement(term)) {
    for (const Value& x : term->inputs) stack(x);
    return;
  }
  for (const Value& v : in_order({term})) {
    for (const Value& x : v->inputs) {
      if (varies(x)) varying_.insert(v.get());
    }
  }
  for (const Value& x : term->inputs) {
    const bool is_slice =
        std::find(parts_->slices.begin(), parts_->slices.end(), x) != parts_->slices.end();
    if (!varies(x) || is_slice || result_of_.count(x.get()) != 0) continue;
    const auto known = std::find(parts_->results.begin(), parts_->results.end(), x);
    result_of_[x.get()] = static_cast<std::size_t>(known - parts_->results.begin());
    if (known == parts_->results.end()) parts_->results.push_back(x);
  }
}

Value IterationSums::stacked(const Value& v, const std::vector<Value>& made) const {
  const auto slice = std::find(parts_->slices.begin(), parts_->slices.end(), v);
  if (slice != parts_->slices.end())
    return parts_->stacked[static_cast<std::size_t>(slice - parts_->slices.begin())];
  return made[parts_->init.size() + result_of_.at(v.get())];
}

Value IterationSums::make(const Value& term, const std::vector<Value>& made) const {
  const SpanScope span(term->span);
  if (is_sum_of_terms(term) || is_arrangement(term)) {
    std::vector<Value> inputs;
    for (const Value& x : term->inputs) inputs.push_back(make(x, made));
    return with_inputs(*term, inputs);
  }
  const Definition d = definition_of(*term);
  std::vector<Value> operands = term->inputs;
  std::vector<te::Tensor> placeholders = d.placeholders;
  const IterVar t = te::reduce_axis(parts_->count, "t");
  std::unordered_map<const BufferNode*, te::Tensor> arrays;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    if (!varies(operands[i])) continue;
    operands[i] = stacked(operands[i], made);
    placeholders[i] =
        te::placeholder(operands[i]->shape, operands[i]->dtype, d.placeholders[i]->name);
    arrays[d.placeholders[i].get()] = placeholders[i];
  }
  const auto read = [&](const te::Tensor& x, const std::vector<Expr>& indices) {
    const auto it = arrays.find(x.get());
    if (it == arrays.end()) return te::read(x, indices);
    std::vector<Expr> place{t.var};
    place.insert(place.end(), indices.begin(), indices.end());
    return te::read(it->second, place);
  };
  const auto element = [&](const std::vector<Expr>& indices) {
    const Expr e = element_of(d.output, indices, read);
    const ReduceNode* sum = sum_of(e);
    if (sum == nullptr) return te::sum(e, {t});
    std::vector<IterVar> axes{t};
    axes.insert(axes.end(), sum->axes.begin(), sum->axes.end());
    return cast(e->dtype,
                tenon::make<ReduceNode>(ReduceOp::kSum, axes, sum->source, sum->condition));
  };
  const te::Tensor total = te::compute(d.output->shape, element, d.output->name);
  return make_expression(term->op, operands, placeholders, {total})[0];
}

}  // namespace tenon::graph
