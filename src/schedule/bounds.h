#pragma once

/// Linear forms of index expressions, their bounds over loops, and proofs that one is not negative.
///
/// A linear form is a sum of integer multiples of atoms plus a constant. Atoms are variables and
/// whatever is not linear (floor division, min, max, select ...), compared by structure.

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "tenon/ir/function.h"

namespace tenon {

struct Linear {
  std::vector<std::pair<Expr, std::int64_t>> terms;  ///< no coefficient is 0
  std::int64_t constant = 0;

  /// The coefficient of an atom; 0 when it does not occur.
  std::int64_t coefficient(const Expr& atom) const;
  void add(const Linear& other, std::int64_t times = 1);
  void add_term(const Expr& atom, std::int64_t coefficient);
};
/// The linear form of an integer expression; `c * (x // c) + x % c` becomes `x`.
Linear linear_of(const Expr& e);
Expr to_expr(const Linear& form);
/// The expression rebuilt from its linear form, nested min, max and select included.
Expr normalise(const Expr& e);

/// A variable that runs over [min, min + extent). The extent may use variables that stand before
/// it.
struct LoopRange {
  Expr var, min, extent;
};
/// Loops from the outermost inwards.
using LoopRanges = std::vector<LoopRange>;

/// The smallest and largest value of an expression; null where unknown.
struct Bounds {
  Expr min, max;
  bool known() const { return min && max; }
};
/// The interval of `e` while the variables of `free` run; every other variable stays in the result.
Bounds bounds_of(const Expr& e, const LoopRanges& free);

/// What is known about variables when something is to be proved.
struct Facts {
  LoopRanges loops;             ///< outermost first
  std::vector<Symbol> symbols;  ///< of the function
};
/// Whether `e >= 0` holds for all values of the loop variables and symbols. False means "not
/// proved".
bool prove_not_negative(const Expr& e, const Facts& facts);
/// Whether both always have the same value. False means "not proved".
bool prove_equal(const Expr& a, const Expr& b, const Facts& facts);
/// Whether two lists of extents have the same product. False means "not proved".
bool have_equal_products(const std::vector<Expr>& a, const std::vector<Expr>& b);
/// Whether `e` is a multiple of `factor` for all values of the symbols.
bool prove_divisible(const Expr& e, std::int64_t factor, const std::vector<Symbol>& symbols);

}  // namespace tenon
