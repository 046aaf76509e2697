#pragma once

/// Sums of products with integer coefficients: the canonical form of index arithmetic.

#include <cstdint>
#include <optional>
#include <vector>

#include "tenon/ir/expr.h"

namespace tenon::arith {

/// coefficient * product of factors; factors are no sums, products or constants.
struct Term {
  std::vector<Expr> factors;
  std::int64_t coefficient = 1;
};

/// Terms in order of first appearance, distinct as products; no zero coefficients.
struct Affine {
  std::vector<Term> terms;
  std::int64_t constant = 0;

  bool is_constant() const { return terms.empty(); }
};

/// Structural equality of expressions, fast for the small ones that indices are made of.
bool same_expr(const Expr& a, const Expr& b);
/// Whether the products are equal up to the order of factors.
bool same_product(const Term& a, const Term& b);

/// a + scale * b; none when a coefficient leaves int64.
std::optional<Affine> add(const Affine& a, const Affine& b, std::int64_t scale = 1);
/// a * factor; none on overflow.
std::optional<Affine> scaled(const Affine& a, std::int64_t factor);
/// a * b when the result stays small; none otherwise.
std::optional<Affine> multiply(const Affine& a, const Affine& b);

/// Takes sums, differences, negations and products apart; everything else is an atom. `e` is a
/// scalar int64.
Affine to_affine(const Expr& e);
/// Positive terms first, the constant last: `i * 4 + j - k + 3`. to_affine of it gives the same
/// terms.
Expr to_expr(const Affine& a);
Expr to_expr(const Term& t);

/// The greatest common divisor of the coefficients of the terms (0 without terms).
std::int64_t coefficient_gcd(const Affine& a);

/// Checked arithmetic; none on overflow.
std::optional<std::int64_t> checked_add(std::int64_t a, std::int64_t b);
std::optional<std::int64_t> checked_mul(std::int64_t a, std::int64_t b);
/// Rounds down; b > 0.
std::int64_t div_floor(std::int64_t a, std::int64_t b);

}  // namespace tenon::arith
