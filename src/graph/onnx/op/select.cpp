// Parts that the values of elements choose: Compress, NonZero, Unique. The sizes of their results
// depend on these values, which therefore have to be known before the network runs.

#include <algorithm>
#include <cmath>

#include "graph/onnx/tools.h"
#include "tenon/ir/builder.h"
#include "tenon/te/expr.h"

namespace tenon::onnx {
namespace {

constexpr Support kNative = Support::kNative;
constexpr Support kDecomposed = Support::kDecomposed;

std::int64_t size_of(const NodeView& n, const Expr& e) {
  const auto size = as_int(e);
  if (!size) n.unsupported("a size that is not fixed; give sizes=");
  return *size;
}

/// Whether each element of operand `i` is true (not zero), in row-major order.
std::vector<bool> truths(const NodeView& n, std::size_t i) {
  const Value& x = n.in(i);
  const Value is_true = x->dtype.is_bool() ? x : pointwise("nonzero", {x}, [](const auto& e) {
    return ne(e[0], zero(e[0]->dtype));
  });
  std::vector<bool> all;
  for (const Expr& e : n.elements(cast_to(is_true, kInt64), "input '" + n.node().inputs[i] + "'")) {
    const auto known = as_int(e);
    if (!known) n.unsupported("which elements count depends on a size; give sizes=");
    all.push_back(*known != 0);
  }
  return all;
}

/// The slices of `x` along `axis` at constant indices.
Value taken(const Value& x, std::size_t axis, const std::vector<std::int64_t>& indices) {
  std::vector<Expr> shape = x->shape;
  shape[axis] = imm(static_cast<std::int64_t>(indices.size()));
  return computed("take", {x, int_vector(indices)}, shape,
                  [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                    graph::Indices place = at;
                    place[axis] = read(1, {at[axis]});
                    return read(0, place);
                  });
}

Value flat(const Value& x) { return reshape(x, {product(x->shape, 0, x->shape.size())}); }

std::vector<Value> convert_compress(const NodeView& n) {
  if (n.rank(1) != 1 || !n.in(1)->dtype.is_bool())
    n.invalid("the condition should be a vector of bools");
  const Value x = n.has_attr("axis") ? n.in(0) : flat(n.in(0));
  const auto axis = static_cast<std::size_t>(
      n.has_attr("axis") ? normal_axis(n, n.int_attr("axis"), x->shape.size()) : 0);
  const std::int64_t size = size_of(n, x->shape[axis]);
  const std::vector<bool> chosen = truths(n, 1);
  std::vector<std::int64_t> indices;
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    if (!chosen[i]) continue;
    if (static_cast<std::int64_t>(i) >= size)
      n.invalid(detail::concat("element ", i, " of ", size, " is chosen"));
    indices.push_back(static_cast<std::int64_t>(i));
  }
  return {taken(x, axis, indices)};
}

/// Whether all elements are one.
bool is_full(const Value& x) { return x->is_op("broadcast_to") && x->inputs[0]->shape.empty(); }

std::vector<Value> convert_non_zero(const NodeView& n) {
  const Value& x = n.in(0);
  const auto rank = static_cast<std::int64_t>(x->shape.size());
  if (rank == 1 && is_full(x)) {
    // How models of a size that is not fixed count to it.
    const auto element = n.known(x->inputs[0]);
    if (element && as_int((*element)[0]).value_or(0) != 0) {
      return {
          computed("count", {}, {imm(1), x->shape[0]},
                   [](const std::vector<Expr>& at, const graph::ElementReader&) { return at[1]; })};
    }
  }
  const std::vector<bool> chosen = truths(n, 0);
  std::vector<std::vector<std::int64_t>> rows(static_cast<std::size_t>(rank));
  std::int64_t count = 0;
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    if (!chosen[i]) continue;
    ++count;
    auto rest = static_cast<std::int64_t>(i);
    for (std::size_t d = rows.size(); d-- > 0;) {
      const std::int64_t size = size_of(n, x->shape[d]);
      rows[d].push_back(rest % size);
      rest /= size;
    }
  }
  std::vector<std::int64_t> all;
  for (const auto& row : rows) all.insert(all.end(), row.begin(), row.end());
  return {reshape(int_vector(all), {imm(rank), imm(count)})};
}

