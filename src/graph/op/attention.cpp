// attention: softmax(q k^T * scale) v for each head, in one kernel. Queries, keys and values are
// [batch, length, heads * size]; the result is [batch, heads, length, size].

#include <limits>

#include "graph/kernel_builder.h"
#include "tenon/ir/builder.h"
#include "tenon/te/expr.h"

namespace tenon::graph {
namespace {

void infer(ValueNode* v) {
  const Value &q = v->inputs[0], &k = v->inputs[1];
  check_float(*v, q);
  const std::int64_t heads = attr<std::int64_t>(*v, "heads");
  for (std::size_t i = 0; i < 3; ++i) {
    const Value& x = v->inputs[i];
    const bool fits = x->shape.size() == 3 && same_extent(x->shape[0], q->shape[0]) &&
                      same_extent(x->shape[2], q->shape[2]) &&
                      (i == 0 || same_extent(x->shape[1], k->shape[1]));
    TENON_USER_CHECK(fits, ShapeError, "E0420", describe(*v),
                     ": expected queries, keys and values [batch, length, width]");
    TENON_USER_CHECK(x->dtype == q->dtype, DTypeError, "E0521", describe(*v),
                     ": all operands should have one dtype");
  }
  const auto width = as_int(q->shape[2]);
  TENON_USER_CHECK(width && heads > 0 && *width % heads == 0, ShapeError, "E0420", describe(*v),
                   ": the width should be a constant multiple of ", heads, " heads");
  if (v->inputs.size() > 3) {
    const Value& mask = v->inputs[3];
    TENON_USER_CHECK(mask->shape.size() == 2 && same_extent(mask->shape[0], q->shape[0]) &&
                         same_extent(mask->shape[1], k->shape[1]),
                     ShapeError, "E0420", describe(*v),
                     ": expected a mask [batch, length of the keys]");
  }
  v->shape = {q->shape[0], imm(heads), q->shape[1], imm(*width / heads)};
  v->dtype = q->dtype;
}

void space(const ValueNode& v, std::vector<Expr>* lead, bool* is_flat) {
  lead->assign(v.shape.begin(), v.shape.end() - 1);
  *is_flat = false;
}

void build(KernelBuilder& b, const Value& v) {
  const Value &q = v->inputs[0], &key = v->inputs[1], &value = v->inputs[2];
  const Expr &batch = v->shape[0], &heads = v->shape[1], &rows = v->shape[2], &size = v->shape[3],
             &columns = key->shape[1];
  const auto channel = [&](const Expr& h, const Expr& d) { return h * size + d; };
  const te::Tensor keys = b.compute_whole(
      "K", {batch, heads, columns, size},
      [&](const Indices& i) { return b.read(key, {i[0], i[2], channel(i[1], i[3])}); });
  const IterVar d = te::reduce_axis(size, "d");
  const te::Tensor scores =
      b.compute_whole("S", {batch, heads, rows, columns}, [&](const Indices& i) {
        return te::sum(b.read(q, {i[0], i[2], channel(i[1], d.var)}) *
                           te::read(keys, {i[0], i[1], i[3], d.var}),
                       {d});
      });
  const Expr scale = float_imm(v->dtype, attr<double>(*v, "scale"));
  const te::Tensor masked =
      b.compute_whole("T", {batch, heads, rows, columns}, [&](const Indices& i) {
        Expr score = te::read(scores, i) * scale;
        if (v->inputs.size() < 4) return score;
        Expr mask = b.read(v->inputs[3], {i[0], i[3]});
        if (!mask->dtype.is_bool()) mask = ne(mask, zero(mask->dtype));
        return te::select(mask, score,
                          float_imm(v->dtype, -std::numeric_limits<double>::infinity()));
      });
  const auto row_of = [](const Indices& i) { return Indices{i[0], i[1], i[2]}; };
  const IterVar j = te::reduce_axis(columns, "j"), j2 = te::reduce_axis(columns, "j"),
                j3 = te::reduce_axis(columns, "j");
  const te::Tensor top = b.compute_whole("top", {batch, heads, rows}, [&](const Indices& i) {
    return te::max(te::read(masked, {i[0], i[1], i[2], j.var}), {j});
  });
  const te::Tensor e = b.compute_whole("e", {batch, heads, rows, columns}, [&](const Indices& i) {
    return te::math("exp", {te::read(masked, i) - te::read(top, row_of(i))});
  });
  const te::Tensor total = b.compute_whole("total", {batch, heads, rows}, [&](const Indices& i) {
    return te::sum(te::read(e, {i[0], i[1], i[2], j2.var}), {j2});
  });
  const te::Tensor weights = b.compute_whole(
      "P", {batch, heads, rows, columns},
      [&](const Indices& i) { return te::read(e, i) / te::read(total, row_of(i)); });
  b.define(v, b.compute_whole("attention", v->shape, [&](const Indices& i) {
    return te::sum(te::read(weights, {i[0], i[1], i[2], j3.var}) *
                       b.read(value, {i[0], j3.var, channel(i[1], i[3])}),
                   {j3});
  }));
}

Value op(const char* name, std::vector<Value> inputs) { return make_op(name, std::move(inputs)); }

/// [batch, length, heads * size] as [batch, heads, length, size].
Value split_heads(const Value& x, const Value& attention) {
  const std::vector<Expr> shape{x->shape[0], x->shape[1], attention->shape[1], attention->shape[3]};
  return make_op("transpose", {make_op("reshape", {x}, {{"shape", shape}})},
                 {{"axes", std::vector<std::int64_t>{0, 2, 1, 3}}});
}

Value join_heads(const Value& x, const std::vector<Expr>& shape) {
  const Value rows = make_op("transpose", {x}, {{"axes", std::vector<std::int64_t>{0, 2, 1, 3}}});
  return make_op("reshape", {rows}, {{"shape", shape}});
}

/// The weights of the values, as softmax makes them.
Value weights_of(const Value& v, const Value& queries, const Value& keys) {
  const Value scale = number(v->dtype, attr<double>(*v, "scale"));
  Value scores = op("mul", {op("matmul", {queries, transposed(keys)}), scale});
  if (v->inputs.size() > 3) {
    Value mask = v->inputs[3];
    if (!mask->dtype.is_bool()) mask = make_op("cast", {mask}, {{"dtype", kBoolType}});
    const std::vector<Expr> shape{mask->shape[0], imm(1), imm(1), mask->shape[1]};
    mask = make_op("reshape", {mask}, {{"shape", shape}});
    const double lowest = -std::numeric_limits<double>::infinity();
    scores = op("where", {mask, scores, number(v->dtype, lowest)});
  }
  return op("softmax", {scores});
}

/// As products of matrices, with the weights computed once for all three.
std::vector<Value> vjp(const Value& v, const Value& g) {
  const Value q = split_heads(v->inputs[0], v), k = split_heads(v->inputs[1], v),
              x = split_heads(v->inputs[2], v);
  const Value weights = weights_of(v, q, k);
  const Value by_weights = op("matmul", {g, transposed(x)});
  const Value by_scores = op("mul", {find_operator("softmax")->vjp(weights, by_weights)[0],
                                     number(v->dtype, attr<double>(*v, "scale"))});
  std::vector<Value> result{
      join_heads(op("matmul", {by_scores, k}), v->inputs[0]->shape),
      join_heads(op("matmul", {transposed(by_scores), q}), v->inputs[1]->shape),
      join_heads(op("matmul", {transposed(weights), g}), v->inputs[2]->shape)};
  result.resize(v->inputs.size());
  return result;
}

}  // namespace

std::vector<Operator> attention_operators() {
  return {{.name = "attention",
           .kind = OperatorKind::kContraction,
           .min_inputs = 3,
           .max_inputs = 4,
           .infer = infer,
           .space = space,
           .build = build,
           .vjp = vjp}};
}

}  // namespace tenon::graph
