#include <algorithm>

#include "schedule/dependence.h"
#include "schedule/placement.h"
#include "schedule/rewrite.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

/// What is to be divided.
struct Reduction {
  Path path;
  const BlockNode* block;
  const StoreNode* store;
  Reducer reducer;
  std::vector<const ForNode*> loops;  ///< that run over the reduction, outermost first
  const ForNode* factored;
};

bool uses(const Expr& e, const Expr& v) {
  return uses_var(e, [&](const VarNode& x) { return &x == v.get(); });
}

Reduction check(Step& step, const LoopRef& loop_ref) {
  const Path loop_path = step.path_to(loop_ref);
  const auto* loop = loop_path.back().as<ForNode>();
  const std::vector<const BlockNode*> blocks = blocks_under(loop->body);
  TENON_REQUIRE(step, blocks.size() == 1, 1, ScheduleError, "E0266", "loop '", loop_ref.name(),
                "' holds ", blocks.size(), " blocks and should hold one");
  const BlockNode* block = blocks[0];
  const auto reducer = find_reducer(*block);
  TENON_REQUIRE(step, reducer && block->init && block->init.as<StoreNode>() != nullptr, 1,
                ScheduleError, "E0266", "block '", block->name,
                "' is no sum, product, min or max with an init");
  TENON_REQUIRE(step,
                touches(*block, loop->var, IterKind::kReduction) &&
                    !touches(*block, loop->var, IterKind::kSpatial),
                2, ScheduleError, "E0267", "loop '", loop_ref.name(),
                "' does not run over the reduction of block '", block->name, "' alone");
  Reduction r{
      step.path_to(BlockRef{block->name}), block, block->body.as<StoreNode>(), *reducer, {}, loop};
  for (const ForNode* f : loops_on(r.path)) {
    if (touches(*block, f->var, IterKind::kReduction)) r.loops.push_back(f);
  }
  for (const ForNode* f : r.loops) {
    for (const ForNode* other : loops_on(r.path)) {
      step.blame(f->var);
      TENON_REQUIRE(step, !uses(f->min + f->extent, other->var), 3, ScheduleError, "E0268",
                    "the extent of loop '", LoopRef{f->var}.name(), "' changes with loop '",
                    LoopRef{other->var}.name(), "'");
      TENON_REQUIRE(step, !touches(*block, f->var, IterKind::kSpatial), 3, ScheduleError, "E0268",
                    "loop '", LoopRef{f->var}.name(),
                    "' runs over spatial and reduction iters at once");
    }
  }
  step.blame(loop->var);
  const Stmt& top = r.path[top_level_position(r.path)];
  for (const Access& a : accesses_of(accesses_under(step.root()), r.store->buffer)) {
    TENON_REQUIRE(step, !a.is_write || a.block == block, 5, ScheduleError, "E0226", "block '",
                  a.block->name, "' writes buffer '", r.store->buffer->name, "' too");
  }
  for (const Access& a : accesses_of(accesses_under(top), r.store->buffer)) {
    TENON_REQUIRE(step, a.block == block, 5, ScheduleError, "E0227", "block '", a.block->name,
                  "' reads buffer '", r.store->buffer->name, "' inside the loops of block '",
                  block->name, "'");
  }
  return r;
}

/// `indices` with the factored position put in at `axis`.
std::vector<Expr> with_axis(std::vector<Expr> indices, std::size_t axis, const Expr& position) {
  indices.insert(indices.begin() + static_cast<std::ptrdiff_t>(axis), position);
  return indices;
}

