#include "graph/transform/definition.h"

#include "graph/expression_operator.h"
#include "graph/kernel_builder.h"

namespace tenon::graph {

Definition definition_of(const ValueNode& v) {
  if (v.expression) return {v.expression->placeholders, v.expression->output()};
  // The operator of fresh inputs: none is a constant, which operators may treat in a special way.
  std::vector<Value> inputs;
  KernelBuilder::Stored stored;
  for (std::size_t i = 0; i < v.inputs.size(); ++i) {
    inputs.push_back(make_input(v.inputs[i]->shape, v.inputs[i]->dtype, "x" + std::to_string(i)));
    stored.insert(inputs.back().get());
  }
  const Value fresh = with_inputs(v, inputs);
  const Operator& op = *operator_of(*fresh);
  std::vector<Expr> lead;
  bool is_flat = false;
  if (op.space != nullptr) op.space(*fresh, &lead, &is_flat);
  KernelBuilder b(stored, lead, false, false, true);
  Definition d;
  if (op.element != nullptr) {
    d.output = b.compute_whole(v.op, fresh->shape, [&](const Indices& indices) {
      return op.element(*fresh, indices, [&](std::size_t i, const Indices& x) {
        return b.read(fresh->inputs[i], x);
      });
    });
  } else {
    op.build(b, fresh);
    d.output = *b.local(fresh.get());
  }
  for (const Value& x : inputs) {
    d.placeholders.emplace_back();
    for (const KernelParam& p : b.params()) {
      if (p.value == x) d.placeholders.back() = p.tensor;
    }
    if (!d.placeholders.back())
      d.placeholders.back() = te::placeholder(x->shape, x->dtype, x->name);
  }
  return d;
}

}  // namespace tenon::graph
