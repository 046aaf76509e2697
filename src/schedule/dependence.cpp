#include "schedule/dependence.h"

#include <algorithm>
#include <numeric>

#include "tenon/ir/builder.h"
#include "tenon/ir/structural.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

void collect(const Stmt& s, std::vector<const ForNode*>* loops, std::vector<Access>* out) {
  if (const auto* f = s.as<ForNode>()) {
    loops->push_back(f);
    collect(f->body, loops, out);
    loops->pop_back();
  } else if (const auto* seq = s.as<SeqNode>()) {
    for (const Stmt& child : seq->stmts) collect(child, loops, out);
  } else if (const auto* a = s.as<AllocateNode>()) {
    collect(a->body, loops, out);
  } else if (const auto* branch = s.as<IfNode>()) {
    collect(branch->then_case, loops, out);
    if (branch->else_case) collect(branch->else_case, loops, out);
  } else if (const auto* l = s.as<LetStmtNode>()) {
    collect(l->body, loops, out);
  } else if (const auto* b = s.as<BlockNode>()) {
    VarMap map;
    for (std::size_t i = 0; i < b->iters.size(); ++i) map[b->iters[i].var.get()] = b->bindings[i];
    for (const bool is_write : {false, true}) {
      for (const BufferRegion& r : is_write ? b->writes : b->reads) {
        Access access{b, r.buffer, is_write, {}, *loops};
        for (const Range& range : r.ranges) {
          access.ranges.push_back({substitute(range.min, map), substitute(range.extent, map)});
        }
        out->push_back(std::move(access));
      }
    }
  }
}

/// The atom `x op e` that an index is, plus anything else.
const BinaryNode* atom_of(const Range& r, BinaryOp op) {
  if (!is_int(r.extent, 1)) return nullptr;
  for (const auto& [atom, c] : linear_of(r.min).terms) {
    const auto* b = atom.as<BinaryNode>();
    if (c == 1 && b != nullptr && b->op == op) return b;
  }
  return nullptr;
}

/// Joins dimensions indexed by `a + x // e` and, later, `b + x % e` into one indexed by
/// `a * e + b + x`: where the joined indices differ, the pairs do.
std::vector<Range> join_fused(const std::vector<Range>& ranges) {
  std::vector<Range> out;
  for (const Range& r : ranges) {
    const BinaryNode* mod = atom_of(r, BinaryOp::kFloorMod);
    const auto is_quotient = [&](const Range& other) {
      const BinaryNode* div = atom_of(other, BinaryOp::kFloorDiv);
      return div != nullptr && structural_equal(mod->a, div->a) && structural_equal(mod->b, div->b);
    };
    const auto div = mod != nullptr ? std::find_if(out.begin(), out.end(), is_quotient) : out.end();
    if (div != out.end()) {
      div->min = to_expr(linear_of(div->min * mod->b + r.min));
    } else {
      out.push_back(r);
    }
  }
  return out;
}

/// The ranges with loops of one iteration replaced by it.
std::vector<Range> ranges_without_unit_loops(const Access& access) {
  VarMap units;
  for (const ForNode* f : access.loops) {
    if (is_int(f->extent, 1)) units[f->var.get()] = f->min;
  }
  std::vector<Range> out = access.ranges;
  if (units.empty()) return out;
  for (Range& r : out) r.min = normalise(substitute(r.min, units));
  return out;
}

bool contains(const std::vector<Expr>& vars, const Expr& v) {
  return std::any_of(vars.begin(), vars.end(), [&](const Expr& x) { return x.same_as(v); });
}

/// The interval of each index while the loops that are not `fixed` run.
std::vector<Bounds> intervals(const Access& access, const std::vector<Range>& ranges,
                              const std::vector<Expr>& fixed) {
  LoopRanges free;
  for (const ForNode* f : access.loops) {
    if (!contains(fixed, f->var)) free.push_back({f->var, f->min, f->extent});
  }
  std::vector<Bounds> out;
  for (const Range& r : ranges) {
    const Bounds low = bounds_of(r.min, free), high = bounds_of(r.min + r.extent - 1, free);
    out.push_back({low.min, high.max});
  }
  return out;
}

Facts facts_about(const Access& access, const std::vector<Symbol>& symbols) {
  return {ranges_of(access.loops), symbols};
}

}  // namespace