/// The block that sums the terms of one position of the factored loop.
BlockParts partial_block(Step& step, const Reduction& r, const Buffer& partial, std::size_t axis) {
  BlockParts parts = parts_of(*r.block);
  parts.iters.clear();
  parts.bindings.clear();
  VarMap to_iters,
      terms;  // reduction loops to the new iters, then the old reduction iters to their values
  Expr position;
  for (std::size_t i = 0; i < r.block->iters.size(); ++i) {
    if (r.block->iters[i].kind == IterKind::kReduction) continue;
    parts.iters.push_back(r.block->iters[i]);
    parts.bindings.push_back(r.block->bindings[i]);
  }
  for (const bool spatial : {true, false}) {
    for (const ForNode* f : r.loops) {
      if ((f == r.factored) != spatial) continue;
      const Expr v = var(LoopRef{f->var}.name());
      if (spatial) position = v;
      to_iters[f->var.get()] = v;
      parts.iters.push_back(
          {v, {f->min, f->extent}, spatial ? IterKind::kSpatial : IterKind::kReduction});
      parts.bindings.push_back(f->var);
    }
  }
  for (std::size_t i = 0; i < r.block->iters.size(); ++i) {
    if (r.block->iters[i].kind == IterKind::kReduction)
      terms[r.block->iters[i].var.get()] = substitute(r.block->bindings[i], to_iters);
  }
  const std::vector<Expr> indices = with_axis(r.store->indices, axis, position - r.factored->min);
  // With no other reduction loop each partial result is one term, joined with the initial value at
  // once.
  const Expr initial = r.block->init.as<StoreNode>()->value;
  const Expr accumulator = r.loops.size() == 1 ? initial : load(partial, indices);
  const auto moved = [&](const Expr& e) {
    return rewrite_exprs(substitute(e, terms), [&](const Expr& x) -> Expr {
      const auto* l = x.as<LoadNode>();
      return l != nullptr && l->buffer.same_as(r.store->buffer) ? accumulator : Expr();
    });
  };
  Expr value = moved(r.store->value);
  const std::vector<Expr> conditions = conjuncts_of(r.block->predicate);
  parts.predicate = nullptr;
  for (const Expr& c : conditions) {
    const bool of_reduction = std::any_of(r.loops.begin(), r.loops.end(),
                                          [&](const ForNode* f) { return uses(c, f->var); });
    if (!of_reduction) {
      parts.predicate = and_predicate(parts.predicate, c);
      continue;
    }
    for (const ForNode* f : loops_on(r.path)) {
      TENON_REQUIRE(step, to_iters.count(f->var.get()) != 0 || !uses(c, f->var), 3, ScheduleError,
                    "E0268", "a condition of block '", r.block->name,
                    "' mixes spatial and reduction loops");
    }
    value = select(substitute(c, to_iters), value, accumulator);
  }
  parts.body = store(partial, indices, value);
  parts.init = r.loops.size() == 1 ? nullptr : store(partial, indices, initial);
  return parts;
}

/// The block that joins the partial results, in fresh loops.
Stmt joining_nest(Step& step, const Reduction& r, const Buffer& partial, std::size_t axis) {
  BlockParts parts = parts_of(*r.block);
  std::vector<Range> ranges;
  parts.iters.clear();
  parts.bindings.clear();
  for (const IterVar& i : r.block->iters) {
    if (i.kind != IterKind::kReduction) parts.iters.push_back(i);
  }
  const Expr position = var(LoopRef{r.factored->var}.name());
  parts.iters.push_back({position, {imm(0), r.factored->extent}, IterKind::kReduction});
  for (const IterVar& i : parts.iters) {
    parts.bindings.push_back(i.var);
    ranges.push_back(i.domain);
  }
  const Expr before = load(r.store->buffer, r.store->indices);
  const Expr term = load(partial, with_axis(r.store->indices, axis, position));
  parts.predicate = nullptr;
  parts.body =
      store(r.store->buffer, r.store->indices, binary(combiner(r.reducer.op), before, term));
  const Stmt block = fresh_definitions(make_block(std::move(parts)));
  return nest_over(*block.as<BlockNode>(), ranges, step.facts({}));
}

ScheduleValue apply(Step& step) {
  const auto& loop_ref = step.argument<LoopRef>(0);
  std::int64_t axis = step.argument<std::int64_t>(1);
  const Reduction r = check(step, loop_ref);
  const Buffer buffer = r.store->buffer;
  const auto rank = static_cast<std::int64_t>(buffer->shape.size());
  TENON_REQUIRE(step, axis >= -rank - 1 && axis <= rank, 4, ScheduleError, "E0269", "axis = ", axis,
                " for buffer '", buffer->name, "' of rank ", rank, " should be from ", -rank - 1,
                " to ", rank);
  if (axis < 0) axis += rank + 1;
  const auto at = static_cast<std::size_t>(axis);
  const Buffer partial = make_buffer(step.fresh_buffer_name(buffer->name + "_rf"), buffer->dtype,
                                     with_axis(buffer->shape, at, r.factored->extent));
  const std::string block_name = r.block->name;
  BlockParts parts = partial_block(step, r, partial, at);
  parts.name = step.fresh_block_name(block_name + "_rf");
  const std::string name = parts.name;
  const Stmt joining = joining_nest(step, r, partial, at);
  if (r.reducer.order_matters()) step.mark_reassociates();
  const std::size_t top = top_level_position(r.path);
  step.set_root(replace_at(r.path, fresh_definitions(make_block(std::move(parts)))));
  const Path updated = path_up_to(step.path_to(BlockRef{name}), top);
  step.set_root(replace_at(updated, make_seq({updated.back(), joining})));
  step.allocate(partial);
  return BlockRef{name};
}

}  // namespace

extern const Primitive kRfactor;
const Primitive kRfactor = {
    "rfactor",
    "Divides a reduction over one of its loops into partial results, which the block then joins.",
    {{"loop", ParameterKind::kLoop}, {"axis", ParameterKind::kInteger, "0", true}},
    {"one block is under the loop, a sum, product, min or max with an init",
     "the loop runs over its reduction only",
     "the extents of its reduction loops change with no other loop, and no loop or condition mixes "
     "reduction and spatial iters",
     "the axis is one of the new buffer's",
     "no other block writes the block's buffer, and none reads it inside the block's loops"},
    ResultKind::kBlock,
    apply};

}  // namespace tenon
