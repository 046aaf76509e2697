#pragma once

/// Reads the text that print.h writes. The grammar is in docs/design/text.md.
///
/// The text is untrusted: whatever it is, the result is a function or an `ExpressionError` that
/// names line, column and what was expected: [E0120] syntax, [E0121] an unknown name, [E0122]
/// operands or values that do not fit, [E0123] a text that is too long or nested too deeply. That a
/// text parses does not make it a valid program: see verify.h.

#include <string>
#include <string_view>
#include <vector>

#include "tenon/ir/function.h"

namespace tenon {

/// The function that `text` describes; `parse_function(print(f))` is structurally equal to `f`.
/// Nothing is folded or simplified. Every node's span is the line of the text that it stands in, in
/// a file called `file`.
Function parse_function(std::string_view text, const std::string& file = "<text>");

/// What the free names of a text mean.
struct ParseScope {
  std::vector<Expr> vars;
  std::vector<Buffer> buffers;
};
/// One expression over the variables and buffers of `scope`, by their names.
Expr parse_expr(std::string_view text, const ParseScope& scope = {});
/// Statements over the variables and buffers of `scope`; `print(stmt)` reads back.
Stmt parse_stmt(std::string_view text, const ParseScope& scope = {});

}  // namespace tenon
