#pragma once

#include <vector>

#include "tenon/ir/function.h"

namespace tenon::te {

/// `body`, a statement of one block over `iters`, with each load that is not proved to stay within
/// its buffer checked when it runs.
///
/// A load is proved by the domains of the iters, the ranges of the symbols and the conditions of
/// the selects around it. One that is not gets `checked_index` and a predicate, as data-dependent
/// ones have: it gives 0, and the call raises an index error. IndexError [E0603] for a load that
/// always runs and is known to leave its buffer. Loads whose index is checked already stay as they
/// are.
///
/// Tensors keep their plain indices: derivatives solve these, and a checked one is a scatter.
Stmt check_reads(const Stmt& body, const std::vector<IterVar>& iters,
                 const std::vector<Symbol>& symbols);

}  // namespace tenon::te