std::vector<Access> accesses_under(const Stmt& s, const std::vector<const ForNode*>& outer) {
  std::vector<Access> out;
  std::vector<const ForNode*> loops = outer;
  collect(s, &loops, &out);
  return out;
}

std::vector<Access> accesses_of(const std::vector<Access>& all, const Buffer& buffer) {
  std::vector<Access> out;
  for (const Access& a : all) {
    if (a.buffer.same_as(buffer)) out.push_back(a);
  }
  return out;
}

namespace {

bool is_load_of(const Expr& e, const StoreNode& s) {
  const auto* l = e.as<LoadNode>();
  if (l == nullptr || !l->buffer.same_as(s.buffer) || l->indices.size() != s.indices.size())
    return false;
  for (std::size_t d = 0; d < s.indices.size(); ++d) {
    if (!structural_equal(l->indices[d], s.indices[d])) return false;
  }
  return true;
}

std::optional<ReduceOp> op_of(const Expr& value, const StoreNode& s) {
  if (const auto* f = value.as<FmaNode>(); f != nullptr && is_load_of(f->c, s))
    return ReduceOp::kSum;
  if (const auto* select = value.as<SelectNode>()) {
    if (is_load_of(select->false_value, s)) return op_of(select->true_value, s);
    if (is_load_of(select->true_value, s)) return op_of(select->false_value, s);
    return std::nullopt;
  }
  const auto* b = value.as<BinaryNode>();
  if (b == nullptr || (!is_load_of(b->a, s) && !is_load_of(b->b, s))) return std::nullopt;
  for (const ReduceOp op : {ReduceOp::kSum, ReduceOp::kProd, ReduceOp::kMin, ReduceOp::kMax}) {
    if (combiner(op) == b->op) return op;
  }
  return std::nullopt;
}

}  // namespace

std::optional<Reducer> find_reducer(const BlockNode& block) {
  const auto* s = block.body.as<StoreNode>();
  if (s == nullptr) return std::nullopt;
  const auto op = op_of(s->value, *s);
  if (!op) return std::nullopt;
  return Reducer{*op, s->buffer->dtype};
}

bool touches(const BlockNode& block, const Expr& loop_var, IterKind kind) {
  for (std::size_t i = 0; i < block.iters.size(); ++i) {
    if (block.iters[i].kind != kind) continue;
    if (uses_var(block.bindings[i], [&](const VarNode& v) { return &v == loop_var.get(); }))
      return true;
  }
  return false;
}

bool has_kind(const BlockNode& block, IterKind kind) {
  return std::any_of(block.iters.begin(), block.iters.end(),
                     [&](const IterVar& i) { return i.kind == kind; });
}

bool touches_distinct_elements(const ForNode& loop, const std::vector<Access>& accesses,
                               const std::vector<Expr>& fixed, const std::vector<Symbol>& symbols) {
  if (accesses.empty()) return true;
  std::vector<Expr> still = fixed;
  still.push_back(loop.var);
  std::vector<std::vector<Bounds>> regions;
  for (const Access& a : accesses) {
    regions.push_back(intervals(a, join_fused(ranges_without_unit_loops(a)), still));
  }
  const VarMap next = {{loop.var.get(), loop.var + 1}};
  // Iteration v ends before iteration v + 1 begins, in one dimension and for every pair of
  // accesses.
  const auto separates = [&](std::size_t d, std::size_t a, std::size_t b) {
    if (d >= regions[a].size() || d >= regions[b].size()) return false;
    const Bounds& here = regions[a][d];
    const Bounds& there = regions[b][d];
    if (!here.known() || !there.known()) return false;
    const Expr gap = substitute(there.min, next) - here.max - 1;
    return prove_not_negative(gap, facts_about(accesses[a], symbols));
  };
  for (std::size_t d = 0; d < regions[0].size(); ++d) {
    bool all = true;
    for (std::size_t a = 0; a < accesses.size() && all; ++a) {
      for (std::size_t b = 0; b < accesses.size() && all; ++b) all = separates(d, a, b);
    }
    if (all) return true;
  }
  return false;
}

