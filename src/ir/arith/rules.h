#pragma once

/// The table of rewrite rules, and the matcher that applies them.
///
/// **The language.** Patterns, results and conditions are text in Python's syntax (the z3 test
/// reads the same text): `+ - * // %`, comparisons, `and or not`, `min(x, y)`, `max(x, y)`,
/// `select(p, x, y)`, `abs(x)`. Names: `a b c d` match integer constants, `p q r` bools, all others
/// any expression of the rule's domain. A sum in a pattern matches a canonical form: `x * c`, `x`
/// unbound, takes all terms whose coefficients c divides; another product takes one term; a last
/// plain name takes what is left (perhaps 0).

#include <functional>
#include <string>
#include <vector>

#include "ir/arith/knowledge.h"

namespace tenon::arith {

enum class Domain : std::uint8_t {
  kIndex,  ///< int64 that does not overflow (see analyzer.h); proved over the unbounded integers
  kWrap,   ///< every integer type, every value
  kBool,
  kFloat,  ///< exact for every value, NaN and zeros of both signs included
};
const char* to_string(Domain domain);

struct Rule {
  const char* name;
  Domain domain;
  const char* pattern;
  const char* result;
  const char* condition;  ///< "" for none
  bool if_shorter;        ///< apply only where the simplified result has fewer nodes
};

/// All rules, in the order in which they are tried.
const std::vector<Rule>& rules();

/// One way in which a rule applies to an expression.
struct Rewrite {
  const Rule* rule;
  Expr result;  ///< not simplified
};

/// The first applicable rule that `accept` accepts; false when none. Operands of `e` are canonical.
bool apply_rules(const Expr& e, Knowledge* knowledge,
                 const std::function<bool(const Rewrite&)>& accept);

}  // namespace tenon::arith
