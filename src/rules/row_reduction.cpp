#include "rules/rule.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon::rules {

// Design 3a (b): term p joins lane p mod 64 of block p div 4096, ascending; the lanes join by
// halving.
std::string divide_into_lanes(RuleContext& context, const std::string& block, int num_spatial) {
  constexpr int kLanes = 64;
  Schedule& s = context.s;
  const std::vector<LoopRef> parts = s.split(s.loops(block).back(), {std::nullopt, kLanes}, "mask");
  return s.rfactor(parts[1], num_spatial).name;
}

namespace {

/// Those of `loops` that the block's iters [first, last) are bound to.
std::vector<LoopRef> loops_of(const BlockInfo& info, const std::vector<LoopRef>& loops, int first,
                              int last) {
  std::vector<LoopRef> out;
  for (const LoopRef& loop : loops) {
    for (int i = first; i < last; ++i) {
      const Expr& binding = info.block->bindings[static_cast<std::size_t>(i)];
      if (!uses_var(binding, [&](const VarNode& v) { return &v == loop.var.get(); })) continue;
      out.push_back(loop);
      break;
    }
  }
  return out;
}

/// Puts the lanes inside the loops of the reduction, the accumulators before them, and vectorizes
/// both; then the joining of the lanes.
void vectorize_lanes(RuleContext& context, const std::string& block, const std::string& lanes) {
  Schedule& s = context.s;
  const Function f = s.function();  // keeps the infos valid
  const std::vector<BlockInfo> blocks = blocks_of(f);
  const BlockInfo& info = *find_block(blocks, lanes);
  const std::vector<LoopRef> loops = s.loops(lanes);
  const LoopRef lane = loops_of(info, loops, info.num_spatial - 1, info.num_spatial).back();
  std::vector<LoopRef> order =
      loops_of(info, loops, info.num_spatial, info.num_spatial + info.num_reduction);
  order.push_back(lane);
  s.reorder(order);
  s.decompose_reduction({lanes}, order[0]);
  s.vectorize(lane);
  s.vectorize(s.loops(lanes + "_init").back());
  s.decompose_reduction({block}, s.loops(block).back());
  s.vectorize(s.loops(block).back());
}

}  // namespace

void finish_lanes(RuleContext& context, const std::string& block, const std::string& lanes) {
  vectorize_lanes(context, block, lanes);
  context.s.set_scope({lanes}, "register");
}

void schedule_row_reduction(RuleContext& context, const BlockInfo& info) {
  Schedule& s = context.s;
  const std::string& name = info.name();
  const std::int64_t rows = num_iterations(info, 0, info.num_spatial);
  const std::int64_t extent = extent_of(info, info.num_spatial + info.num_reduction - 1);
  const std::string lanes = divide_into_lanes(context, name, info.num_spatial);
  if (info.num_spatial == 0) return vectorize_lanes(context, name, lanes);
  s.compute_at({lanes}, s.loops(name)[static_cast<std::size_t>(info.num_spatial) - 1]);
  finish_lanes(context, name, lanes);
  if (worth_threads(rows < 0 || extent < 0 ? -1 : rows * extent)) s.parallel(s.loops(name)[0]);
}

}  // namespace tenon::rules
