// Attention: products of queries and keys, a softmax, a product with the values.

#include <cmath>
#include <limits>

#include "graph/onnx/tools.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/simplify.h"
#include "tenon/te/expr.h"

namespace tenon::onnx {
namespace {

constexpr Support kNative = Support::kNative;
constexpr Support kDecomposed = Support::kDecomposed;
const double kLowest = -std::numeric_limits<double>::infinity();

std::int64_t fixed(const NodeView& n, const Expr& size, const char* what) {
  const auto known = as_int(size);
  if (!known) n.unsupported(detail::concat(what, " that is not fixed; give sizes= or shapes="));
  return *known;
}

/// [batch, length, heads * size] as [batch, heads, length, size].
Value split_heads(const NodeView& n, const Value& x, std::int64_t heads) {
  if (x->shape.size() == 4) return x;
  if (x->shape.size() != 3) n.invalid("expected inputs of 3 or 4 axes");
  const std::int64_t width = fixed(n, x->shape[2], "a width of heads");
  if (heads < 1 || width % heads != 0)
    n.invalid(detail::concat(heads, " heads do not divide a width of ", width));
  const Value rows = reshape(x, {x->shape[0], x->shape[1], imm(heads), imm(width / heads)});
  return transpose(rows, {0, 2, 1, 3});
}

/// [batch, heads, length, size] as [batch, length, heads * size].
Value join_heads(const Value& x) {
  const Value rows = transpose(x, {0, 2, 1, 3});
  return reshape(rows, {rows->shape[0], rows->shape[1], simplify(rows->shape[2] * rows->shape[3])});
}

Value exchanged(const Value& x) {
  std::vector<std::int64_t> axes;
  for (std::size_t d = 0; d < x->shape.size(); ++d) axes.push_back(static_cast<std::int64_t>(d));
  std::swap(axes[axes.size() - 2], axes.back());
  return transpose(x, axes);
}

/// [batch, heads, ...] as [batch, groups, heads / groups, ...].
Value grouped(const Value& x, std::int64_t heads, std::int64_t groups) {
  return reshape(x, {x->shape[0], imm(groups), imm(heads / groups), x->shape[2], x->shape[3]});
}
Value ungrouped(const Value& x) {
  const Expr heads = simplify(x->shape[1] * x->shape[2]);
  return reshape(x, {x->shape[0], heads, x->shape[3], x->shape[4]});
}

/// a b, where heads of `a` share those of `b` in their order.
Value product(const Value& a, const Value& b) {
  const std::int64_t heads = *as_int(a->shape[1]), groups = *as_int(b->shape[1]);
  if (heads == groups) return op("matmul", {a, b});
  return ungrouped(op("matmul", {grouped(a, heads, groups), grouped(b, groups, groups)}));
}

/// Checks what queries, keys and values [batch, heads, length, size] have in common.
void check_heads(const NodeView& n, const Value& q, const Value& k, const Value& v) {
  if (q->shape.size() != 4 || k->shape.size() != 4 || v->shape.size() != 4)
    n.invalid("expected queries, keys and values of 4 axes");
  if (!q->dtype.is_float() || !v->dtype.is_float() || k->dtype != q->dtype)
    n.invalid("expected floats, queries and keys of one dtype");
  const std::int64_t heads = fixed(n, q->shape[1], "a number of heads"),
                     groups = fixed(n, k->shape[1], "a number of heads");
  if (groups < 1 || heads % groups != 0 || !graph::same_extent(k->shape[1], v->shape[1]))
    n.invalid(detail::concat(heads, " heads of queries are no multiple of ", groups,
                             " heads of keys, or values have other heads"));
  if (!graph::same_extent(q->shape[3], k->shape[3]))
    n.invalid("queries and keys have different sizes");
  if (!graph::same_extent(k->shape[2], v->shape[2]))
    n.invalid("there are not as many keys as values");
}

double scale_of(const NodeView& n, const Value& q) {
  if (n.has_attr("scale")) return n.float_attr("scale", 1);
  return 1 / std::sqrt(static_cast<double>(fixed(n, q->shape[3], "a size of heads")));
}

/// Scores that take part: as the mask, causality and the number of keys say.
struct Masks {
  Value mask;     ///< bool, or what is added to the scores; may be null
  Value lengths;  ///< how many keys there are for each batch; may be null
  Expr past;      ///< keys before the first query; null: no causality
};

Value masked(const NodeView& n, const Value& scores, const Masks& masks) {
  std::vector<Value> operands{scores};
  const std::vector<Expr>& shape = scores->shape;
  std::size_t shift = 0;
  const std::size_t mask_at = operands.size();
  if (masks.mask) {
    const std::vector<Expr>& of_mask = masks.mask->shape;
    if (of_mask.empty() || of_mask.size() > 4) n.invalid("expected a mask of 1 to 4 axes");
    shift = 4 - of_mask.size();
    for (std::size_t d = 0; d + 1 < of_mask.size(); ++d) {
      if (!is_int(of_mask[d], 1) && !graph::same_extent(of_mask[d], shape[shift + d]))
        n.invalid("the mask cannot be broadcast to the scores");
    }
    const auto last = as_int(of_mask.back()), keys = as_int(shape[3]);
    if (last && keys && (*last > *keys || *last < 1))
      n.invalid(detail::concat("the mask has ", *last, " columns for ", *keys, " keys"));
    if (!masks.mask->dtype.is_bool() && !masks.mask->dtype.is_float())
      n.invalid("expected a mask of bools or floats");
    operands.push_back(masks.mask);
  }
  const std::size_t lengths_at = operands.size();
  if (masks.lengths) operands.push_back(masks.lengths);
  if (operands.size() == 1 && !masks.past) return scores;
  const Expr lowest = float_imm(scores->dtype, kLowest);
  return computed(
      "mask", operands, shape, [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
        Expr score = read(0, at);
        if (masks.mask) {
          const std::vector<Expr>& of_mask = masks.mask->shape;
          graph::Indices place;
          for (std::size_t d = 0; d < of_mask.size(); ++d)
            place.push_back(is_int(of_mask[d], 1) ? imm(0) : at[shift + d]);
          // Columns that the mask does not have take no part.
          Expr has_column;
          const bool is_repeated = is_int(of_mask.back(), 1) && masks.mask->dtype.is_float();
          if (!graph::same_extent(of_mask.back(), shape[3]) && !is_repeated) {
            has_column = lt(at[3], of_mask.back());
            place.back() = tenon::min(at[3], of_mask.back() - 1);
          }
          const Expr element = read(mask_at, place);
          score = element->dtype.is_bool() ? te::select(element, score, lowest)
                                           : score + te::cast(scores->dtype, element);
          if (has_column) score = te::select(has_column, score, lowest);
        }
        if (masks.past) score = te::select(le(at[3], at[2] + masks.past), score, lowest);
        if (masks.lengths) {
          const Expr length = te::cast(kInt64, read(lengths_at, {at[0]}));
          score = te::select(lt(at[3], length), score, lowest);
        }
        return score;
      });
}

/// The operator of the graph does it: equal heads, no masks, nothing but the result is asked for.
bool is_plain(const NodeView& n, const Value& v, std::int64_t heads, std::int64_t groups) {
  if (n.rank(0) != 3 || n.rank(1) != 3 || v->shape.size() != 3 || heads != groups) return false;
  for (std::size_t i = 3; i < 7; ++i) {
    if (n.has(i)) return false;
  }
  for (std::size_t i = 1; i < 4; ++i) {
    if (n.wants(i)) return false;
  }
  const bool is_float32 =
      n.in(0)->dtype == kFloat32 && n.in(1)->dtype == kFloat32 && v->dtype == kFloat32;
  return is_float32 && graph::same_extent(n.in(0)->shape[2], v->shape[2]) &&
         graph::same_extent(n.in(1)->shape[2], v->shape[2]) &&
         graph::same_extent(n.in(1)->shape[1], v->shape[1]) && n.int_attr("is_causal", 0) == 0 &&
         n.float_attr("softcap", 0) == 0 && !n.has_attr("softmax_precision");
}

std::vector<Value> convert_attention(const NodeView& n) {
  const bool is_packed = n.rank(0) == 3;
  if (is_packed && (!n.has_attr("q_num_heads") || !n.has_attr("kv_num_heads")))
    n.invalid("inputs of 3 axes need q_num_heads and kv_num_heads");
  const std::int64_t q_heads = n.int_attr("q_num_heads", 0), groups = n.int_attr("kv_num_heads", 0);
  const Value q = split_heads(n, n.in(0), q_heads);
  Value k = split_heads(n, n.in(1), groups), v = split_heads(n, n.in(2), groups);
  const double scale = scale_of(n, q);
  if (is_plain(n, n.in(2), q_heads, groups)) {
    const Value y = op("attention", n.all(), {{"heads", q_heads}, {"scale", scale}});
    return {join_heads(y)};
  }
  Masks masks{n.maybe(3), n.maybe(6), nullptr};
  Expr past = imm(0);
  if (n.has(4) != n.has(5)) n.invalid("past_key and past_value come together");
  if (n.has(4)) {
    if (n.rank(4) != 4 || n.rank(5) != 4) n.invalid("expected past keys and values of 4 axes");
    past = n.in(4)->shape[2];
    k = op("concat", {n.in(4), k}, {{"axis", std::int64_t{2}}});
    v = op("concat", {n.in(5), v}, {{"axis", std::int64_t{2}}});
  }
  const std::vector<Value> present{k, v};
  check_heads(n, q, k, v);
  if (masks.lengths && (masks.lengths->shape.size() != 1 || !masks.lengths->dtype.is_int()))
    n.invalid("nonpad_kv_seqlen should be one integer for each batch");
  if (n.int_attr("is_causal", 0) != 0) masks.past = past;

  const DType dtype = sum_dtype(q->dtype);
  const Value scaled = op("mul", {cast_to(q, dtype), scalar(dtype, scale)});
  const Value raw = product(scaled, exchanged(cast_to(k, dtype)));
  const double cap = n.float_attr("softcap", 0);
  Value capped = raw;
  if (cap > 0) {
    const Value inner = op("tanh", {op("div", {raw, scalar(dtype, cap)})});
    capped = op("mul", {inner, scalar(dtype, cap)});
  }
  const Value scores = masked(n, capped, masks);
  DType precision = dtype;
  if (n.has_attr("softmax_precision")) precision = n.dtype_attr("softmax_precision");
  if (!precision.is_float()) n.invalid("softmax_precision should be a float dtype");
  if (precision.bits < dtype.bits) precision = dtype;  // no less exact than is asked for
  const Value weights = op("softmax", {cast_to(scores, precision)});
  const Value y = cast_to(product(cast_to(weights, dtype), cast_to(v, dtype)), n.in(0)->dtype);
  const std::int64_t mode = n.int_attr("qk_matmul_output_mode", 0);
  if (mode < 0 || mode > 3)
    n.invalid(detail::concat("qk_matmul_output_mode = ", mode, " should be from 0 to 3"));
  const Value stages[] = {raw, capped, scores, weights};
  return {is_packed ? join_heads(y) : y, present[0], present[1], cast_to(stages[mode], q->dtype)};
}

// --- attention with bodies

std::vector<Value> convert_flex_attention(const NodeView& n) {
  const Value &q = n.in(0), &k = n.in(1), &v = n.in(2);
  check_heads(n, q, k, v);
  const DType dtype = sum_dtype(q->dtype);
  DType precision = dtype;
  if (n.has_attr("softmax_precision")) precision = n.dtype_attr("softmax_precision");
  if (!precision.is_float()) n.invalid("softmax_precision should be a float dtype");
  const Value scaled = op("mul", {cast_to(q, dtype), scalar(dtype, scale_of(n, q))});
  Value scores = cast_to(product(scaled, exchanged(cast_to(k, dtype))), precision);
  const auto modified = [&](const Value& x, const char* name) {
    if (!n.has_attr(name)) return x;
    const std::vector<Entry> results = n.run(n.graph_attr(name), {{.value = x}});
    if (results.size() != 1 || !results[0].value ||
        !graph::same_shape(results[0].value->shape, x->shape))
      n.invalid(detail::concat("'", name, "' should have one result of its input's shape"));
    return cast_to(results[0].value, precision);
  };
  const Value weights = modified(op("softmax", {modified(scores, "score_mod")}), "prob_mod");
  const DType wide = precision.bits > dtype.bits ? precision : dtype;
  return {cast_to(product(cast_to(weights, wide), cast_to(v, wide)), v->dtype)};
}

// --- rotary embedding

std::vector<Value> convert_rotary(const NodeView& n) {
  const Value& x = n.in(0);
  if (!x->dtype.is_float()) n.invalid("expected floats");
  const bool is_packed = x->shape.size() == 3;
  const Value heads = split_heads(n, x, n.int_attr("num_heads", 0));
  const std::int64_t size = fixed(n, heads->shape[3], "a size of heads");
  std::int64_t turned = n.int_attr("rotary_embedding_dim", 0);
  if (turned == 0) turned = size;
  if (turned < 2 || turned > size || turned % 2 != 0)
    n.invalid(detail::concat("rotary_embedding_dim = ", turned, " of a size of ", size));
  const bool has_positions = n.has(3), is_interleaved = n.int_attr("interleaved", 0) != 0;
  const Expr half = imm(turned / 2);
  for (std::size_t i = 1; i < 3; ++i) {
    const std::vector<Expr>& shape = n.in(i)->shape;
    if (shape.size() != (has_positions ? 2 : 3) || !graph::same_extent(shape.back(), half))
      n.invalid(detail::concat("input ", i, " should have ", has_positions ? 2 : 3,
                               " axes, the last of size ", turned / 2));
    if (n.in(i)->dtype != x->dtype) n.invalid("all inputs should have one dtype");
    const bool fits = has_positions || (graph::same_extent(shape[0], heads->shape[0]) &&
                                        graph::same_extent(shape[1], heads->shape[2]));
    if (!fits) n.invalid(detail::concat("input ", i, " should be [batch, length, size / 2]"));
  }
  std::vector<Value> operands{heads, n.in(1), n.in(2)};
  if (has_positions) {
    operands.push_back(n.in(3));
    const std::vector<Expr>& shape = n.in(3)->shape;
    if (shape.size() != 2 || !graph::same_extent(shape[0], heads->shape[0]) ||
        !graph::same_extent(shape[1], heads->shape[2]) || !n.in(3)->dtype.is_int())
      n.invalid("position_ids should be integers [batch, length]");
  }
  const Value y = computed(
      "rotary_embedding", operands, heads->shape,
      [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
        const auto other = [&](const Expr& d) { return read(0, {at[0], at[1], at[2], d}); };
        // Inside the part that turns, whatever d is: what is read must exist.
        const Expr d = turned == size ? at[3] : tenon::min(at[3], imm(turned - 1));
        const Expr pair = is_interleaved ? floordiv(d, imm(2)) : floormod(d, half);
        const Expr is_first = is_interleaved ? eq(floormod(d, imm(2)), imm(0)) : lt(d, half);
        const Expr first = other(is_interleaved ? pair * 2 : pair),
                   second = other(is_interleaved ? pair * 2 + 1 : pair + half);
        graph::Indices angle{at[0], at[2], pair};
        if (has_positions) angle = {te::cast(kInt64, read(3, {at[0], at[2]})), pair};
        const Expr cosine = read(1, angle), sine = read(2, angle);
        const Expr value =
            te::select(is_first, cosine * first - sine * second, sine * first + cosine * second);
        return turned == size ? value : te::select(lt(at[3], imm(turned)), value, read(0, at));
      });
  return {is_packed ? join_heads(y) : y};
}

}  // namespace

std::vector<Conversion> attention_conversions() {
  return {
      {"Attention", 23, kNative, convert_attention},
      {"FlexAttention", 1, kDecomposed, convert_flex_attention, "ai.onnx.preview",
       "products, softmax, bodies"},
      {"RotaryEmbedding", 23, kDecomposed, convert_rotary, "", "one expression"},
  };
}

}  // namespace tenon::onnx
