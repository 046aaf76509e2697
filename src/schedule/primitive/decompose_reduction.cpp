#include <algorithm>

#include "schedule/conflict.h"
#include "schedule/dependence.h"
#include "schedule/rewrite.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

bool uses(const Expr& e, const Expr& v) {
  return uses_var(e, [&](const VarNode& x) { return &x == v.get(); });
}

bool uses_any(const Expr& e, const std::vector<const ForNode*>& loops) {
  return std::any_of(loops.begin(), loops.end(), [&](const ForNode* f) { return uses(e, f->var); });
}

/// The loops from position `first` on that the init block needs, and the others.
struct InnerLoops {
  std::vector<const ForNode*> spatial, reduction;
};

InnerLoops divide_loops(Step& step, const BlockNode& block,
                        const std::vector<const ForNode*>& inner) {
  InnerLoops out;
  for (const ForNode* f : inner) {
    const bool reduces = touches(block, f->var, IterKind::kReduction);
    step.blame(f->var);
    TENON_REQUIRE(step, !reduces || !touches(block, f->var, IterKind::kSpatial), 4, ScheduleError,
                  "E0225", "loop '", LoopRef{f->var}.name(),
                  "' runs over spatial and reduction iters of block '", block.name, "' at once");
    (reduces ? out.reduction : out.spatial).push_back(f);
  }
  return out;
}

/// Each element must be begun once for all that is added to it: the loops inside may not come back
/// to it.
void check_once(Step& step, const Path& path, const InnerLoops& inner, const Path& loop_path) {
  const auto* block = path.back().as<BlockNode>();
  const std::vector<Expr> fixed = vars_of(loops_on(Path(loop_path.begin(), loop_path.end() - 1)));
  std::vector<Access> writes = accesses_under(path.back(), loops_on(path));
  std::erase_if(writes, [](const Access& a) { return !a.is_write; });
  for (const ForNode* f :
       overlapping_loops(inner.spatial, writes, fixed, step.function()->symbols)) {
    step.blame(f->var);
    step.show(find_conflict(*f, writes, fixed, step.function()->symbols));
    step.fail(
        5, "E0276",
        detail::concat("loop '", LoopRef{f->var}.name(), "' comes back to elements of block '",
                       block->name, "', which begins them anew"));
  }
}

/// The predicate of the init block: the conditions that do not speak of reduction loops.
Expr init_predicate(Step& step, const BlockNode& block, const InnerLoops& loops) {
  const std::vector<Expr> conditions = conjuncts_of(block.predicate);
  Expr predicate;
  for (const Expr& c : conditions) {
    if (!uses_any(c, loops.reduction)) {
      predicate = and_predicate(predicate, c);
      continue;
    }
    TENON_REQUIRE(step, !uses_any(c, loops.spatial), 4, ScheduleError, "E0225",
                  "a condition of block '", block.name, "' mixes spatial and reduction loops");
  }
  return predicate;
}

Stmt init_nest(Step& step, const BlockNode& block, const InnerLoops& loops,
               const std::string& name) {
  BlockParts parts;
  parts.name = name;
  parts.span = block.span;
  parts.body = block.init;
  parts.annotations = block.annotations;
  parts.predicate = init_predicate(step, block, loops);
  for (std::size_t i = 0; i < block.iters.size(); ++i) {
    if (block.iters[i].kind != IterKind::kSpatial) continue;
    parts.iters.push_back(block.iters[i]);
    parts.bindings.push_back(block.bindings[i]);
  }
  Stmt s = make_block(std::move(parts));
  for (std::size_t i = loops.spatial.size(); i-- > 0;) s = with_body(*loops.spatial[i], s);
  return fresh_definitions(s);
}

ScheduleValue apply(Step& step) {
  const auto& block_ref = step.argument<BlockRef>(0);
  const auto& loop_ref = step.argument<LoopRef>(1);
  const Path path = step.path_to(block_ref);
  const auto* block = path.back().as<BlockNode>();
  TENON_REQUIRE(step, block->init, 1, ScheduleError, "E0223", "block '", block_ref.name,
                "' has no init to move",
                has_kind(*block, IterKind::kReduction) ? ": it was decomposed already"
                                                       : ": it is no reduction");
  const Path loop_path = step.path_to(loop_ref);
  step.blame(loop_ref.var);
  TENON_REQUIRE(
      step, loop_path.size() < path.size() && path[loop_path.size() - 1].same_as(loop_path.back()),
      2, ScheduleError, "E0204", "loop '", loop_ref.name(), "' is not around block '",
      block_ref.name, "'");
  for (const ForNode* f : loops_on(Path(loop_path.begin(), loop_path.end() - 1))) {
    TENON_REQUIRE(step, !touches(*block, f->var, IterKind::kReduction), 3, ScheduleError, "E0224",
                  "loop '", LoopRef{f->var}.name(), "' outside loop '", loop_ref.name(),
                  "' runs over a reduction iter of block '", block_ref.name, "'");
  }
  const InnerLoops inner = divide_loops(step, *block, loops_on(path, loop_path.size() - 1));
  check_once(step, path, inner, loop_path);
  const std::string name = step.fresh_block_name(block_ref.name + "_init");
  const Stmt init = init_nest(step, *block, inner, name);
  BlockParts parts = parts_of(*block);
  parts.init = nullptr;
  step.set_root(replace_at(path, make_block(std::move(parts))));
  const Path updated = step.path_to(loop_ref);
  step.set_root(replace_at(updated, make_seq({init, updated.back()})));
  return BlockRef{name};
}

}  // namespace

extern const Primitive kDecomposeReduction;
const Primitive kDecomposeReduction = {
    "decompose_reduction",
    "Moves the init of a reduction into a block of its own, `<block>_init`, placed before a loop; "
    "its copied loops keep kind and annotations.",
    {{"block", ParameterKind::kBlock}, {"loop", ParameterKind::kLoop}},
    {"the block has an init", "the loop is around the block",
     "no loop outside it runs over a reduction iter of the block",
     "each loop inside, and each condition of the block, is either spatial or of the reduction",
     "the loop and those inside reach each element once for each term"},
    ResultKind::kBlock,
    apply};

}  // namespace tenon
