#include "schedule/placement.h"

#include <algorithm>

#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon {

std::optional<IterIndex> iter_of_index(const BlockNode& block, const Range& index) {
  if (!is_int(index.extent, 1)) return std::nullopt;
  Linear form = linear_of(index.min);
  for (std::size_t i = 0; i < block.iters.size(); ++i) {
    const Expr& v = block.iters[i].var;
    if (form.coefficient(v) != 1) continue;
    form.add_term(v, -1);
    const Expr offset = to_expr(form);
    const bool others = uses_var(offset, [&](const VarNode& x) {
      return std::any_of(block.iters.begin(), block.iters.end(),
                         [&](const IterVar& it) { return it.var.get() == &x; });
    });
    if (others) return std::nullopt;
    return IterIndex{i, offset};
  }
  return std::nullopt;
}

Stmt nest_over(const BlockNode& block, const std::vector<Range>& ranges, const Facts& facts) {
  BlockParts parts = parts_of(block);
  parts.predicate = nullptr;
  std::vector<Expr> vars;
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    const IterVar& iter = block.iters[i];
    vars.push_back(var(iter.var.as<VarNode>()->name));
    parts.bindings[i] = normalise(ranges[i].min + vars[i]);
    const Expr end = iter.domain.min + iter.domain.extent;
    const bool inside_end = prove_not_negative(end - ranges[i].min - ranges[i].extent, facts);
    if (!prove_not_negative(ranges[i].min - iter.domain.min, facts)) {
      parts.predicate = and_predicate(parts.predicate, le(iter.domain.min, parts.bindings[i]));
    }
    if (!inside_end) parts.predicate = and_predicate(parts.predicate, lt(parts.bindings[i], end));
  }
  Stmt s = make_block(std::move(parts));
  for (std::size_t i = vars.size(); i-- > 0;) s = make_for(vars[i], imm(0), ranges[i].extent, s);
  return s;
}

namespace {

/// The interval over the loops of the access that are not fixed.
std::vector<Bounds> region_of(const Access& access, const std::vector<Expr>& fixed) {
  LoopRanges free;
  for (const ForNode* f : access.loops) {
    const bool still =
        std::any_of(fixed.begin(), fixed.end(), [&](const Expr& v) { return v.same_as(f->var); });
    if (!still) free.push_back({f->var, f->min, f->extent});
  }
  std::vector<Bounds> out;
  for (const Range& r : access.ranges) {
    out.push_back({interval_of(r.min, free).min, interval_of(r.min + r.extent - 1, free).max});
  }
  return out;
}

/// The smaller (larger) of two bounds, as one of them where that can be proved.
Expr join(const Expr& a, const Expr& b, bool want_smaller, const Facts& facts) {
  if (!a || !b) return nullptr;
  const Expr difference = want_smaller ? b - a : a - b;
  if (prove_not_negative(difference, facts)) return a;
  if (prove_not_negative(normalise(-difference), facts)) return b;
  return want_smaller ? tenon::min(a, b) : tenon::max(a, b);
}

}  // namespace

std::vector<Range> box_of(const std::vector<Access>& accesses, const std::vector<Expr>& fixed,
                          const Facts& facts) {
  std::vector<Bounds> box;
  for (const Access& a : accesses) {
    const std::vector<Bounds> region = region_of(a, fixed);
    if (box.empty()) {
      box = region;
      continue;
    }
    for (std::size_t d = 0; d < box.size(); ++d) {
      box[d] = {join(box[d].min, region[d].min, true, facts),
                join(box[d].max, region[d].max, false, facts)};
    }
  }
  std::vector<Range> ranges;
  for (const Bounds& i : box) {
    if (!i.known()) {
      ranges.push_back({nullptr, nullptr});
    } else {
      ranges.push_back({normalise(i.min), normalise(i.max - i.min + 1)});
    }
  }
  return ranges;
}

}  // namespace tenon
