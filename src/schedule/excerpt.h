#pragma once

/// The part of a function that an error shows.

#include <string>

#include "tenon/ir/stmt.h"

namespace tenon {

/// The loops and stores of a statement, a line each, four spaces in.
std::string loop_text(const Stmt& s);

/// The outermost loop nest that holds the loop (or block), like loop_text, the culprit marked `<---
/// here`. Empty when neither is in `root`.
std::string excerpt(const Stmt& root, const Expr& loop_var, const std::string& block);

}  // namespace tenon
