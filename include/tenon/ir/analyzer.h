#pragma once

/// Integer analysis: what is known about index expressions.
///
/// **What is assumed.** Index arithmetic (int64 over loop variables, iteration variables and
/// symbols) does not overflow: sizes are checked where they enter (at bind, in the plan's integer
/// program), and no index exceeds the byte size of a buffer, so that index values lie far within 64
/// bits and sums of a few of them fit; constants beyond 2^48 are not taken for indices. Values that
/// come from memory or from calls are data: they wrap, and only rules that hold for every 64-bit
/// value, or whose operands have proved bounds, are applied to them. Loads are taken to give the
/// same value within one expression. Floats are never rewritten except by identities that keep
/// every bit.

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "tenon/ir/function.h"

namespace tenon {

/// Inclusive bounds; an absent one is unknown.
struct ConstRange {
  std::optional<std::int64_t> lower, upper;
  /// The only value, if there is one.
  std::optional<std::int64_t> single() const {
    return lower && upper && *lower == *upper ? lower : std::nullopt;
  }
};

/// value = remainder (mod modulus). Modulus 0 means exactly `remainder`; modulus 1 says nothing.
struct Modular {
  std::int64_t modulus = 1;
  std::int64_t remainder = 0;
};

/// Inclusive symbolic bounds; a null one is unknown.
struct Interval {
  Expr min, max;
};

/// coefficient * atom, where the atom is no sum: a variable, `x // c`, `x % c`, `min`, `max`,
/// `select`, a load, a product of such.
struct AffineTerm {
  Expr atom;
  std::int64_t coefficient = 1;
};

/// The canonical form of an integer expression: the sum of the terms, and the constant. Atoms are
/// distinct, coefficients not zero.
struct AffineForm {
  std::vector<AffineTerm> terms;
  std::int64_t constant = 0;
  /// The coefficient of the variable (or any atom, by structure); 0 when it does not occur as a
  /// term of its own.
  std::int64_t coefficient_of(const Expr& atom) const;
};

/// Holds what is known of variables and answers questions. Not thread-safe; cheap to make.
class Analyzer {
 public:
  Analyzer();
  ~Analyzer();
  Analyzer(const Analyzer&) = delete;
  Analyzer& operator=(const Analyzer&) = delete;

  /// `var` lies in [range.min, range.min + range.extent). The range may use variables bound before;
  /// a later bind of the same variable replaces the earlier one.
  void bind(const Expr& var, const Range& range);
  /// The same, but simplify does not replace the variable by its value where the range has one
  /// element.
  void bind_kept(const Expr& var, const Range& range);
  /// `var` has this value.
  void bind_value(const Expr& var, const Expr& value);
  /// `var` has the bounds and divisor of the symbol.
  void bind(const Symbol& symbol);
  /// All symbols of a function.
  void bind_symbols(const Function& f);
  /// The condition (bool; conjunctions are taken apart) holds from now on.
  void assume(const Expr& condition);

  /// Forgets, when it ends, what was bound and assumed while it lived.
  class Scope {
   public:
    explicit Scope(Analyzer* analyzer);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Analyzer* analyzer_;
    std::size_t mark_;
  };

  /// An equal expression in canonical form; the same node when nothing changed.
  /// simplify(simplify(e)) is simplify(e).
  Expr simplify(const Expr& e);
  /// True only if the condition holds for all values of the variables within what is known; false
  /// means "not proved".
  bool can_prove(const Expr& condition);
  /// Whether a == b for all values.
  bool can_prove_equal(const Expr& a, const Expr& b);
  /// Inclusive constant bounds of an integer expression.
  ConstRange const_bounds(const Expr& e);
  /// The residue class of an integer expression.
  Modular modular(const Expr& e);
  /// The canonical affine form of an int64 expression (after simplify).
  AffineForm affine(const Expr& e);
  /// Bounds of `e` over all values of `vars` (bound before with ranges), in terms of the other
  /// variables. Exact for sums in which each variable occurs once; else an enclosure.
  Interval symbolic_bounds(const Expr& e, const std::vector<Expr>& vars);
  /// The same as a range: min, and extent = max - min + 1, both simplified; null members where
  /// unknown.
  Range symbolic_range(const Expr& e, const std::vector<Expr>& vars);

  struct State;  ///< private to src/ir/arith

 private:
  std::unique_ptr<State> state_;
};

}  // namespace tenon
