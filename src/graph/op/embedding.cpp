// embedding: rows of a table by index. An index out of range raises IndexError when the network
// runs.

#include "graph/operator.h"
#include "tenon/ir/builder.h"

namespace tenon::graph {
namespace {

void infer(ValueNode* v) {
  const Value &table = v->inputs[0], &ids = v->inputs[1];
  TENON_USER_CHECK(table->shape.size() == 2, ShapeError, "E0419", describe(*v),
                   ": expected a table [V, D] and indices");
  TENON_USER_CHECK(ids->dtype.is_int(), DTypeError, "E0521", describe(*v),
                   ": the indices should be integers");
  v->shape = ids->shape;
  v->shape.push_back(table->shape[1]);
  v->dtype = table->dtype;
}

Expr element(const ValueNode&, const Indices& indices, const ElementReader& read) {
  const Indices at(indices.begin(), indices.end() - 1);
  return read(0, {tenon::cast(kInt64, read(1, at)), indices.back()});
}

}  // namespace

std::vector<Operator> embedding_operators() {
  return {{.name = "embedding",
           .kind = OperatorKind::kGather,
           .min_inputs = 2,
           .max_inputs = 2,
           .infer = infer,
           .element = element}};
}

}  // namespace tenon::graph
