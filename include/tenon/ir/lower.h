#pragma once

/// Lowering: from a block function, scheduled or not, to flat loop IR.

#include "tenon/ir/function.h"

namespace tenon {

struct LowerOptions {
  bool verify = true;       ///< run the level's verifier after every pass
  bool expand_math = true;  ///< replace calls of float functions by arithmetic
};

/// The function at Level::kLoop: no blocks, one-dimensional accesses, vector expressions; same
/// parameters, same results. The list of passes stands in src/ir/lower.cpp. With
/// TENON_PRINT_IR=after:<pass> (or after:all) in the environment the function is printed to stderr
/// after that pass, with its time. A function that is at loop level already is returned as it is.
Function lower(const Function& f, const LowerOptions& options = {});

}  // namespace tenon
