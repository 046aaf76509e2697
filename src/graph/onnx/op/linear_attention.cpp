// Linear attention: a recurrence over a matrix for each head, as a loop of the graph.

#include <cmath>

#include "graph/onnx/tools.h"
#include "tenon/graph/control.h"
#include "tenon/ir/builder.h"

namespace tenon::onnx {
namespace {

struct Sizes {
  std::int64_t q_heads, heads, keys, values;
};

std::int64_t size_of_head(const NodeView& n, std::size_t i, std::int64_t heads) {
  if (n.rank(i) != 3) n.invalid(detail::concat("input ", i, " should have 3 axes"));
  const auto width = as_int(n.in(i)->shape[2]);
  if (!width) n.unsupported("a width of heads that is not fixed; give sizes= or shapes=");
  if (*width % heads != 0)
    n.invalid(detail::concat(heads, " heads do not divide a width of ", *width));
  return *width / heads;
}

Sizes sizes_of(const NodeView& n) {
  Sizes s{};
  s.q_heads = n.int_attr("q_num_heads");
  s.heads = n.int_attr("kv_num_heads");
  if (s.heads < 1 || s.q_heads < 1 || s.q_heads % s.heads != 0)
    n.invalid(detail::concat(s.q_heads, " heads of queries are no multiple of ", s.heads));
  s.keys = size_of_head(n, 1, s.heads);
  s.values = size_of_head(n, 2, s.heads);
  if (size_of_head(n, 0, s.q_heads) != s.keys) n.invalid("queries and keys have different sizes");
  for (std::size_t i = 0; i < 6; ++i) {
    if (!n.has(i)) continue;
    if (!n.in(i)->dtype.is_float()) n.invalid(detail::concat("input ", i, " should be floats"));
    if (i == 3) continue;
    if (n.rank(i) != 3 || !graph::same_extent(n.in(i)->shape[0], n.in(0)->shape[0]) ||
        !graph::same_extent(n.in(i)->shape[1], n.in(0)->shape[1]))
      n.invalid(detail::concat("input ", i, " should be [batch, length, ...] as the queries"));
  }
  return s;
}

/// [batch, length, heads * size] as [length, batch, heads, ...shape].
Value stacked(const NodeView& n, std::size_t i, DType dtype, const std::vector<Expr>& shape) {
  const Value x = transpose(cast_to(n.in(i), dtype), {1, 0, 2});
  std::vector<Expr> all{x->shape[0], x->shape[1]};
  all.insert(all.end(), shape.begin(), shape.end());
  return reshape(x, all);
}

std::vector<Value> convert_linear_attention(const NodeView& n) {
  const Sizes s = sizes_of(n);
  const std::string rule = n.string_attr("update_rule", "gated_delta");
  const bool is_gated = rule == "gated" || rule == "gated_delta";
  const bool is_delta = rule == "delta" || rule == "gated_delta";
  if (!is_gated && !is_delta && rule != "linear") n.invalid("update_rule is '" + rule + "'");
  if (n.has(4) != is_gated) n.invalid("decay belongs to the gated rules, which need it");
  if (n.has(5) != is_delta) n.invalid("beta belongs to the delta rules, which need it");
  const Value& query = n.in(0);
  const DType dtype = sum_dtype(query->dtype);
  const Expr heads = imm(s.heads), one = imm(1);

  graph::LoopParts loop;
  loop.op = "LinearAttention";
  loop.count = query->shape[1];
  loop.iteration = graph::make_input({}, kInt64, "t");
  loop.stacked = {stacked(n, 0, dtype, {heads, imm(s.q_heads / s.heads), imm(s.keys)}),
                  stacked(n, 1, dtype, {heads, one, imm(s.keys)}),
                  stacked(n, 2, dtype, {heads, one, imm(s.values)})};
  if (is_gated) {
    const auto width = as_int(n.in(4)->shape[2]);
    const bool is_shared = width == s.heads;
    if (!is_shared && width != s.heads * s.keys)
      n.invalid("the decay should be one number for each head, or for each key");
    loop.stacked.push_back(stacked(n, 4, dtype, {heads, imm(is_shared ? 1 : s.keys), one}));
  }
  if (is_delta) {
    const auto width = as_int(n.in(5)->shape[2]);
    if (width != s.heads && width != 1)
      n.invalid("beta should be one number for each head, or one");
    loop.stacked.push_back(stacked(n, 5, dtype, {imm(*width), one, one}));
  }
  for (const Value& x : loop.stacked)
    loop.slices.push_back(graph::make_input({x->shape.begin() + 1, x->shape.end()}, dtype, "x"));

  const std::vector<Expr> shape{query->shape[0], heads, imm(s.keys), imm(s.values)};
  Value past = n.maybe(3);
  const DType state_dtype = past ? past->dtype : query->dtype;
  if (!past) past = broadcast(scalar(dtype, 0), shape);
  if (!graph::same_shape(past->shape, shape))
    n.invalid("past_state should be [batch, heads, size of keys, size of values]");
  loop.init = {cast_to(past, dtype)};
  loop.states = {graph::make_input(shape, dtype, "state")};

  const Value &q = loop.slices[0], &k = loop.slices[1];
  Value v = loop.slices[2], state = loop.states[0];
  if (is_gated) state = op("mul", {state, op("exp", {loop.slices[3]})});
  if (is_delta) {
    const Value held = op("matmul", {k, state});
    v = op("mul", {loop.slices.back(), op("sub", {v, held})});
  }
  const Value column = reshape(k, {k->shape[0], heads, imm(s.keys), one});
  state = op("add", {state, op("mul", {column, v})});
  loop.next = {state};
  loop.results = {op("matmul", {q, state})};
  const std::vector<Value> results = graph::make_loop(loop);

  double scale = n.float_attr("scale", 0);
  if (scale == 0) scale = 1 / std::sqrt(static_cast<double>(s.keys));
  Value y = op("mul", {results[1], scalar(dtype, scale)});  // [length, batch, groups, heads, size]
  y = transpose(reshape(y, {query->shape[1], query->shape[0], imm(s.q_heads * s.values)}),
                {1, 0, 2});
  return {cast_to(y, query->dtype), cast_to(results[0], state_dtype)};
}

}  // namespace

std::vector<Conversion> linear_attention_conversions() {
  return {{"LinearAttention", 27, Support::kDecomposed, convert_linear_attention, "", "a loop"}};
}

}  // namespace tenon::onnx
