#pragma once

/// Variants: several schedules of one function, chosen by its symbolic sizes when it is called.
/// docs/design/dynamic_shapes.md.

#include <string>
#include <vector>

#include "tenon/ir/function.h"
#include "tenon/ir/lower.h"

namespace tenon {

/// `f` (block level) for the sizes for which `condition` has the value `holds`: the ranges of its
/// symbols are narrowed by what the condition says of one symbol. Buffers, variables and body are
/// those of `f`.
///
/// A condition is a comparison of a symbol, or of products and sums of symbols, with a constant,
/// or several joined by `and`. ShapeError [E1430] for any other, [E1431] where no size remains.
Function narrowed(const Function& f, const Expr& condition, bool holds);

/// One leaf of the tree.
struct Variant {
  Expr condition;     ///< as `narrowed` takes it; null for the last, which takes what remains
  Function function;  ///< a schedule of `f`, narrowed to the sizes that come here
};

/// The function at Level::kLoop that takes the first variant whose condition holds: each is lowered
/// by itself, with the ranges of its symbols; parameters and symbols are those of lower(f).
///
/// ShapeError [E1432] where there is no variant, a condition is absent before the last or present
/// there, or a variant is no schedule of `f` for its sizes or is bound to the threads of a GPU.
Function lower_variants(const Function& f, const std::vector<Variant>& variants,
                        const LowerOptions& options = {});

}  // namespace tenon
