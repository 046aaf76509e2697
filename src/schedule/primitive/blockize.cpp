#include "schedule/primitive/blockize.h"

#include <algorithm>

#include "schedule/rewrite.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

bool uses_any(const Expr& e, const std::vector<const ForNode*>& loops) {
  return e && uses_var(e, [&](const VarNode& v) {
           return std::any_of(loops.begin(), loops.end(),
                              [&](const ForNode* f) { return f->var.get() == &v; });
         });
}

/// The loops from the one at the end of the path to the block inside.
struct Nest {
  std::vector<const ForNode*> loops;
  const BlockNode* block = nullptr;
};

Nest nest_at(Step& step, const Path& path) {
  Nest nest;
  Stmt s = path.back();
  for (const auto* f = s.as<ForNode>(); f != nullptr; f = s.as<ForNode>()) {
    require_serial(step, *f, 1);
    step.blame(f->var);
    TENON_REQUIRE(step, is_int(f->min, 0) && as_int(f->extent), 3, ScheduleError, "E1268", "loop '",
                  LoopRef{f->var}.name(), "' should run from 0 to a constant");
    nest.loops.push_back(f);
    s = f->body;
  }
  nest.block = s.as<BlockNode>();
  TENON_REQUIRE(step, nest.block != nullptr, 1, ScheduleError, "E0266", "loop '",
                LoopRef{nest.loops.back()->var}.name(), "' holds more than one block");
  return nest;
}

/// A binding as `size * outer + inner`: `inner` runs over 0..size while the loops of the nest do.
struct Division {
  Expr outer, inner;
  std::int64_t size = 1;
};

std::optional<Division> divide(const Expr& binding, const std::vector<const ForNode*>& loops) {
  Linear rest = linear_of(binding);
  std::vector<std::pair<std::int64_t, const ForNode*>> parts;
  for (const ForNode* f : loops) {
    const std::int64_t c = rest.coefficient(f->var);
    if (c == 0) continue;
    parts.emplace_back(c, f);
    rest.add_term(f->var, -c);
  }
  if (uses_any(to_expr(rest), loops)) return std::nullopt;
  std::stable_sort(parts.begin(), parts.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  Division d;
  d.inner = imm(0);
  for (const auto& [c, f] : parts) {
    if (c != d.size) return std::nullopt;
    d.inner = d.inner + f->var * c;
    d.size *= *as_int(f->extent);
  }
  Linear outer;
  if (rest.constant % d.size != 0) return std::nullopt;
  outer.constant = rest.constant / d.size;
  for (const auto& [atom, c] : rest.terms) {
    if (c % d.size != 0) return std::nullopt;
    outer.add_term(atom, c / d.size);
  }
  d.outer = to_expr(outer);
  return d;
}

Stmt blockized(Step& step, const Nest& nest) {
  BlockParts parts = parts_of(*nest.block);
  VarMap map;
  for (std::size_t t = 0; t < parts.iters.size(); ++t) {
    IterVar& iter = parts.iters[t];
    if (!uses_any(parts.bindings[t], nest.loops)) continue;
    const std::string name = iter.var.as<VarNode>()->name;
    const auto division = divide(parts.bindings[t], nest.loops);
    const bool whole =
        division && as_int(iter.domain.min) && *as_int(iter.domain.min) % division->size == 0 &&
        prove_divisible(iter.domain.extent, division->size, step.function()->symbols);
    TENON_REQUIRE(step, whole, 4, ScheduleError, "E1269", "iter '", name, "' of block '",
                  nest.block->name, "' does not run over whole tiles of the nest");
    const Expr outer = var(name);
    map[iter.var.get()] = outer * division->size + division->inner;
    const Range domain = {floordiv(iter.domain.min, imm(division->size)),
                          normalise(floordiv(iter.domain.extent, imm(division->size)))};
    iter = {outer, domain, iter.kind};
    parts.bindings[t] = division->outer;
  }
  Stmt body = substitute(parts.body, map);
  for (std::size_t i = nest.loops.size(); i-- > 0;)
    body = make_for(nest.loops[i]->var, imm(0), nest.loops[i]->extent, body);
  parts.body = fresh_definitions(body);
  return make_block(std::move(parts));
}

ScheduleValue apply(Step& step) { return blockize_loop(step, step.argument<LoopRef>(0)); }

}  // namespace

BlockRef blockize_loop(Step& step, const LoopRef& loop) {
  const Path path = step.path_to(loop);
  const Nest nest = nest_at(step, path);
  step.blame(loop.var);
  step.suggest("decompose_reduction(\"" + nest.block->name + "\", ...) moves it out");
  TENON_REQUIRE(step, !nest.block->init, 2, ScheduleError, "E1267", "block '", nest.block->name,
                "' still holds its init");
  step.suggest("");
  step.suggest("split by factors that divide the extent");
  TENON_REQUIRE(step, !uses_any(nest.block->predicate, nest.loops), 4, ScheduleError, "E1269",
                "a condition of block '", nest.block->name, "' uses loops of the nest");
  const Stmt block = blockized(step, nest);
  const std::string name = nest.block->name;
  for (const ForNode* f : nest.loops)
    step.consume({f->var}, "it is a part of block '" + name + "' now");
  step.set_root(replace_at(path, block));
  step.suggest("");
  return BlockRef{name};
}

const Primitive kBlockize = {
    "blockize",
    "Makes a nest of loops the body of the block inside, which then runs once for each tile.",
    {{"loop", ParameterKind::kLoop}},
    {"the loop and those inside are serial and hold one block, each being the whole body of the "
     "one "
     "before",
     "the block has no init", "the loops run from 0 to a constant",
     "each iter runs over whole tiles of the nest, and no condition uses its loops"},
    ResultKind::kBlock,
    apply};

}  // namespace tenon
