#include "tenon/graph/value.h"

#include <algorithm>
#include <atomic>

#include "graph/expression_operator.h"
#include "graph/operator.h"
#include "tenon/graph/expression.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/print.h"
#include "tenon/ir/simplify.h"
#include "tenon/ir/structural.h"

namespace tenon::graph {
namespace {

const std::map<std::string, Operator>& operators() {
  static const auto* const table = [] {
    auto* all = new std::map<std::string, Operator>;
    for (const auto& family :
         {elementwise_operators(), movement_operators(), matmul_operators(), reduce_operators(),
          softmax_operators(), layer_norm_operators(), embedding_operators(), attention_operators(),
          convolution_operators(), pooling_operators(), batch_norm_operators(), gradient_marks()}) {
      for (const Operator& op : family) all->emplace(op.name, op);
    }
    return all;
  }();
  return *table;
}

std::string shape_text(const std::vector<Expr>& shape) {
  std::string text;
  for (const Expr& e : shape) text += (text.empty() ? "" : ", ") + print(e);
  return "[" + text + "]";
}

}  // namespace

ValueNode::~ValueNode() {
  // The operands of the outermost value that is destroyed here, and theirs, wait in one list.
  thread_local std::vector<Value>* waiting = nullptr;
  if (waiting != nullptr) {
    for (Value& v : inputs) waiting->push_back(std::move(v));
    return;
  }
  std::vector<Value> list = std::move(inputs);
  waiting = &list;
  while (!list.empty()) {
    const Value next = std::move(list.back());
    list.pop_back();
  }
  waiting = nullptr;
}

std::uint64_t ValueNode::next_serial() {
  static std::atomic<std::uint64_t> next{0};
  return next++;
}

const Operator* find_operator(const std::string& name) {
  const auto it = operators().find(name);
  return it == operators().end() ? nullptr : &it->second;
}

const Operator* operator_of(const ValueNode& v) {
  if (v.control) return nullptr;
  return v.expression ? v.expression->op : find_operator(v.op);
}

Value with_inputs(const ValueNode& v, std::vector<Value> inputs) {
  const SpanScope span(v.span);
  if (v.gradient) {
    auto copy = std::make_shared<ValueNode>(*make_op(v.op, std::move(inputs), v.attrs));
    copy->gradient = v.gradient;
    return copy;
  }
  if (v.control || v.is_op("item")) {
    auto copy = std::make_shared<ValueNode>(v);
    copy->inputs = std::move(inputs);
    return copy;
  }
  if (!v.expression) return make_op(v.op, std::move(inputs), v.attrs);
  const std::vector<te::Tensor>& placeholders = v.expression->placeholders;
  bool fits = true;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    fits = fits && same_shape(inputs[i]->shape, placeholders[i]->shape);
  if (!fits) return make_expression(v.op, inputs, placeholders, {v.expression->output()})[0];
  auto copy = std::make_shared<ValueNode>(v);
  copy->inputs = std::move(inputs);
  return copy;
}

std::vector<std::string> operator_names() {
  std::vector<std::string> names;
  for (const auto& [name, op] : operators()) names.push_back(name);
  return names;
}

Value make_input(std::vector<Expr> shape, DType dtype, std::string name) {
  auto v = std::make_shared<ValueNode>();
  v->op = "input";
  v->shape = std::move(shape);
  v->dtype = dtype;
  v->name = std::move(name);
  return v;
}

Value make_constant(const Array& data, std::string name) {
  auto v = std::make_shared<ValueNode>();
  v->op = "constant";
  v->data = data.contiguous();
  for (const std::int64_t extent : data.shape()) v->shape.push_back(imm(extent));
  v->dtype = data.dtype();
  v->name = std::move(name);
  return v;
}

Value make_op(const std::string& op, std::vector<Value> inputs, OpAttrs attrs) {
  const Operator* definition = find_operator(op);
  TENON_USER_CHECK(definition != nullptr, ExpressionError, "E0150", "there is no operator '", op,
                   "'");
  const int count = static_cast<int>(inputs.size());
  TENON_USER_CHECK(count >= definition->min_inputs &&
                       (definition->max_inputs < 0 || count <= definition->max_inputs),
                   ExpressionError, "E0150", "operator '", op, "' got ", count,
                   " operands, expected ", definition->min_inputs,
                   definition->max_inputs == definition->min_inputs ? "" : " or more");
  auto v = std::make_shared<ValueNode>();
  v->op = op;
  v->inputs = std::move(inputs);
  v->attrs = std::move(attrs);
  v->span = SpanScope::current();
  definition->infer(v.get());
  for (Expr& extent : v->shape) extent = simplify(extent);
  return v;
}

std::string type_str(const ValueNode& value) {
  return to_string(value.dtype) + shape_text(value.shape);
}

bool same_extent(const Expr& a, const Expr& b) {
  if (a.same_as(b)) return true;
  if (as_int(a) || as_int(b)) return as_int(a) == as_int(b);
  return structural_equal(simplify(a), simplify(b));
}

bool same_shape(const std::vector<Expr>& a, const std::vector<Expr>& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), same_extent);
}

Expr product(const std::vector<Expr>& sizes) {
  Expr all = imm(1);
  for (const Expr& e : sizes) all = all * e;
  return all;
}

Value number(DType dtype, double value) {
  Array a = Array::empty({}, kFloat64);
  a.mutable_data<double>()[0] = value;
  const Value wide = make_constant(a);
  return dtype == kFloat64 ? wide : make_op("cast", {wide}, {{"dtype", dtype}});
}

std::string describe(const ValueNode& v) {
  std::string text = v.op + " of ";
  for (std::size_t i = 0; i < v.inputs.size(); ++i) {
    if (i > 0) text += i + 1 == v.inputs.size() ? " and " : ", ";
    text += type_str(*v.inputs[i]);
    if (!v.inputs[i]->name.empty()) text += " '" + v.inputs[i]->name + "'";
  }
  return text;
}

std::size_t normal_axis(const ValueNode& v, std::int64_t axis, std::size_t rank) {
  const auto n = static_cast<std::int64_t>(rank);
  TENON_USER_CHECK(axis >= -n && axis < n, ShapeError, "E0411", describe(v), ": axis ", axis,
                   " is out of range for ", n, " dimensions");
  return static_cast<std::size_t>(axis < 0 ? axis + n : axis);
}

void check_float(const ValueNode& v, const Value& operand) {
  TENON_USER_CHECK(operand->dtype.is_float(), DTypeError, "E0521", describe(v),
                   ": expected floats, got ", to_string(operand->dtype),
                   "\n  hint: convert with .cast(\"float32\")");
}

}  // namespace tenon::graph
