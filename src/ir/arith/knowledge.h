#pragma once

/// What is known of variables: ranges, residues, facts; and what follows from it.

#include <unordered_map>
#include <vector>

#include "ir/arith/affine.h"
#include "tenon/ir/analyzer.h"

namespace tenon::arith {

struct Binding {
  Expr var;
  Expr lower, upper;  ///< inclusive; null when unknown
  ConstRange constants;
  Modular modular;
  bool is_data = false;  ///< bound to a value that may wrap
  bool keep = false;     ///< stays a variable even where it has one value
  int order = 0;         ///< later binds are more inner
};

class Knowledge {
 public:
  void bind(Binding binding);
  void assume(const Expr& condition);
  const Binding* find(const Expr& var) const;

  std::size_t mark() const { return log_.size(); }
  void rollback(std::size_t mark);
  /// Counts changes; equal versions mean equal knowledge.
  std::uint64_t version() const { return version_; }

  /// Interval arithmetic.
  ConstRange interval(const Expr& e);
  ConstRange interval(const Affine& a);
  /// Interval arithmetic, and elimination of variables, minima, divisions and facts.
  ConstRange bounds(const Affine& a);
  Modular modular(const Expr& e);
  Modular modular(const Affine& a);
  /// Whether a >= 0 for all values.
  bool prove_nonnegative(const Affine& a);
  /// Whether the condition holds for all values. Does not simplify.
  bool prove(const Expr& condition);
  /// Whether evaluating the form in 64 bits gives its mathematical value (see analyzer.h).
  bool is_exact(const Affine& a);
  bool is_exact(const Expr& e) { return is_exact(to_affine(e)); }
  /// Whether `e` comes from memory or a call, so that arithmetic with it may wrap.
  bool has_data(const Expr& e);
  /// The sign of a form: +1 (>= 0 proved), -1 (<= 0 proved), 0 unknown.
  int sign(const Affine& a);

 private:
  struct Undo {
    enum class Sort : std::uint8_t { kBinding, kFact, kCondition } sort;
    std::optional<Binding> previous;
    const ExprNode* var = nullptr;
  };

  ConstRange compute_interval(const Expr& e);
  ConstRange interval_of_binary(const BinaryNode& n, const Expr& e);
  bool compute_has_data(const Expr& e);
  bool prove_comparison(const BinaryNode& n);
  void add_fact(std::optional<Affine> fact);
  void changed();

  std::optional<std::int64_t> lower_bound(const Affine& a, std::int64_t target);
  std::optional<std::int64_t> search_lower(const Affine& a, std::int64_t target, int depth);
  std::optional<std::int64_t> by_cases(const Affine& a, std::int64_t target, int depth);
  std::optional<std::int64_t> by_variable(const Affine& a, std::int64_t target, int depth);
  std::optional<std::int64_t> by_division(const Affine& a, std::int64_t target, int depth);
  std::optional<std::int64_t> by_fact(const Affine& a, std::int64_t target, int depth);

  std::unordered_map<const ExprNode*, Binding> bindings_;
  std::vector<Affine> facts_;
  std::vector<Expr> conditions_;
  std::vector<Undo> log_;
  std::uint64_t version_ = 0;
  int order_ = 0;
  int fuel_ = 0;
  bool searching_ = false;
  std::unordered_map<const ExprNode*, std::pair<Expr, ConstRange>> intervals_;
  std::unordered_map<const ExprNode*, std::pair<Expr, bool>> data_;
};

/// The condition that holds exactly when `condition` does not (comparisons of integers turned
/// around, `and` and `or` swapped).
Expr negated(const Expr& condition);

}  // namespace tenon::arith
