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
    out.push_back({bounds_of(r.min, free).min, bounds_of(r.min + r.extent - 1, free).max});
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

std::vector<Range> domain_box(const BlockNode& block, const BufferRegion& region) {
  LoopRanges iters;
  for (const IterVar& i : block.iters) iters.push_back({i.var, i.domain.min, i.domain.extent});
  std::vector<Range> box;
  for (std::size_t d = 0; d < region.ranges.size(); ++d) {
    const Range& r = region.ranges[d];
    const Bounds low = bounds_of(r.min, iters), high = bounds_of(r.min + r.extent - 1, iters);
    const bool known = low.known() && high.known();
    box.push_back(known ? Range{normalise(low.min), normalise(high.max - low.min + 1)}
                        : Range{imm(0), region.buffer->shape[d]});
  }
  return box;
}

bool writes_whole_box(const BlockNode& block, const BufferRegion& region) {
  std::vector<Expr> iterations, elements;
  for (const IterVar& i : block.iters) {
    if (i.kind == IterKind::kSpatial) iterations.push_back(i.domain.extent);
  }
  for (const Range& r : domain_box(block, region)) elements.push_back(r.extent);
  return have_equal_products(iterations, elements);
}

void check_made(Step& step, const BlockNode& block, const BufferRegion& region, int requirement) {
  const Buffer& buffer = region.buffer;
  const std::vector<Buffer>& inputs = step.function()->inputs;
  if (std::any_of(inputs.begin(), inputs.end(), [&](const Buffer& b) { return b.same_as(buffer); }))
    return;
  const std::vector<Range> needed = domain_box(block, region);
  const Facts facts = step.facts({});
  bool made = false;
  for (const BlockNode* b : blocks_under(step.root())) {
    for (const BufferRegion& w : b->writes) {
      if (!w.buffer.same_as(buffer) || !writes_whole_box(*b, w)) continue;
      const std::vector<Range> box = domain_box(*b, w);
      bool covers = true;
      for (std::size_t d = 0; d < box.size() && covers; ++d) {
        covers = prove_not_negative(needed[d].min - box[d].min, facts) &&
                 prove_not_negative(box[d].min + box[d].extent - needed[d].min - needed[d].extent,
                                    facts);
      }
      made |= covers;
    }
  }
  TENON_REQUIRE(step, made, requirement, ScheduleError, "E0275", "not every element of buffer '",
                buffer->name, "' that would be copied for block '", block.name, "' has been made");
}

void check_not_written(Step& step, const Stmt& nest, const std::string& reader,
                       const Buffer& buffer, int requirement) {
  for (const Access& a : accesses_of(accesses_under(nest), buffer)) {
    TENON_REQUIRE(step, !a.is_write, requirement, ScheduleError, "E0261", "block '", a.block->name,
                  "' makes buffer '", buffer->name, "' inside the loops of block '", reader, "'");
  }
}

void make_before(Step& step, const BlockRef& reader, std::size_t top, const Stmt& made,
                 const Buffer& buffer) {
  const Path path = path_up_to(step.path_to(reader), top);
  step.set_root(replace_at(path, make_seq({made, path.back()})));
  step.allocate(buffer);
}

Stmt copy_nest(const std::string& name, const Buffer& from, const Buffer& to,
               const BlockNode& block, const BufferRegion& region) {
  const std::vector<Range> box = domain_box(block, region);
  std::vector<IterVar> iters;
  std::vector<Expr> indices;
  for (std::size_t d = 0; d < box.size(); ++d) {
    const auto index = iter_of_index(block, region.ranges[d]);
    const std::string iter_name =
        index ? block.iters[index->iter].var.as<VarNode>()->name : "ax" + std::to_string(d);
    // A read may ask for more than there is where a condition guards it.
    const Expr low = tenon::max(box[d].min, imm(0));
    const Expr end = tenon::min(box[d].min + box[d].extent, to->shape[d]);
    const bool inside = prove_not_negative(box[d].min, {}) &&
                        prove_not_negative(to->shape[d] - box[d].min - box[d].extent, {});
    const Range domain = inside ? box[d] : Range{normalise(low), normalise(end - low)};
    iters.push_back({var(iter_name), domain, IterKind::kSpatial});
    indices.push_back(iters.back().var);
  }
  std::vector<Range> ranges;
  for (const IterVar& i : iters) ranges.push_back(i.domain);
  const SpanScope scope(block.span);
  const Stmt copy =
      make_block(name, iters, indices, nullptr, nullptr, store(to, indices, load(from, indices)));
  return nest_over(*copy.as<BlockNode>(), ranges, {});
}

}  // namespace tenon
