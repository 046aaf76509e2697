#pragma once

/// Which functions are well-formed: one set of rules per level, each with a name.
///
/// The verifier runs after every pass in debug builds and in all tests; what it finds is a mistake
/// of the compiler (or of a hand-written text). It proves what is decidable: a rule about all
/// iterations is checked on the values that the loops really take where their ranges are constant
/// and small, and not at all where they are symbolic and nothing can be proved. The rules are
/// listed in docs/design/text.md.

#include <string>
#include <vector>

#include "tenon/ir/function.h"

namespace tenon {

/// One broken rule.
struct Violation {
  std::string rule;     ///< its name, such as "scope" or "binding"
  std::string message;  ///< what is wrong, with names and values
  Stmt where;           ///< the innermost statement; null for the head of the function
};

/// The rules that `f` breaks, in reading order (at most 20). Empty for a well-formed function.
/// Device IR has no rules of its own yet and is held to those of loop IR.
std::vector<Violation> find_violations(const Function& f);

/// A function that breaks a rule of its level [E9998]: a mistake of a pass, a primitive or a
/// hand-written text.
class VerifyError : public InternalError {
  using InternalError::InternalError;
};

/// Raises VerifyError unless `f` is well-formed at its level. The message names the first broken
/// rule and shows the program around it; `after` says what made the function ("pass 'flatten'"),
/// and may be empty.
void verify(const Function& f, const std::string& after = "");
/// The same for what lowering makes, without the rules that a schedule can break: code generation
/// refuses that in the user's words. They are host, mixed, memory and launch_limit.
void verify_lowered(const Function& f, const std::string& after = "");
/// The same as `verify`, and the level must be the one named.
void verify_block_ir(const Function& f, const std::string& after = "");
void verify_loop_ir(const Function& f, const std::string& after = "");
/// For what passes make on the way from block to loop IR: only the rules that hold at all levels.
void verify_between_levels(const Function& f, const std::string& after = "");

}  // namespace tenon
