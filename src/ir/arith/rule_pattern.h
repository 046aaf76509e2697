#pragma once

/// Reads the text of rules (see rules.h) into expressions over pattern variables.

#include <string>
#include <unordered_map>
#include <vector>

#include "ir/arith/rules.h"

namespace tenon::arith {

/// A rule with its parts as expressions. Pattern variables are ordinary variables whose names tell
/// what they match.
struct CompiledRule {
  const Rule* rule;
  Expr pattern, result, condition;  ///< condition null for none
};

/// Pattern operands are int64 variables in the domains of integers, float32 ones in kFloat; the
/// matcher looks at names, not at these types.
CompiledRule compile(const Rule& rule);

/// `a b c d`: matches integer constants only.
inline bool is_constant_name(const std::string& name) {
  return name.size() == 1 && name[0] >= 'a' && name[0] <= 'd';
}
/// `p q r`: bools.
inline bool is_bool_name(const std::string& name) {
  return name.size() == 1 && name[0] >= 'p' && name[0] <= 'r';
}

}  // namespace tenon::arith
