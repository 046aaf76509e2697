#include "graph/op/window.h"

#include <algorithm>

#include "tenon/ir/analyzer.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/print.h"
#include "tenon/ir/simplify.h"
#include "tenon/ir/visit.h"

namespace tenon::graph {
namespace {

using Numbers = std::vector<std::int64_t>;

std::string list(const Numbers& numbers) {
  std::string text;
  for (const std::int64_t n : numbers) text += (text.empty() ? "" : ", ") + std::to_string(n);
  return "[" + text + "]";
}

constexpr std::int64_t kMost = (std::int64_t{1} << 31) - 1;  // products fit into 64 bits

Numbers positive(const ValueNode& v, const char* what, Numbers numbers, std::size_t rank) {
  const bool fits =
      numbers.size() == rank &&
      std::all_of(numbers.begin(), numbers.end(), [](auto n) { return n >= 1 && n <= kMost; });
  TENON_USER_CHECK(fits, ShapeError, "E0438", describe(v), ": ", what, " ", list(numbers),
                   " should be ", rank, " positive integer", rank == 1 ? "" : "s");
  return numbers;
}

}  // namespace

Window window_of(const ValueNode& v, Numbers extents) {
  Window w;
  const std::size_t rank = v.inputs[0]->shape.size() - 2;
  w.extents = positive(v, "window", std::move(extents), rank);
  w.strides = positive(v, "strides", attr_or(v, "strides", Numbers(rank, 1)), rank);
  w.dilations = positive(v, "dilations", attr_or(v, "dilations", Numbers(rank, 1)), rank);
  const Numbers padding = attr_or(v, "padding", Numbers(2 * rank, 0));
  const bool fits =
      padding.size() == 2 * rank &&
      std::all_of(padding.begin(), padding.end(), [](auto p) { return p >= 0 && p <= kMost; });
  TENON_USER_CHECK(fits, ShapeError, "E0439", describe(v), ": padding ", list(padding),
                   " should be ", 2 * rank, " integers of at least 0: before and after each axis");
  for (std::size_t d = 0; d < rank; ++d) {
    w.before.push_back(padding[2 * d]);
    w.after.push_back(padding[2 * d + 1]);
  }
  return w;
}

std::vector<Expr> num_windows(const ValueNode& v, const Window& w, const std::vector<Expr>& shape) {
  std::vector<Expr> out;
  for (std::size_t d = 0; d < w.rank(); ++d) {
    const Expr padded = simplify(shape[d + 1] + (w.before[d] + w.after[d]));
    const auto known = as_int(padded);
    TENON_USER_CHECK(!known || *known >= w.span(d), ShapeError, "E0440", describe(v),
                     ": the window spans ", w.span(d), " elements along axis ", d + 1,
                     ", which has ", print(padded), " with its padding");
    const Expr count = simplify(floordiv(padded - w.span(d), imm(w.strides[d])) + 1);
    Analyzer analyzer;
    post_order_visit(count, [&](const Node& n) {
      if (n.kind != NodeKind::kVar) return;
      const auto& symbol = static_cast<const VarNode&>(n);
      if (symbol.symbol != nullptr)
        analyzer.bind(
            {Expr(&symbol), symbol.symbol->min, symbol.symbol->max, symbol.symbol->multiple_of});
    });
    const bool may_be_negative = !analyzer.can_prove(ge(count, imm(0)));
    out.push_back(may_be_negative ? tenon::max(count, imm(0)) : count);
  }
  return out;
}

WindowIndex window_index(const Window& w, const Indices& o, const std::vector<IterVar>& k,
                         const std::vector<Expr>& shape) {
  WindowIndex index;
  for (std::size_t d = 0; d < w.rank(); ++d) {
    const Expr at = o[d] * w.strides[d] + k[d].var * w.dilations[d] - w.before[d];
    index.at.push_back(at);
    if (w.before[d] > 0) index.inside = and_predicate(index.inside, ge(at, imm(0)));
    if (w.after[d] > 0) index.inside = and_predicate(index.inside, lt(at, shape[d + 1]));
  }
  return index;
}

std::vector<IterVar> window_axes(const Window& w) {
  static constexpr const char* kNames[] = {"kd", "kh", "kw"};
  std::vector<IterVar> axes;
  for (std::size_t d = 0; d < w.rank(); ++d)
    axes.push_back(te::reduce_axis(imm(w.extents[d]), kNames[3 - w.rank() + d]));
  return axes;
}

void check_spatial(const ValueNode& v, const Value& x) {
  const std::size_t rank = x->shape.size();
  TENON_USER_CHECK(rank >= 3 && rank <= 5, ShapeError, "E0435", describe(v),
                   ": expected x [n, ..., channels] with 1 to 3 axes between, got ", rank,
                   " axes\n  hint: arrays are channels-last");
}

}  // namespace tenon::graph
