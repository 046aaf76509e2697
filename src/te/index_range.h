#pragma once

#include <optional>
#include <vector>

#include "tenon/ir/expr.h"

namespace tenon::te {

/// Inclusive; empty where first > last.
struct IndexRange {
  std::int64_t first, last;
};

/// The least and the greatest value of `index` (int64) where the conditions hold, found by trying
/// all values of the iters that it uses. Conditions over other variables, or with memory, are left
/// out: the range is then an enclosure. Absent where a variable is no iter of constant domain,
/// where the index reads memory, or where there are more than 4096 values to try.
std::optional<IndexRange> index_range(const Expr& index, const std::vector<Expr>& conditions,
                                      const std::vector<IterVar>& iters);

}  // namespace tenon::te
