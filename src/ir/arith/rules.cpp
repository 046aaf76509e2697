#include "ir/arith/rules.h"

namespace tenon::arith {

const char* to_string(Domain domain) {
  constexpr const char* kText[] = {"index", "wrap", "bool", "float"};
  return kText[static_cast<std::size_t>(domain)];
}

const std::vector<Rule>& rules() {
  using enum Domain;
  constexpr bool kAlways = false, kIfShorter = true;
  static const std::vector<Rule> table = {
      // Division and remainder by a constant.
      {"div_of_small", kIndex, "x // c", "0", "c > 0 and 0 <= x and x < c", kAlways},
      {"mod_of_small", kIndex, "x % c", "x", "c > 0 and 0 <= x and x < c", kAlways},
      {"mod_of_multiple", kIndex, "x % c", "0", "x % c == 0", kAlways},
      {"div_splits_multiple", kIndex, "(x * c + y) // c", "x + y // c", "c > 0", kAlways},
      {"mod_drops_multiple", kIndex, "(x * c + y) % c", "y % c", "c > 0", kAlways},
      {"div_of_div", kIndex, "(x // c) // d", "x // (c * d)", "c > 0 and d > 0", kAlways},
      {"mod_of_mod", kIndex, "(x % c) % d", "x % d", "c > 0 and d > 0 and c % d == 0", kAlways},
      {"div_drops_small_rest", kIndex, "(x * c + y) // d", "x // (d // c)",
       "c > 1 and d > 0 and d % c == 0 and 0 <= y and y < c", kAlways},
      {"mod_keeps_small_rest", kIndex, "(x * c + y) % d", "(x % (d // c)) * c + y",
       "c > 1 and d > 0 and d % c == 0 and 0 <= y and y < c", kAlways},
      {"div_of_mod", kIndex, "(x % c) // d", "(x // d) % (c // d)",
       "d > 0 and c > 0 and c % d == 0", kAlways},
      {"mod_by_divisor_of_div", kIndex, "x // c * a + x % c * b", "x * b", "c != 0 and a == b * c",
       kAlways},
      {"mod_by_divisor_of_div_rest", kIndex, "x // c * a + x % c * b + z", "x * b + z",
       "c != 0 and a == b * c", kAlways},
      {"join_nested_mods", kIndex, "(x // c) % d * a + x % c * b + z", "x % (c * d) * b + z",
       "c > 0 and d > 0 and a == b * c", kAlways},
      {"div_times_divisor", kIndex, "x // c * a", "x * (a // c)",
       "c > 0 and a % c == 0 and x % c == 0", kAlways},
      {"div_times_divisor_rest", kIndex, "x // c * a + z", "x * (a // c) + z",
       "c > 0 and a % c == 0 and x % c == 0", kAlways},
      {"minus_rounded_down", kIndex, "x // c * a + z", "z + x * (a // c) - x % c * (a // c)",
       "c > 0 and a % c == 0", kIfShorter},
      // Division and remainder by an expression.
      {"div_of_small_by_expr", kIndex, "x // y", "0", "0 <= x and x < y", kAlways},
      {"mod_of_small_by_expr", kIndex, "x % y", "x", "0 <= x and x < y", kAlways},
      {"div_by_itself", kIndex, "x // x", "1", "x != 0", kAlways},
      {"mod_by_itself", kIndex, "x % x", "0", "", kAlways},
      {"div_of_product_by_factor", kIndex, "(x * y) // y", "x", "y != 0", kAlways},
      {"mod_of_product_by_factor", kIndex, "(x * y) % y", "0", "", kAlways},
      {"div_splits_factor", kIndex, "(x * y + z) // y", "x + z // y", "y > 0", kAlways},
      {"mod_drops_factor", kIndex, "(x * y + z) % y", "z % y", "y > 0", kAlways},
      // Minimum and maximum.
      {"min_is_left", kIndex, "min(x, y)", "x", "x <= y", kAlways},
      {"min_is_right", kIndex, "min(x, y)", "y", "y <= x", kAlways},
      {"max_is_left", kIndex, "max(x, y)", "x", "y <= x", kAlways},
      {"max_is_right", kIndex, "max(x, y)", "y", "x <= y", kAlways},
      {"min_of_same", kWrap, "min(x, x)", "x", "", kAlways},
      {"max_of_same", kWrap, "max(x, x)", "x", "", kAlways},
      {"min_absorbs_min", kWrap, "min(min(x, y), x)", "min(x, y)", "", kAlways},
      {"max_absorbs_max", kWrap, "max(max(x, y), x)", "max(x, y)", "", kAlways},
      {"min_absorbs_max", kWrap, "min(max(x, y), x)", "x", "", kAlways},
      {"max_absorbs_min", kWrap, "max(min(x, y), x)", "x", "", kAlways},
      {"min_of_min_left", kIndex, "min(min(x, y), z)", "min(y, z)", "z <= x", kAlways},
      {"min_of_min_right", kIndex, "min(min(x, y), z)", "min(x, z)", "z <= y", kAlways},
      {"max_of_max_left", kIndex, "max(max(x, y), z)", "max(y, z)", "x <= z", kAlways},
      {"max_of_max_right", kIndex, "max(max(x, y), z)", "max(x, z)", "y <= z", kAlways},
      {"min_of_multiples", kIndex, "min(x * c, y * c)", "min(x, y) * c", "c > 1", kIfShorter},
      {"max_of_multiples", kIndex, "max(x * c, y * c)", "max(x, y) * c", "c > 1", kIfShorter},
      {"min_plus", kIndex, "min(x, y) + z", "min(x + z, y + z)", "", kIfShorter},
      {"max_plus", kIndex, "max(x, y) + z", "max(x + z, y + z)", "", kIfShorter},
      {"minus_min", kIndex, "min(x, y) * -1 + z", "max(z - x, z - y)", "", kIfShorter},
      {"minus_max", kIndex, "max(x, y) * -1 + z", "min(z - x, z - y)", "", kIfShorter},
      {"min_plus_max", kWrap, "min(x, y) + max(x, y)", "x + y", "", kAlways},
      // Selection.
      {"select_of_same", kWrap, "select(p, x, x)", "x", "", kAlways},
      {"select_not", kWrap, "select(not p, x, y)", "select(p, y, x)", "", kAlways},
      {"select_of_select_true", kWrap, "select(p, select(p, x, y), z)", "select(p, x, z)", "",
       kAlways},
      {"select_of_select_false", kWrap, "select(p, x, select(p, y, z))", "select(p, x, z)", "",
       kAlways},
      {"select_is_condition", kBool, "select(p, True, False)", "p", "", kAlways},
      {"select_is_negation", kBool, "select(p, False, True)", "not p", "", kAlways},
      {"select_of_same_float", kFloat, "select(p, x, x)", "x", "", kAlways},
      {"select_not_float", kFloat, "select(not p, x, y)", "select(p, y, x)", "", kAlways},
      {"select_of_select_true_float", kFloat, "select(p, select(p, x, y), z)", "select(p, x, z)",
       "", kAlways},
      {"select_of_select_false_float", kFloat, "select(p, x, select(p, y, z))", "select(p, x, z)",
       "", kAlways},
      // Integers of every width.
      {"minus_itself", kWrap, "x - x", "0", "", kAlways},
      {"equal_to_itself", kWrap, "x == x", "True", "", kAlways},
      {"differs_from_itself", kWrap, "x != x", "False", "", kAlways},
      {"less_than_itself", kWrap, "x < x", "False", "", kAlways},
      {"at_most_itself", kWrap, "x <= x", "True", "", kAlways},
      {"greater_than_itself", kWrap, "x > x", "False", "", kAlways},
      {"at_least_itself", kWrap, "x >= x", "True", "", kAlways},
      {"negated_negation", kWrap, "-(-x)", "x", "", kAlways},
      {"not_less", kWrap, "not (x < y)", "y <= x", "", kAlways},
      {"not_at_most", kWrap, "not (x <= y)", "y < x", "", kAlways},
      {"not_greater", kWrap, "not (x > y)", "x <= y", "", kAlways},
      {"not_at_least", kWrap, "not (x >= y)", "x < y", "", kAlways},
      {"not_equal", kWrap, "not (x == y)", "x != y", "", kAlways},
      {"not_different", kWrap, "not (x != y)", "x == y", "", kAlways},
      // Bools.
      {"not_not", kBool, "not (not p)", "p", "", kAlways},
      {"and_of_same", kBool, "p and p", "p", "", kAlways},
      {"or_of_same", kBool, "p or p", "p", "", kAlways},
      {"and_again", kBool, "(p and q) and q", "p and q", "", kAlways},
      {"or_again", kBool, "(p or q) or q", "p or q", "", kAlways},
      {"and_absorbs_or", kBool, "p and (p or q)", "p", "", kAlways},
      {"or_absorbs_and", kBool, "p or (p and q)", "p", "", kAlways},
      // Floats: only what keeps every bit.
      {"negated_negation_float", kFloat, "-(-x)", "x", "", kAlways},
      {"abs_of_negation", kFloat, "abs(-x)", "abs(x)", "", kAlways},
      {"abs_of_abs", kFloat, "abs(abs(x))", "abs(x)", "", kAlways},
      {"different_float", kFloat, "not (x == y)", "x != y", "", kAlways},
      {"equal_float", kFloat, "not (x != y)", "x == y", "", kAlways},
  };
  return table;
}

}  // namespace tenon::arith
