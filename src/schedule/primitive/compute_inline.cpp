#include <algorithm>

#include "schedule/dependence.h"
#include "schedule/rewrite.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

/// What an element is: the value over the iters, and the iter of each index.
struct Definition {
  Buffer buffer;
  std::vector<Expr> iters;  ///< one per dimension
  Expr value;
};

Definition check_definition(Step& step, const BlockNode& block) {
  const auto* s = block.body.as<StoreNode>();
  TENON_REQUIRE(step, s != nullptr && !s->predicate, 1, ScheduleError, "E0236", "block '",
                block.name, "' should have one store as its body");
  TENON_REQUIRE(
      step,
      !block.init && !has_kind(block, IterKind::kReduction) && !has_kind(block, IterKind::kOrdered),
      1, ScheduleError, "E0236", "block '", block.name,
      "' is no element-wise block: it has reduction or ordered iters");
  Definition d{s->buffer, {}, s->value};
  TENON_REQUIRE(step, !step.is_parameter(d.buffer), 2, ScheduleError, "E0233", "block '",
                block.name, "' writes the output '", d.buffer->name, "'");
  for (const Expr& index : s->indices) {
    const bool is_iter = std::any_of(block.iters.begin(), block.iters.end(),
                                     [&](const IterVar& i) { return i.var.same_as(index); });
    const bool twice = std::any_of(d.iters.begin(), d.iters.end(),
                                   [&](const Expr& v) { return v.same_as(index); });
    TENON_REQUIRE(step, is_iter && !twice, 3, ScheduleError, "E0237", "an index of buffer '",
                  d.buffer->name, "' in block '", block.name, "' is not an iter of its own");
    d.iters.push_back(index);
  }
  for (const IterVar& i : block.iters) {
    const bool index = std::any_of(d.iters.begin(), d.iters.end(),
                                   [&](const Expr& v) { return v.same_as(i.var); });
    TENON_REQUIRE(step,
                  index || !uses_var(s->value, [&](const VarNode& v) { return &v == i.var.get(); }),
                  3, ScheduleError, "E0237", "iter '", i.var.as<VarNode>()->name, "' of block '",
                  block.name, "' is no index of buffer '", d.buffer->name, "'");
  }
  return d;
}

/// `value` where the predicate (may be null) holds, else 0: what a load gives, and nothing is read.
Expr read_where(const Expr& predicate, const Expr& value) {
  if (!predicate) return value;
  if (const auto* l = value.as<LoadNode>())
    return load(l->buffer, l->indices, and_predicate(predicate, l->predicate));
  return select(predicate, value, zero(value->dtype));
}

Stmt inlined(const Stmt& s, const Definition& d) {
  if (!s) return s;
  return rewrite_exprs(s, [&](const Expr& e) -> Expr {
    const auto* l = e.as<LoadNode>();
    if (l == nullptr || !l->buffer.same_as(d.buffer)) return nullptr;
    VarMap map;
    for (std::size_t i = 0; i < d.iters.size(); ++i) map[d.iters[i].get()] = l->indices[i];
    return read_where(l->predicate, substitute(d.value, map));
  });
}

ScheduleValue apply(Step& step) {
  const auto& block_ref = step.argument<BlockRef>(0);
  const Path path = step.path_to(block_ref);
  const auto* block = path.back().as<BlockNode>();
  const Definition d = check_definition(step, *block);
  for (const Access& a : accesses_of(accesses_under(step.root()), d.buffer)) {
    TENON_REQUIRE(step, !a.is_write || a.block == block, 2, ScheduleError, "E0226", "block '",
                  a.block->name, "' writes buffer '", d.buffer->name, "' too");
  }
  consume_loops_around(step, path, "compute_inline removed block '" + block_ref.name + "'");
  const Stmt without = replace_at(path, nullptr);
  step.set_root(rewrite_blocks(without, [&](const BlockNode& b) -> Stmt {
    BlockParts parts = parts_of(b);
    parts.init = inlined(parts.init, d);
    parts.body = inlined(parts.body, d);
    return parts.body.same_as(b.body) && parts.init.same_as(b.init) ? Stmt(&b)
                                                                    : make_block(std::move(parts));
  }));
  remove_allocation(step, d.buffer);
  return {};
}

}  // namespace

extern const Primitive kComputeInline;
const Primitive kComputeInline = {
    "compute_inline",
    "Replaces every read of what a block makes by the block's expression, and removes the block "
    "and its buffer.",
    {{"block", ParameterKind::kBlock}},
    {"the block's body is one store, without reduction",
     "the buffer is no output, and no other block writes it",
     "each index of the store is an iter of its own, and the value uses no other iter"},
    ResultKind::kNothing,
    apply};

}  // namespace tenon
