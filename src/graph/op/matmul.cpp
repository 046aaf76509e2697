// Matrix products: linear (weights [N, K]) and matmul with leading dimensions that are broadcast.

#include <numeric>

#include "graph/kernel_builder.h"
#include "tenon/graph/expression.h"
#include "tenon/ir/builder.h"

namespace tenon::graph {
namespace {

void check_product(const ValueNode& v, const Expr& a, const Expr& b) {
  const Value &x = v.inputs[0], &w = v.inputs[1];
  TENON_USER_CHECK(same_extent(a, b), ShapeError, "E0417", describe(v),
                   ": the sizes that are multiplied and summed differ");
  check_float(v, x);
  TENON_USER_CHECK(x->dtype == w->dtype, DTypeError, "E0521", describe(v),
                   ": both operands should have one dtype");
}

void check_rank(const ValueNode& v, bool fits, const char* wanted) {
  TENON_USER_CHECK(fits, ShapeError, "E0417", describe(v), ": expected ", wanted);
}

void infer_linear(ValueNode* v) {
  const Value &x = v->inputs[0], &w = v->inputs[1];
  check_rank(*v, !x->shape.empty() && w->shape.size() == 2, "x [..., K] and a weight [N, K]");
  check_product(*v, x->shape.back(), w->shape[1]);
  v->shape = x->shape;
  v->shape.back() = w->shape[0];
  v->dtype = x->dtype;
}

void infer_matmul(ValueNode* v) {
  const Value &x = v->inputs[0], &w = v->inputs[1];
  const std::size_t rank = x->shape.size();
  check_rank(*v, rank >= 2 && (w->shape.size() == 2 || w->shape.size() == rank),
             "[..., M, K] and [K, N] or [..., K, N]");
  check_product(*v, x->shape.back(), w->shape[w->shape.size() - 2]);
  v->shape = x->shape;
  v->shape.back() = w->shape.back();
  v->dtype = x->dtype;
  if (w->shape.size() == 2) return;
  for (std::size_t d = 0; d + 2 < rank; ++d) {
    if (is_int(w->shape[d], 1) || same_extent(x->shape[d], w->shape[d])) continue;
    check_rank(*v, is_int(x->shape[d], 1), "leading sizes that are equal or 1");
    v->shape[d] = w->shape[d];
  }
}

void space(const ValueNode& v, std::vector<Expr>* lead, bool* is_flat) {
  lead->assign(v.shape.begin(), v.shape.end() - 1);
  *is_flat = v.inputs[1]->shape.size() == 2;
}

Expr leading_index(const Value& x, std::size_t d, const Expr& index) {
  return is_int(x->shape[d], 1) ? imm(0) : index;
}

void build(KernelBuilder& b, const Value& v) {
  const Value &x = v->inputs[0], &w = v->inputs[1];
  const bool is_linear = v->op == "linear";
  const IterVar k = te::reduce_axis(x->shape.back(), "k");
  const auto weight = [&](const Indices& lead, const Expr& j) {
    if (w->shape.size() > 2) {
      Indices at;
      for (std::size_t d = 0; d + 2 < w->shape.size(); ++d)
        at.push_back(leading_index(w, d, lead[d]));
      at.push_back(k.var);
      at.push_back(j);
      return b.read(w, at);
    }
    if (!b.is_packable(w)) return b.read(w, is_linear ? Indices{j, k.var} : Indices{k.var, j});
    return te::read(b.packed(w, is_linear), {floordiv(j, imm(64)), k.var, floormod(j, imm(64))});
  };
  b.define(v, b.compute(v->op, {v->shape.back()}, [&](const Indices& lead, const Indices& in) {
    Indices at;
    for (std::size_t d = 0; d < lead.size(); ++d) {
      at.push_back(w->shape.size() > 2 && d + 1 < lead.size() ? leading_index(x, d, lead[d])
                                                              : lead[d]);
    }
    at.push_back(k.var);
    return te::sum(b.read(x, at) * weight(lead, in[0]), {k});
  }));
}

/// The sum over the leading dimensions of a[..., i] * b[..., j].
Value product_of_columns(const std::string& name, const Value& a, const Value& b) {
  const te::Tensor p = te::placeholder(a->shape, a->dtype, "a"),
                   q = te::placeholder(b->shape, b->dtype, "b");
  std::vector<IterVar> axes;
  Indices rows;
  for (std::size_t d = 0; d + 1 < a->shape.size(); ++d) {
    axes.push_back(te::reduce_axis(a->shape[d], "r" + std::to_string(d)));
    rows.push_back(axes.back().var);
  }
  const auto at = [&](const te::Tensor& t, const Expr& column) {
    Indices indices = rows;
    indices.push_back(column);
    return te::read(t, indices);
  };
  const auto element = [&](const Indices& i) {
    const Expr term = at(p, i[0]) * at(q, i[1]);
    return axes.empty() ? term : te::sum(term, axes);
  };
  const te::Tensor product = te::compute({a->shape.back(), b->shape.back()}, element, name);
  return make_expression(name, {a, b}, {p, q}, {product})[0];
}

/// Sums over the leading dimensions that were broadcast.
Value sum_to(const Value& v, const std::vector<Expr>& shape) {
  std::vector<std::int64_t> axes;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (is_int(shape[d], 1) && !is_int(v->shape[d], 1)) axes.push_back(static_cast<int>(d));
  }
  if (axes.empty()) return v;
  return make_op("reshape", {make_op("sum", {v}, {{"axes", axes}})}, {{"shape", shape}});
}

/// Products stay products that passes know: a constant weight is packed, rows are one loop.
std::vector<Value> vjp(const Value& v, const Value& g) {
  const Value &x = v->inputs[0], &w = v->inputs[1];
  const std::string name = v->op + "_grad";
  if (v->op == "linear") {
    const Value dx =
        g->shape.size() > 1 ? make_op("matmul", {g, w}) : make_op("linear", {g, transposed(w)});
    return {dx, product_of_columns(name, g, x)};
  }
  if (w->shape.size() == 2) return {make_op("linear", {g, w}), product_of_columns(name, x, g)};
  return {sum_to(make_op("matmul", {g, transposed(w)}), x->shape),
          sum_to(make_op("matmul", {transposed(x), g}), w->shape)};
}

/// A batch of rows is further rows; batches of matrices are leading dimensions of both.
Value vmap(const ValueNode& v, const std::vector<Value>& operands,
           const std::vector<bool>& is_batched, const Expr&) {
  const auto& w = v.inputs[1];
  if (w->shape.size() == 2 && !is_batched[1]) return make_op(v.op, operands);
  if (v.op == "linear" || w->shape.size() != v.inputs[0]->shape.size()) return nullptr;
  std::vector<Value> aligned = operands;
  for (std::size_t i = 0; i < 2; ++i) {
    if (is_batched[i]) continue;
    std::vector<Expr> shape = operands[i]->shape;
    shape.insert(shape.begin(), imm(1));
    aligned[i] = make_op("reshape", {operands[i]}, {{"shape", shape}});
  }
  return make_op(v.op, aligned);
}

Operator product_operator(const char* name, void (*infer)(ValueNode*)) {
  return {.name = name,
          .kind = OperatorKind::kContraction,
          .min_inputs = 2,
          .max_inputs = 2,
          .infer = infer,
          .space = space,
          .build = build,
          .vjp = vjp,
          .vmap = vmap};
}

}  // namespace

Value transposed(const Value& matrices) {
  std::vector<std::int64_t> axes(matrices->shape.size());
  std::iota(axes.begin(), axes.end(), 0);
  std::swap(axes[axes.size() - 1], axes[axes.size() - 2]);
  return make_op("transpose", {matrices}, {{"axes", axes}});
}

std::vector<Operator> matmul_operators() {
  return {product_operator("linear", infer_linear), product_operator("matmul", infer_matmul)};
}

}  // namespace tenon::graph
