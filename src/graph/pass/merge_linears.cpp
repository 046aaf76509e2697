#include <cstring>
#include <map>

#include "graph/pass/pass.h"
#include "tenon/ir/builder.h"

namespace tenon::graph {
namespace {

/// Constants below each other (all have the same row length).
Value stack_rows(const std::vector<Value>& parts) {
  std::vector<std::int64_t> shape(parts[0]->data.shape().begin(), parts[0]->data.shape().end());
  shape[0] = 0;
  for (const Value& p : parts) shape[0] += p->data.shape()[0];
  Array all = Array::empty(shape, parts[0]->dtype);
  auto* to = static_cast<char*>(all.raw_mutable());
  for (const Value& p : parts) {
    std::memcpy(to, p->data.raw(), static_cast<std::size_t>(p->data.nbytes()));
    to += p->data.nbytes();
  }
  return make_constant(all, parts[0]->name);
}

/// y = x W^T + bias with constants.
struct Affine {
  Value result, linear, bias;
};

using Uses = std::unordered_map<const ValueNode*, std::vector<Value>>;

bool as_affine(const Value& add, const Uses& uses, Affine* out) {
  if (!add->is_op("add")) return false;
  const Value &linear = add->inputs[0], &bias = add->inputs[1];
  const bool fits = linear->is_op("linear") && uses.at(linear.get()).size() == 1 &&
                    linear->inputs[1]->is_constant() && bias->is_constant() &&
                    bias->shape.size() == 1 && same_extent(bias->shape[0], linear->shape.back());
  if (fits) *out = {add, linear, bias};
  return fits;
}

}  // namespace

std::vector<Value> merge_linears(const std::vector<Value>& outputs, RewriteLog* log) {
  Uses uses;
  const std::vector<Value> order = in_order(outputs);
  for (const Value& v : order) {
    for (const Value& x : v->inputs) uses[x.get()].push_back(v);
  }
  for (const Value& v : outputs) uses[v.get()].push_back(nullptr);
  std::map<const ValueNode*, std::vector<Affine>> of_input;
  for (const Value& v : order) {
    Affine affine;
    if (as_affine(v, uses, &affine)) of_input[affine.linear->inputs[0].get()].push_back(affine);
  }
  std::unordered_map<const ValueNode*, std::pair<const std::vector<Affine>*, std::size_t>> place;
  for (const auto& [x, group] : of_input) {
    for (std::size_t i = 0; i < group.size() && group.size() > 1; ++i)
      place[group[i].result.get()] = {&group, i};
  }
  std::unordered_map<const ValueNode*, Value> merged;  // by the group's first result
  return rewrite_graph(outputs, [&](const Value& v, const std::vector<Value>& inputs) -> Value {
    const auto it = place.find(v.get());
    if (it == place.end()) return nullptr;
    const auto& [group, index] = it->second;
    note(log, "merge_linears", *(*group)[index].linear, "merged",
         std::to_string(group->size()) + " linears of one input with constant weights are one");
    Value& all = merged[group->front().result.get()];
    if (!all) {
      std::vector<Value> weights, biases;
      for (const Affine& a : *group) {
        weights.push_back(a.linear->inputs[1]);
        biases.push_back(a.bias);
      }
      all = make_op("add", {make_op("linear", {inputs[0]->inputs[0], stack_rows(weights)}),
                            stack_rows(biases)});
    }
    Expr begin = imm(0);
    for (std::size_t i = 0; i < index; ++i) begin = begin + (*group)[i].result->shape.back();
    std::vector<Expr> begins(all->shape.size(), imm(0)), extents = all->shape;
    begins.back() = begin;
    extents.back() = v->shape.back();
    return make_op("slice", {all}, {{"begins", begins}, {"extents", extents}});
  });
}

}  // namespace tenon::graph