/// -1, 0, 1: the order of two constants; NaN is the largest number, and equal to itself.
int order(const Expr& a, const Expr& b) {
  const auto* x = a.as<FloatImmNode>();
  const auto* y = b.as<FloatImmNode>();
  if (x != nullptr && y != nullptr) {
    if (std::isnan(x->value) || std::isnan(y->value))
      return int{std::isnan(x->value)} - int{std::isnan(y->value)};
    return int{x->value > y->value} - int{x->value < y->value};
  }
  const std::int64_t i = as_int(a).value_or(0), j = as_int(b).value_or(0);
  if (a->dtype.is_signed_int()) return int{i > j} - int{i < j};
  const auto u = static_cast<std::uint64_t>(i), v = static_cast<std::uint64_t>(j);
  return int{u > v} - int{u < v};
}

std::vector<Value> convert_unique(const NodeView& n) {
  const Value x = n.has_attr("axis") ? n.in(0) : flat(n.in(0));
  const auto axis = static_cast<std::size_t>(
      n.has_attr("axis") ? normal_axis(n, n.int_attr("axis"), x->shape.size()) : 0);
  // Slices along the axis as rows of their elements.
  std::vector<std::int64_t> axes{static_cast<std::int64_t>(axis)};
  std::int64_t width = 1;
  for (std::size_t d = 0; d < x->shape.size(); ++d) {
    if (d == axis) continue;
    axes.push_back(static_cast<std::int64_t>(d));
    width *= size_of(n, x->shape[d]);
  }
  const std::int64_t count = size_of(n, x->shape[axis]);
  const Value rows = transpose(x, axes);
  const auto known = n.known(rows);
  if (!known) n.elements(rows, "input '" + n.node().inputs[0] + "'");  // says what to give
  for (const Expr& e : *known) {
    if (e.as<FloatImmNode>() == nullptr && !as_int(e))
      n.unsupported("which elements are unique depends on a size; give sizes=");
  }
  const auto compare = [&](std::int64_t i, std::int64_t j) {
    for (std::int64_t k = 0; k < width; ++k) {
      const int o = order((*known)[static_cast<std::size_t>(i * width + k)],
                          (*known)[static_cast<std::size_t>(j * width + k)]);
      if (o != 0) return o;
    }
    return 0;
  };
  std::vector<std::int64_t> sorted;
  for (std::int64_t i = 0; i < count; ++i) sorted.push_back(i);
  std::sort(sorted.begin(), sorted.end(), [&](std::int64_t i, std::int64_t j) {
    const int o = compare(i, j);
    return o != 0 ? o < 0 : i < j;
  });
  // The first place of each, and how often it occurs.
  std::vector<std::pair<std::int64_t, std::int64_t>> groups;
  std::vector<std::int64_t> group_of(static_cast<std::size_t>(count));
  for (std::size_t k = 0; k < sorted.size(); ++k) {
    if (k == 0 || compare(sorted[k - 1], sorted[k]) != 0) groups.emplace_back(sorted[k], 0);
    ++groups.back().second;
    group_of[static_cast<std::size_t>(sorted[k])] = static_cast<std::int64_t>(groups.size()) - 1;
  }
  std::vector<std::size_t> shown(groups.size());
  for (std::size_t g = 0; g < groups.size(); ++g) shown[g] = g;
  if (n.int_attr("sorted", 1) == 0)
    std::sort(shown.begin(), shown.end(),
              [&](std::size_t a, std::size_t b) { return groups[a].first < groups[b].first; });
  std::vector<std::int64_t> first, counts, inverse(static_cast<std::size_t>(count)),
      place(groups.size());
  for (std::size_t k = 0; k < shown.size(); ++k) {
    first.push_back(groups[shown[k]].first);
    counts.push_back(groups[shown[k]].second);
    place[shown[k]] = static_cast<std::int64_t>(k);
  }
  for (std::size_t i = 0; i < inverse.size(); ++i)
    inverse[i] = place[static_cast<std::size_t>(group_of[i])];
  return {taken(x, axis, first), int_vector(first), int_vector(inverse), int_vector(counts)};
}

}  // namespace

std::vector<Conversion> select_conversions() {
  return {
      {"Compress", 9, kNative, convert_compress},
      {"NonZero", 9, kNative, convert_non_zero},
      {"Unique", 11, kDecomposed, convert_unique},
  };
}

}  // namespace tenon::onnx