namespace {

/// An index as `step * v + multiples of period + base`, base being the same for all iterations of
/// the loops that run.
struct Comb {
  std::int64_t step = 0, period = 0;
  Linear base;
};

std::optional<Comb> comb_of(const Expr& index, const ForNode& loop, const Access& access,
                            const std::vector<Expr>& fixed) {
  Comb comb;
  const auto runs = [&](const VarNode& v) {
    return std::any_of(access.loops.begin(), access.loops.end(), [&](const ForNode* f) {
      return f->var.get() == &v && f != &loop && !f->var.same_as(loop.var) &&
             !contains(fixed, f->var);
    });
  };
  const Linear form = linear_of(index);
  comb.base.constant = form.constant;
  for (const auto& [atom, c] : form.terms) {
    const auto* v = atom.as<VarNode>();
    if (atom.same_as(loop.var)) {
      comb.step += c;
    } else if (v != nullptr && runs(*v)) {
      comb.period = std::gcd(comb.period, c);
    } else if (uses_var(atom, [&](const VarNode& x) { return &x == loop.var.get() || runs(x); })) {
      return std::nullopt;
    } else {
      comb.base.add_term(atom, c);
    }
  }
  return comb;
}

}  // namespace

bool touches_interleaved_elements(const ForNode& loop, const std::vector<Access>& accesses,
                                  const std::vector<Expr>& fixed) {
  const auto extent = as_int(loop.extent);
  if (accesses.empty() || !extent) return false;
  for (std::size_t d = 0; d < accesses[0].ranges.size(); ++d) {
    std::vector<Comb> combs;
    std::int64_t period = 0, low = 0, high = 0;
    bool all = true;
    for (const Access& a : accesses) {
      const auto width = as_int(a.ranges[d].extent);
      const auto comb = comb_of(a.ranges[d].min, loop, a, fixed);
      if (!(all = width && comb && comb->step > 0)) break;
      combs.push_back(*comb);
      Linear offset = comb->base;
      offset.add(combs[0].base, -1);
      if (!(all = comb->step == combs[0].step && offset.terms.empty())) break;
      period = std::gcd(period, comb->period);
      low = std::min(low, offset.constant);
      high = std::max(high, offset.constant + *width - 1);
    }
    if (!all || high - low >= combs[0].step) continue;
    if (period == 0 || combs[0].step * *extent <= period) return true;
  }
  return false;
}

std::vector<Expr> vars_of(const std::vector<const ForNode*>& loops) {
  std::vector<Expr> vars;
  for (const ForNode* f : loops) vars.push_back(f->var);
  return vars;
}

namespace {

bool uses_loop(const Access& access, const Expr& v) {
  return std::any_of(access.ranges.begin(), access.ranges.end(), [&](const Range& r) {
    return uses_var(r.min, [&](const VarNode& x) { return &x == v.get(); });
  });
}

}  // namespace

std::vector<const ForNode*> overlapping_loops(const std::vector<const ForNode*>& loops,
                                              const std::vector<Access>& accesses,
                                              const std::vector<Expr>& fixed,
                                              const std::vector<Symbol>& symbols) {
  std::vector<const ForNode*> open;
  for (const ForNode* f : loops) {
    if (!is_int(f->extent, 1)) open.push_back(f);
  }
  std::vector<Expr> done = fixed;
  for (bool progress = true; progress && !open.empty();) {
    progress = false;
    for (std::size_t i = open.size(); i-- > 0;) {
      if (!touches_distinct_elements(*open[i], accesses, done, symbols)) continue;
      done.push_back(open[i]->var);
      open.erase(open.begin() + static_cast<std::ptrdiff_t>(i));
      progress = true;
    }
  }
  return open;
}

std::vector<Expr> conjuncts_of(const Expr& predicate) {
  if (!predicate) return {};
  const auto* b = predicate.as<BinaryNode>();
  if (b == nullptr || b->op != BinaryOp::kAnd) return {predicate};
  std::vector<Expr> all = conjuncts_of(b->a);
  for (const Expr& c : conjuncts_of(b->b)) all.push_back(c);
  return all;
}

