#include "graph/onnx/agreeing_sizes.h"

#include <algorithm>

#include "tenon/ir/analyzer.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon::onnx {
namespace {

/// The symbols of an expression, each once.
std::vector<Expr> symbols_of(const Expr& e) {
  std::vector<Expr> all;
  uses_var(e, [&](const VarNode& x) {
    const bool is_known =
        std::any_of(all.begin(), all.end(), [&](const Expr& s) { return s.get() == &x; });
    if (x.symbol != nullptr && !is_known) all.emplace_back(&x);
    return false;
  });
  return all;
}

std::vector<std::int64_t> constants_of(const Expr& e) {
  std::vector<std::int64_t> all;
  post_order_visit(e, [&](const Node& n) {
    if (n.kind == NodeKind::kIntImm) all.push_back(static_cast<const IntImmNode&>(n).value);
  });
  std::sort(all.rbegin(), all.rend());
  return all;
}

/// The largest bound of the only symbol under which the sizes are equal.
std::optional<NeedsSizes> bound(const Expr& a, const Expr& b) {
  const Expr difference = a - b;
  const std::vector<Expr> symbols = symbols_of(difference);
  if (symbols.size() != 1) return std::nullopt;
  const auto* symbol = symbols[0].as<VarNode>();
  for (const std::int64_t limit : constants_of(difference)) {
    SymbolRange range = *symbol->symbol;
    if (limit < range.min || (range.max && limit >= *range.max)) continue;
    range.max = limit;
    Analyzer analyzer;
    analyzer.bind(Symbol{symbols[0], range.min, range.max, range.multiple_of});
    if (analyzer.can_prove_equal(a, b)) return NeedsSizes{symbol->name, {range, ""}};
  }
  return std::nullopt;
}

std::optional<NeedsSizes> equal(const Expr& a, const Expr& b) {
  if (auto found = bound(a, b)) return found;
  const auto *x = a.as<VarNode>(), *y = b.as<VarNode>();
  if (x == nullptr || y == nullptr || x == y) return std::nullopt;
  return NeedsSizes{y->name, {*y->symbol, x->name}};
}

}  // namespace

std::optional<NeedsSizes> agreeing_sizes(const std::vector<graph::Value>& operands) {
  for (std::size_t i = 0; i < operands.size(); ++i) {
    for (std::size_t j = i + 1; j < operands.size(); ++j) {
      const std::vector<Expr>&a = operands[i]->shape, &b = operands[j]->shape;
      for (std::size_t d = 1; d <= std::min(a.size(), b.size()); ++d) {
        const Expr &x = a[a.size() - d], &y = b[b.size() - d];
        if (is_int(x, 1) || is_int(y, 1) || graph::same_extent(x, y)) continue;
        if (auto found = equal(x, y)) return found;
      }
    }
  }
  return std::nullopt;
}

}  // namespace tenon::onnx
