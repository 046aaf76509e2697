// Arithmetic, comparisons, selections, float functions: operands are broadcast as in NumPy.

#include <unordered_map>

#include "graph/operator.h"
#include "tenon/ir/builder.h"
#include "tenon/te/expr.h"

namespace tenon::graph {
namespace {

const std::unordered_map<std::string, BinaryOp>& binary_operations() {
  static const auto* const table =
      new std::unordered_map<std::string, BinaryOp>{{"add", BinaryOp::kAdd},
                                                    {"sub", BinaryOp::kSub},
                                                    {"mul", BinaryOp::kMul},
                                                    {"div", BinaryOp::kDiv},
                                                    {"minimum", BinaryOp::kMin},
                                                    {"maximum", BinaryOp::kMax},
                                                    {"equal", BinaryOp::kEq},
                                                    {"not_equal", BinaryOp::kNe},
                                                    {"less", BinaryOp::kLt},
                                                    {"less_equal", BinaryOp::kLe},
                                                    {"greater", BinaryOp::kGt},
                                                    {"greater_equal", BinaryOp::kGe},
                                                    {"logical_and", BinaryOp::kAnd},
                                                    {"logical_or", BinaryOp::kOr},
                                                    {"bitwise_and", BinaryOp::kBitAnd},
                                                    {"bitwise_or", BinaryOp::kBitOr},
                                                    {"bitwise_xor", BinaryOp::kBitXor},
                                                    {"shift_left", BinaryOp::kShl},
                                                    {"shift_right", BinaryOp::kShr}};
  return *table;
}

const std::unordered_map<std::string, UnaryOp>& unary_operations() {
  static const auto* const table = new std::unordered_map<std::string, UnaryOp>{
      {"neg", UnaryOp::kNeg},     {"abs", UnaryOp::kAbs},     {"sqrt", UnaryOp::kSqrt},
      {"floor", UnaryOp::kFloor}, {"ceil", UnaryOp::kCeil},   {"logical_not", UnaryOp::kNot},
      {"round", UnaryOp::kRound}, {"trunc", UnaryOp::kTrunc}, {"bitwise_not", UnaryOp::kBitNot}};
  return *table;
}

/// The value of the operator for operands that are scalars.
Expr value_of(const ValueNode& v, const std::vector<Expr>& x) {
  if (const auto it = binary_operations().find(v.op); it != binary_operations().end())
    return te::binary(it->second, x[0], x[1]);
  if (const auto it = unary_operations().find(v.op); it != unary_operations().end())
    return te::unary(it->second, x[0]);
  if (v.op == "where") return te::select(x[0], x[1], x[2]);
  if (v.op == "cast") return te::cast(attr<DType>(v, "dtype"), x[0]);
  if (v.op == "relu") return te::binary(BinaryOp::kMax, x[0], zero(x[0]->dtype));
  return te::math(v.op, x);
}

void infer(ValueNode* v) {
  std::size_t rank = 0;
  for (const Value& x : v->inputs) rank = std::max(rank, x->shape.size());
  v->shape.assign(rank, imm(1));
  for (const Value& x : v->inputs) {
    const std::size_t shift = rank - x->shape.size();
    for (std::size_t d = 0; d < x->shape.size(); ++d) {
      Expr& extent = v->shape[shift + d];
      if (is_int(x->shape[d], 1) || same_extent(extent, x->shape[d])) continue;
      TENON_USER_CHECK(is_int(extent, 1), ShapeError, "E0412", describe(*v),
                       ": the shapes cannot be broadcast: axis ",
                       static_cast<std::int64_t>(shift + d) - static_cast<std::int64_t>(rank),
                       " differs");
      extent = x->shape[d];
    }
  }
  std::vector<Expr> scalars;
  for (const Value& x : v->inputs) scalars.push_back(var("x", x->dtype));
  try {
    v->dtype = value_of(*v, scalars)->dtype;
  } catch (const DTypeError& e) {
    const std::string what = e.what();
    detail::raise<DTypeError>("E0521", describe(*v) + ": " + what.substr(0, what.rfind(" [")));
  }
}

Expr element(const ValueNode& v, const Indices& indices, const ElementReader& read) {
  std::vector<Expr> x;
  for (std::size_t i = 0; i < v.inputs.size(); ++i) {
    const std::vector<Expr>& shape = v.inputs[i]->shape;
    const std::size_t shift = indices.size() - shape.size();
    Indices at;
    for (std::size_t d = 0; d < shape.size(); ++d) {
      const bool is_broadcast = is_int(shape[d], 1) && !is_int(v.shape[shift + d], 1);
      at.push_back(is_broadcast ? imm(0) : indices[shift + d]);
    }
    x.push_back(read(i, at));
  }
  return value_of(v, x);
}

/// Derivatives from the result rather than the operand, so that the operand need not be kept: a
/// linear layer and its activation stay one kernel.
std::vector<Value> vjp_from_result(const Value& y, const Value& g) {
  const auto op = [](const char* name, std::vector<Value> x) {
    return make_op(name, std::move(x));
  };
  const auto constant = [&](double value) { return number(y->dtype, value); };
  if (y->op == "relu") return {op("where", {op("greater", {y, constant(0)}), g, constant(0)})};
  if (y->op == "exp") return {op("mul", {g, y})};
  if (y->op == "sqrt") return {op("div", {op("mul", {g, constant(0.5)}), y})};
  if (y->op == "tanh") return {op("mul", {g, op("sub", {constant(1), op("mul", {y, y})})})};
  return {op("mul", {g, op("mul", {y, op("sub", {constant(1), y})})})};  // sigmoid
}

/// Operands without the batch get as many dimensions as broadcasting needs.
Value vmap(const ValueNode& v, const std::vector<Value>& operands,
           const std::vector<bool>& is_batched, const Expr&) {
  std::vector<Value> aligned;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    const std::size_t missing = v.shape.size() - v.inputs[i]->shape.size();
    std::vector<Expr> shape = operands[i]->shape;
    if (is_batched[i] && missing > 0) {
      shape.insert(shape.begin() + 1, missing, imm(1));
      aligned.push_back(make_op("reshape", {operands[i]}, {{"shape", shape}}));
    } else {
      aligned.push_back(operands[i]);
    }
  }
  return make_op(v.op, aligned, v.attrs);
}

Operator elementwise(const char* name, int num_inputs) {
  return {.name = name,
          .kind = OperatorKind::kElementwise,
          .min_inputs = num_inputs,
          .max_inputs = num_inputs,
          .infer = infer,
          .element = element,
          .vmap = vmap};
}

}  // namespace

std::vector<Operator> elementwise_operators() {
  std::vector<Operator> all;
  for (const auto& [name, op] : binary_operations()) all.push_back(elementwise(name.c_str(), 2));
  for (const auto& [name, op] : unary_operations()) all.push_back(elementwise(name.c_str(), 1));
  for (const char* name : {"exp", "log", "tanh", "erf", "sigmoid", "sin", "cos", "rsqrt", "gelu",
                           "gelu_tanh", "softplus", "relu", "cast"}) {
    all.push_back(elementwise(name, 1));
  }
  for (Operator& op : all) {
    const std::string name = op.name;
    if (name == "relu" || name == "exp" || name == "sqrt" || name == "tanh" || name == "sigmoid")
      op.vjp = vjp_from_result;
  }
  all.push_back(elementwise("pow", 2));
  all.push_back(elementwise("where", 3));
  return all;
}

}  // namespace tenon::graph
