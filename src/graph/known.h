#pragma once

/// What is known of values before a network runs: shapes that a model computes are such values.

#include <map>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tenon/graph/value.h"

namespace tenon::graph {

/// Evaluates elements of values from constants and symbolic sizes.
///
/// An element is a constant, an expression of symbols, or not known: it depends on what an input
/// holds, or on an operator that is not evaluated here (products, recurrences). Elements that are
/// not read are not evaluated, so that one size can be known of a shape of which others are not.
/// The work is bounded: what takes too long is not known.
class Known {
 public:
  /// All elements of `v` in row-major order; nothing where one of them is not known, the shape is
  /// not, or there are more than `kMaxElements`. `sources` then has the network's inputs on which
  /// they depend.
  std::optional<std::vector<Expr>> elements(const Value& v);
  const std::vector<Value>& sources() const { return sources_; }

  static constexpr std::int64_t kMaxElements = 4096;

 private:
  friend class ElementEvaluator;
  Expr element(const Value& v, const std::vector<Expr>& at);
  Expr compute(const Value& v, const std::vector<std::int64_t>& at);
  Expr reduce(const Value& v, const std::vector<std::int64_t>& at);
  /// A variable that stands for what is not known of `v`.
  Expr unknown(const Value& v);
  void find_sources(const Value& v);

  std::map<std::pair<const ValueNode*, std::vector<std::int64_t>>, Expr> memo_;
  std::unordered_map<const ExprNode*, Value> unknown_;  ///< by the variable
  std::vector<Value> pinned_;                           ///< keys of the memo
  std::vector<Expr> pinned_vars_;
  std::vector<Value> sources_;
  std::int64_t work_ = 0;
  int depth_ = 0;
};

}  // namespace tenon::graph
