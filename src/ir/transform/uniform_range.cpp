#include "ir/transform/uniform_range.h"

#include "ir/transform/conditions.h"
#include "tenon/ir/builder.h"

namespace tenon {

Stmt with_uniform_range(const ForNode& n, const std::vector<Expr>& coordinates,
                        Analyzer* analyzer) {
  if (reads_memory(n.min) || reads_memory(n.extent)) return nullptr;
  const Expr end = n.min + n.extent;
  const Expr first = analyzer->symbolic_bounds(n.min, coordinates).min;
  const Expr last = analyzer->symbolic_bounds(end, coordinates).max;
  if (!first || !last) return nullptr;
  Expr own = lt(n.var, end);
  if (!first.same_as(n.min)) own = logical_and(le(n.min, n.var), own);
  const SpanScope span(n.span);
  return make_for(n.var, first, analyzer->simplify(last - first), make_if(own, n.body), n.attrs);
}

}  // namespace tenon