namespace {

bool is_zero(const Expr& difference) {
  const Linear form = linear_of(difference);
  return form.terms.empty() && form.constant == 0;
}

/// Whether the condition only keeps an iter inside its domain.
bool is_domain_condition(const Expr& condition, const BlockNode& block) {
  const auto* c = condition.as<BinaryNode>();
  if (c == nullptr) return false;
  for (std::size_t i = 0; i < block.iters.size(); ++i) {
    const Range& domain = block.iters[i].domain;
    const Expr& binding = block.bindings[i];
    if (c->op == BinaryOp::kLt && is_zero((c->a - c->b) - (binding - (domain.min + domain.extent))))
      return true;
    if (c->op == BinaryOp::kLe && is_zero((c->a - c->b) - (domain.min - binding))) return true;
  }
  return false;
}

/// Whether the block's only store, in a nest of loops, writes every element of its region: each
/// index is one of those loops plus what the block is given, or without them.
bool writes_whole_region(const BlockNode& block) {
  Stmt s = block.body;
  std::vector<Expr> inner;
  for (const auto* f = s.as<ForNode>(); f != nullptr; f = s.as<ForNode>()) {
    inner.push_back(f->var);
    s = f->body;
  }
  const auto* store = s.as<StoreNode>();
  if (store == nullptr || store->predicate) return false;
  std::vector<Expr> seen;
  for (const Expr& e : store->indices) {
    Linear form = linear_of(e);
    for (const Expr& v : inner) {
      if (form.coefficient(v) == 0) continue;
      if (form.coefficient(v) != 1 || contains(seen, v)) return false;
      form.add_term(v, -1);
      seen.push_back(v);
      break;
    }
    const Expr rest = to_expr(form);
    if (std::any_of(inner.begin(), inner.end(), [&](const Expr& v) {
          return uses_var(rest, [&](const VarNode& x) { return &x == v.get(); });
        })) {
      return false;
    }
  }
  return true;
}

}  // namespace

bool fills_its_box(const Access& access, const std::vector<Expr>& fixed,
                   const std::vector<Symbol>& symbols) {
  for (const Expr& c : conjuncts_of(access.block->predicate)) {
    if (!is_domain_condition(c, *access.block)) return false;
  }
  std::vector<Expr> iterations, box;
  std::vector<const ForNode*> open;
  if (writes_whole_region(*access.block)) {
    for (const Range& r : access.ranges) iterations.push_back(r.extent);
  }
  for (const ForNode* f : access.loops) {
    if (contains(fixed, f->var) || !uses_loop(access, f->var)) continue;
    iterations.push_back(f->extent);
    open.push_back(f);
  }
  for (const Bounds& b : intervals(access, access.ranges, fixed)) {
    if (!b.known()) return false;
    box.push_back(b.max - b.min + 1);
  }
  if (!have_equal_products(iterations, box)) return false;
  // As many iterations (times elements of each) as elements: dense if no two iterations meet.
  return overlapping_loops(open, {access}, fixed, symbols).empty();
}

bool is_private(const Buffer& buffer, const Stmt& root, const Path& loop_path,
                const std::vector<Symbol>& symbols) {
  const std::vector<const ForNode*> outer = loops_on(loop_path);
  const std::vector<Expr> fixed = vars_of(outer);
  const std::vector<const ForNode*> around(outer.begin(), outer.end() - 1);
  const std::vector<Access> here = accesses_of(accesses_under(loop_path.back(), around), buffer);
  if (here.size() != accesses_of(accesses_under(root), buffer).size()) return false;
  const auto covers = [&](const Access& w, const Access& r) {
    if (!w.is_write || w.block == r.block || !fills_its_box(w, fixed, symbols)) return false;
    const std::vector<Bounds> written = intervals(w, w.ranges, fixed),
                              read = intervals(r, r.ranges, fixed);
    if (written.size() != read.size()) return false;
    const Facts facts = facts_about(r, symbols);
    for (std::size_t d = 0; d < read.size(); ++d) {
      if (!written[d].known() || !read[d].known()) return false;
      if (!prove_not_negative(read[d].min - written[d].min, facts)) return false;
      if (!prove_not_negative(written[d].max - read[d].max, facts)) return false;
    }
    return true;
  };
  return std::all_of(here.begin(), here.end(), [&](const Access& r) {
    if (r.is_write) return true;
    // A reduction's reads of its own accumulator are not reads of something made before.
    const bool accumulates = std::any_of(here.begin(), here.end(), [&](const Access& w) {
      return w.is_write && w.block == r.block;
    });
    return accumulates ||
           std::any_of(here.begin(), here.end(), [&](const Access& w) { return covers(w, r); });
  });
}

}  // namespace tenon
