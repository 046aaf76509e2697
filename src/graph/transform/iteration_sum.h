#pragma once

/// Sums over the iterations of a loop, taken after it.

#include <unordered_map>
#include <unordered_set>

#include "graph/operator.h"
#include "tenon/graph/control.h"

namespace tenon::graph {

/// What a loop would add up in a state, a term in each iteration, made of arrays that hold what the
/// terms are computed from in all iterations: one product for a weight's gradient, not one for each
/// iteration.
class IterationSums {
 public:
  /// `parts` is a loop that is being made. Its results and slices are in their places; more results
  /// are added.
  explicit IterationSums(LoopParts* parts);

  /// Whether the sum of `term`, a value of the body, is worth taking after the loop: its operators
  /// are sums themselves, or outer products, of operands that are arrays.
  bool can_sum(const Value& term) const;
  /// Has the loop stack what `term` is computed from.
  void stack(const Value& term);
  /// The sum, from what make_loop gave for `parts`.
  Value make(const Value& term, const std::vector<Value>& made) const;

 private:
  bool varies(const Value& v) const { return varying_.count(v.get()) != 0; }
  Value stacked(const Value& v, const std::vector<Value>& made) const;

  LoopParts* parts_;
  std::unordered_set<const ValueNode*> varying_;
  std::unordered_map<const ValueNode*, std::size_t> result_of_;  ///< in parts_->results
};

}  // namespace tenon::graph
