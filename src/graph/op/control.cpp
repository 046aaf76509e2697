// Branches and loops: operators over graphs. Fits no operator table, as it has many results.

#include "tenon/graph/control.h"

#include <unordered_map>
#include <unordered_set>

#include "graph/pass/pass.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/print.h"

namespace tenon::graph {
namespace {

using ValueSet = std::unordered_set<const ValueNode*>;

/// Graphs that stand on their own, with new inputs for what they use of the graph around them.
class Lifter {
 public:
  explicit Lifter(std::function<bool(const Value&, const ValueSet& inner)> is_inner)
      : is_inner_(std::move(is_inner)) {}

  /// `outputs` as a graph of the inputs `own` and of captured values, which is_inner leaves
  /// outside.
  std::vector<Value> lift(const std::vector<Value>& outputs, const std::vector<Value>& own) {
    ValueSet inner, of_constants, wanted;
    for (const Value& v : own) inner.insert(v.get());
    const std::vector<Value> order = in_order(outputs);
    for (const Value& v : order) {
      bool is_fixed = v->is_constant() || (!v->is_input() && !v->control);
      for (const Value& x : v->inputs) is_fixed = is_fixed && of_constants.count(x.get()) != 0;
      if (is_fixed) of_constants.insert(v.get());
      if (is_inner_(v, inner)) inner.insert(v.get());
    }
    // What is made of constants alone costs nothing to have in both.
    inner.merge(of_constants);
    const auto want = [&](const Value& v) {
      if (inner.count(v.get()) == 0) wanted.insert(v.get());
    };
    for (const Value& v : order) {
      if (inner.count(v.get()) == 0) continue;
      for (const Value& x : v->inputs) want(x);
    }
    for (const Value& v : outputs) want(v);
    return rewrite_graph(outputs, [&](const Value& v, const std::vector<Value>&) -> Value {
      if (inner.count(v.get()) != 0) return nullptr;
      return wanted.count(v.get()) != 0 ? input_of(v) : v;
    });
  }

  /// Outer values that were used, and the inputs that stand for them.
  std::vector<Value> captured, inputs;

 private:
  Value input_of(const Value& v) {
    for (std::size_t i = 0; i < captured.size(); ++i) {
      if (captured[i] == v) return inputs[i];
    }
    captured.push_back(v);
    inputs.push_back(make_input(v->shape, v->dtype, v->name));
    return inputs.back();
  }

