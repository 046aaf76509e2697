#include "graph/build_group.h"

#include "graph/expression_operator.h"
#include "tenon/ir/builder.h"

namespace tenon::graph {
namespace {

Expr element_of(KernelBuilder& b, const Value& v, const Indices& indices) {
  return operator_of(*v)->element(
      *v, indices, [&](std::size_t i, const Indices& x) { return b.read(v->inputs[i], x); });
}

/// The builder with all computations of the group; returns the tensor of the result.
te::Tensor add_computations(KernelBuilder& b, const Fusion::Group& group) {
  if (!group.root) {
    return b.compute_whole(group.result->op, group.result->shape,
                           [&](const Indices& i) { return element_of(b, group.result, i); });
  }
  operator_of(*group.root)->build(b, group.root);
  for (const Value& v : group.epilogue) {
    const std::vector<Expr> inner(v->shape.begin() + static_cast<std::ptrdiff_t>(b.lead().size()),
                                  v->shape.end());
    b.define(v, b.compute(v->op, inner, [&](const Indices& lead, const Indices& in) {
      Indices indices = lead;
      indices.insert(indices.end(), in.begin(), in.end());
      return element_of(b, v, indices);
    }));
  }
  return *b.local(group.result.get());
}

bool is_defined_by(const Expr& symbol, const std::vector<Expr>& shape) {
  for (const Expr& e : shape) {
    if (e.same_as(symbol)) return true;
  }
  return false;
}

/// Adds inputs of the network whose shapes define what the group's own parameters do not.
void anchor_symbols(KernelBuilder& b, const std::vector<Value>& anchors) {
  for (const Expr& symbol : b.used_symbols()) {
    bool is_defined = false;
    for (const KernelParam& p : b.params())
      is_defined = is_defined || is_defined_by(symbol, p.tensor->shape);
    for (const Value& input : anchors) {
      if (is_defined || !is_defined_by(symbol, input->shape)) continue;
      b.anchor(input);
      is_defined = true;
    }
  }
}

std::string name_of(const Fusion::Group& group) {
  std::string name = group.root ? group.root->op : group.result->op;
  for (const Value& v : group.epilogue) name += "_" + v->op;
  return name;
}

/// Operators computed where they are read.
void add_inlined(const Value& v, const KernelBuilder::Stored& stored, KernelBuilder::Stored* seen,
                 std::vector<std::string>* names, std::vector<FusedOperator>* fused) {
  for (const Value& x : v->inputs) {
    if (stored.count(x.get()) != 0 || !seen->insert(x.get()).second) continue;
    add_inlined(x, stored, seen, names, fused);
    const bool is_movement = operator_of(*x)->kind == OperatorKind::kMovement;
    const bool is_followed = operator_of(*x)->element == nullptr;
    fused->push_back({x, is_movement   ? "it only moves: an index of what reads it"
                         : is_followed ? "what follows alone reads its result"
                                       : "read in one kernel: computed there"});
    if (!is_movement) names->push_back(x->op);
  }
}

}  // namespace

namespace {

GroupKernel scheduled_kernel(const Value& v) {
  const ScheduledKernel& scheduled = *v->expression->scheduled;
  GroupKernel kernel;
  kernel.function = scheduled.function;
  for (const std::size_t operand : scheduled.operands)
    kernel.params.push_back({v->expression->placeholders[operand], v->inputs[operand]});
  kernel.result = v;
  kernel.operators = {v->op};
  kernel.lead_product = imm(1);
  kernel.is_scheduled = true;
  return kernel;
}

}  // namespace

GroupKernel build_group(const Fusion::Group& group, const KernelBuilder::Stored& stored,
                        const std::vector<Value>& anchors, bool packs_constants) {
  if (group.root && group.root->expression && group.root->expression->scheduled)
    return scheduled_kernel(group.root);
  std::vector<Expr> lead;
  bool is_flat = false;
  if (group.root) operator_of(*group.root)->space(*group.root, &lead, &is_flat);
  // The result is in memory only afterwards; within the kernel it is computed.
  KernelBuilder::Stored before = stored;
  before.erase(group.result.get());
  for (const bool splits_rows : {false, true}) {
    KernelBuilder b(before, lead, is_flat, splits_rows, packs_constants);
    const te::Tensor result = add_computations(b, group);
    if (b.needs_split_rows()) continue;
    anchor_symbols(b, anchors);
    GroupKernel kernel;
    std::vector<te::Tensor> inputs;
    for (const KernelParam& p : b.params()) inputs.push_back(p.tensor);
    kernel.function = te::function(inputs, {result}, name_of(group));
    kernel.params = b.params();
    kernel.result = group.result;
    kernel.rows = b.rows_symbol();
    kernel.lead_product = imm(1);
    for (const Expr& e : lead) kernel.lead_product = kernel.lead_product * e;
    KernelBuilder::Stored seen;
    add_inlined(group.result, before, &seen, &kernel.operators, &kernel.fused);
    kernel.operators.push_back(group.result->op);
    return kernel;
  }
  TENON_CHECK(false, "group ", name_of(group), " needs rows twice");
  return {};
}

}  // namespace tenon::graph
