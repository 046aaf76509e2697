#include "schedule/independence.h"

#include <algorithm>

#include "schedule/conflict.h"
#include "schedule/dependence.h"
#include "tenon/ir/builder.h"

namespace tenon {
namespace {

/// The loop in question and what is done under it.
struct Surroundings {
  const ForNode& loop;
  std::vector<Expr> fixed;  ///< loops around it
  std::vector<Access> accesses;
};

/// Two iterations that meet in a buffer that the block writes.
std::string conflict_of(const Step& step, const BlockNode& block, const Surroundings& scope) {
  for (const Access& a : scope.accesses) {
    if (!a.is_write || a.block != &block) continue;
    const std::string text = find_conflict(scope.loop, accesses_of(scope.accesses, a.buffer),
                                           scope.fixed, step.function()->symbols);
    if (!text.empty()) return text;
  }
  return "";
}

void check_kinds(Step& step, const BlockNode& block, const Surroundings& scope,
                 const IndependenceOptions& options) {
  const LoopRef loop{scope.loop.var};
  if (touches(block, loop.var, IterKind::kOrdered)) {
    step.show(conflict_of(step, block, scope));
    step.fail(options.requirement, "E0221",
              detail::concat("loop '", loop.name(), "' runs over an ordered iter of block '",
                             block.name, "'"));
  }
  if (!touches(block, loop.var, IterKind::kReduction)) return;
  if (!options.allow_reduction) {
    step.show(conflict_of(step, block, scope));
    step.fail(options.requirement, "E0221",
              detail::concat("loop '", loop.name(), "' runs over a reduction iter of block '",
                             block.name, "'"));
  }
  TENON_REQUIRE(step, !touches(block, loop.var, IterKind::kSpatial), options.requirement,
                ScheduleError, "E0221", "loop '", loop.name(),
                "' runs over reduction and spatial iters of block '", block.name, "' at once");
  const auto reducer = find_reducer(block);
  TENON_REQUIRE(step, reducer, options.requirement, ScheduleError, "E0221", "loop '", loop.name(),
                "' runs over a reduction iter of block '", block.name,
                "', whose body is not a sum, product, min or max");
  step.suggest("decompose_reduction(\"" + block.name + "\", " + loop.name() + ") first");
  TENON_REQUIRE(step, !block.init, options.requirement, ScheduleError, "E0221", "loop '",
                loop.name(), "' runs over a reduction iter of block '", block.name,
                "', which still holds its init");
  step.suggest("");
  if (reducer->order_matters()) step.mark_reassociates();
}

}  // namespace

void require_independent(Step& step, const Path& path, const IndependenceOptions& options) {
  const auto* loop = path.back().as<ForNode>();
  const std::vector<const ForNode*> around = loops_on(Path(path.begin(), path.end() - 1));
  const Surroundings scope{*loop, vars_of(around), accesses_under(path.back(), around)};
  for (const BlockNode* b : blocks_under(path.back())) check_kinds(step, *b, scope, options);
  if (is_int(loop->extent, 1)) return;
  const std::vector<Expr>& fixed = scope.fixed;
  const std::vector<Access>& all = scope.accesses;
  for (const Access& write : all) {
    if (!write.is_write) continue;
    const std::vector<Access> same_buffer = accesses_of(all, write.buffer);
    const bool one_block = std::all_of(same_buffer.begin(), same_buffer.end(),
                                       [&](const Access& a) { return a.block == write.block; });
    if (one_block && touches(*write.block, loop->var, IterKind::kReduction)) continue;
    if (touches_distinct_elements(*loop, same_buffer, fixed, step.function()->symbols)) continue;
    if (is_private(write.buffer, step.root(), path, step.function()->symbols)) continue;
    step.blame(loop->var);
    step.show(find_conflict(*loop, same_buffer, fixed, step.function()->symbols));
    step.fail(options.requirement, "E0222",
              detail::concat("iterations of loop '", LoopRef{loop->var}.name(),
                             "' touch the same elements of buffer '", write.buffer->name,
                             "' in block '", write.block->name, "'"));
  }
}

}  // namespace tenon