  std::function<bool(const Value&, const ValueSet&)> is_inner_;
};

bool depends(const Value& v, const ValueSet& inner) {
  for (const Value& x : v->inputs) {
    if (inner.count(x.get()) != 0) return true;
  }
  return false;
}

std::string name_of(const std::vector<std::string>& names, std::size_t i) {
  return i < names.size() && !names[i].empty() ? "'" + names[i] + "'" : std::to_string(i);
}

void check_scalar(const std::string& op, const char* what, const Value& v, DType dtype) {
  TENON_USER_CHECK(v->shape.empty(), ShapeError, "E0425", op, ": the ", what, " is ", type_str(*v),
                   ", expected a scalar");
  TENON_USER_CHECK(v->dtype == dtype, DTypeError, "E0523", op, ": the ", what, " is ", type_str(*v),
                   ", expected ", to_string(dtype));
}

void check_states(const LoopParts& parts) {
  TENON_CHECK(parts.init.size() == parts.states.size() && parts.next.size() == parts.states.size(),
              "states of ", parts.op);
  for (std::size_t i = 0; i < parts.init.size(); ++i) {
    const ValueNode &before = *parts.init[i], &after = *parts.next[i];
    TENON_USER_CHECK(same_shape(before.shape, after.shape), ShapeError, "E0423", parts.op,
                     ": state ", name_of(parts.names, i), " is ", type_str(before),
                     " at first and ", type_str(after),
                     " after an iteration\n  hint: a state keeps its shape; return what grows as a "
                     "stacked result of scan");
    TENON_USER_CHECK(before.dtype == after.dtype, DTypeError, "E0522", parts.op, ": state ",
                     name_of(parts.names, i), " is ", type_str(before), " at first and ",
                     type_str(after), " after an iteration\n  hint: cast it to ",
                     to_string(before.dtype));
  }
}

void check_stacked(const LoopParts& parts) {
  for (const Value& x : parts.stacked) {
    TENON_USER_CHECK(!x->shape.empty() && same_extent(x->shape[0], parts.count), ShapeError,
                     "E0424", parts.op, ": ", type_str(*x),
                     " is scanned along its first axis, which should have the size ",
                     print(parts.count));
  }
}

}  // namespace

Value make_item(const Value& control, std::size_t index) {
  const Control& c = *control->control;
  auto v = std::make_shared<ValueNode>();
  v->op = "item";
  v->inputs = {control};
  v->attrs["index"] = static_cast<std::int64_t>(index);
  v->span = control->span;
  const Value& from = c.body().outputs[(c.kind == ControlKind::kLoop ? c.first_next() : 0) + index];
  v->shape = from->shape;
  v->dtype = from->dtype;
  if (c.kind == ControlKind::kLoop && index >= c.num_states)
    v->shape.insert(v->shape.begin(), c.count);
  return v;
}

std::vector<Value> make_loop(const LoopParts& parts) {
  check_states(parts);
  check_stacked(parts);
  if (parts.limit) check_scalar(parts.op, "number of iterations", parts.limit, kInt64);
  if (parts.condition) check_scalar(parts.op, "condition", parts.condition, kBoolType);
  Control c;
  c.kind = ControlKind::kLoop;
  c.count = parts.count;
  c.has_limit = parts.limit != nullptr;
  c.has_condition = parts.condition != nullptr;
  c.is_reverse = parts.is_reverse;
  c.num_states = parts.init.size();
  c.num_slices = parts.stacked.size();
  c.names = parts.names;
  SubGraph body;
  body.inputs = {parts.iteration};
  body.inputs.insert(body.inputs.end(), parts.states.begin(), parts.states.end());
  body.inputs.insert(body.inputs.end(), parts.slices.begin(), parts.slices.end());
  if (parts.condition) body.outputs.push_back(parts.condition);
  body.outputs.insert(body.outputs.end(), parts.next.begin(), parts.next.end());
  body.outputs.insert(body.outputs.end(), parts.results.begin(), parts.results.end());
  Lifter lifter(depends);
  body.outputs = lifter.lift(body.outputs, body.inputs);
  body.inputs.insert(body.inputs.end(), lifter.inputs.begin(), lifter.inputs.end());
  c.bodies = {std::move(body)};

  auto v = std::make_shared<ValueNode>();
  v->op = parts.op;
  if (parts.limit) v->inputs.push_back(parts.limit);
  v->inputs.insert(v->inputs.end(), parts.init.begin(), parts.init.end());
  v->inputs.insert(v->inputs.end(), parts.stacked.begin(), parts.stacked.end());
  v->inputs.insert(v->inputs.end(), lifter.captured.begin(), lifter.captured.end());
  v->span = SpanScope::current();
  v->control = std::make_shared<const Control>(std::move(c));
  std::vector<Value> results;
  for (std::size_t i = 0; i < v->control->num_results(); ++i) results.push_back(make_item(v, i));
  return results;
}

std::vector<Value> make_if(const Value& predicate, const std::vector<Value>& operands,
                           const SubGraph& then, const SubGraph& otherwise, std::uint64_t serial) {
  check_scalar("cond", "predicate", predicate, kBoolType);
  TENON_USER_CHECK(then.outputs.size() == otherwise.outputs.size(), ShapeError, "E0426",
                   "cond: the branches have ", then.outputs.size(), " and ",
                   otherwise.outputs.size(), " results");
  for (std::size_t i = 0; i < then.outputs.size(); ++i) {
    const ValueNode &a = *then.outputs[i], &b = *otherwise.outputs[i];
    TENON_USER_CHECK(same_shape(a.shape, b.shape), ShapeError, "E0426", "cond: result ", i, " is ",
                     type_str(a), " if the predicate holds and ", type_str(b), " if not");
    TENON_USER_CHECK(a.dtype == b.dtype, DTypeError, "E0524", "cond: result ", i, " is ",
                     type_str(a), " if the predicate holds and ", type_str(b), " if not");
  }
  const auto is_of_branch = [serial](const Value& v, const ValueSet& inner) {
    return !v->is_input() && (v->serial >= serial || depends(v, inner));
  };
  Lifter lifter(is_of_branch);
  Control c;
  c.kind = ControlKind::kIf;
  for (const SubGraph* branch : {&then, &otherwise})
    c.bodies.push_back({branch->inputs, lifter.lift(branch->outputs, branch->inputs)});
  for (SubGraph& body : c.bodies)
    body.inputs.insert(body.inputs.end(), lifter.inputs.begin(), lifter.inputs.end());
  auto v = std::make_shared<ValueNode>();
  v->op = "cond";
  v->inputs = {predicate};
  v->inputs.insert(v->inputs.end(), operands.begin(), operands.end());
  v->inputs.insert(v->inputs.end(), lifter.captured.begin(), lifter.captured.end());
  v->span = SpanScope::current();
  v->control = std::make_shared<const Control>(std::move(c));
  std::vector<Value> results;
  for (std::size_t i = 0; i < v->control->num_results(); ++i) results.push_back(make_item(v, i));
  return results;
}

}  // namespace tenon::graph
