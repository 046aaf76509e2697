#pragma once

/// The IR as text, for people and for parse.h. The grammar is in docs/design/text.md.

#include <string>

#include "tenon/ir/function.h"

namespace tenon {

struct PrintOptions {
  /// A statement, or the variable of a loop, whose first line ends with `<--- here`. Null marks
  /// nothing.
  const Node* mark = nullptr;
  /// Ends each statement's first line with the user's file and line, as a comment.
  bool spans = false;
  /// Columns that every line starts with.
  int indent = 0;
};

/// The function's text, ending with a newline. `parse_function(print(f))` is structurally equal to
/// `f`.
///
/// Names are the IR's own where that is unambiguous; of two visible variables or buffers with one
/// name the later gets a number
/// (`i_1`). A shared expression that is large is written once, as `share t0 = ...`.
std::string print(const Function& f, const PrintOptions& options = {});
/// Statements, one a line, ending with a newline. Free variables and buffers are shown by their
/// names.
std::string print(const Stmt& s, const PrintOptions& options = {});
/// One line without a newline.
std::string print(const Expr& e);
/// "A[0..4, j]".
std::string print(const BufferRegion& region);
/// "A: float32[4, 8]", as in a function's head.
std::string print(const Buffer& buffer);

}  // namespace tenon
