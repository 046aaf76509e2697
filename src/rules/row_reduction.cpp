#include <algorithm>

#include "rules/rule.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon::rules {
namespace {

// Design 3a (b): term (o, p) joins lane p mod 64 of block (o's block, p div 4096), ascending.
constexpr std::int64_t kLanes = 64;

/// The extents of a row: the trailing axes count as one axis p, the others are o. -1: not constant.
struct RowExtents {
  int num_outer = 0;            ///< axes of o
  std::int64_t p = -1;          ///< of all trailing axes together
  std::int64_t outermost = -1;  ///< of the first axis of o
  std::int64_t inside = -1;     ///< of all axes but the outermost
  /// Steps of the outermost axis in a block, or 1 where that is not constant.
  std::int64_t least_outer_steps() const {
    return inside < 0 ? 1 : std::max<std::int64_t>(1, kBlockTerms / inside);
  }
};

RowExtents row_extents(const BlockInfo& info) {
  RowExtents row;
  const int first = info.num_spatial, last = info.num_spatial + info.num_reduction;
  row.num_outer = info.num_reduction - row_axes(info);
  row.p = num_iterations(info, first + row.num_outer, last);
  row.outermost = extent_of(info, first);
  row.inside = std::max<std::int64_t>(num_iterations(info, first + 1, last), -1);
  if (row.inside == 0) row.inside = 1;  // there are no terms
  return row;
}

/// The loops of the block's reduction, outermost first.
std::vector<LoopRef> reduction_loops(const Schedule& s, const std::string& block, int num_spatial) {
  std::vector<LoopRef> loops = s.loops(block);
  loops.erase(loops.begin(), loops.begin() + num_spatial);
  return loops;
}

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

}  // namespace

RowParts divide_row(RuleContext& context, const BlockInfo& info, bool into_blocks) {
  Schedule& s = context.s;
  const std::string& name = info.name();
  const int num_spatial = info.num_spatial;
  const RowExtents row = row_extents(info);
  std::vector<LoopRef> loops = reduction_loops(s, name, num_spatial);
  const auto trailing = loops.begin() + row.num_outer;
  LoopRef p = loops.back();
  if (loops.end() - trailing > 1) p = s.fuse({trailing, loops.end()});
  std::vector<LoopRef> blocks, order(loops.begin(), trailing);

  const bool outer_blocks = into_blocks && row.num_outer > 0;
  if (outer_blocks && (row.outermost < 0 || row.outermost > row.least_outer_steps())) {
    const auto parts = s.split_terms(order[0], kBlockTerms);
    blocks.push_back(parts[0]);
    order[0] = parts[1];
  }
  LoopRef lane;
  if (into_blocks && (row.p < 0 || row.p > kBlockTerms)) {
    const auto parts = s.split(p, {std::nullopt, kBlockTerms / kLanes, kLanes}, "mask");
    blocks.push_back(parts[0]);
    order.push_back(parts[1]);
    lane = parts[2];
  } else {
    const auto parts = s.split(p, {std::nullopt, kLanes}, "mask");
    order.push_back(parts[0]);
    lane = parts[1];
  }
  RowParts row_parts{name, "", ""};
  if (blocks.empty()) {
    row_parts.lanes = s.rfactor(lane, num_spatial).name;
    return row_parts;
  }
  order.push_back(lane);
  order.insert(order.begin(), blocks.begin(), blocks.end());
  s.reorder(order);
  const LoopRef block = blocks.size() > 1 ? s.fuse(blocks) : blocks[0];
  row_parts.blocks = s.rfactor(block, num_spatial).name;
  row_parts.lanes = s.rfactor(lane, num_spatial + 1).name;
  return row_parts;
}

namespace {

/// Puts the lanes inside the loops of the reduction, the accumulators before them, and vectorizes
/// both; then the joining of the lanes by `joining`.
void vectorize_lanes(RuleContext& context, const std::string& joining, const std::string& lanes) {
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
  s.decompose_reduction({joining}, s.loops(joining).back());
  s.vectorize(s.loops(joining).back());
}

}  // namespace

void finish_row(RuleContext& context, const RowParts& row) {
  Schedule& s = context.s;
  if (row.blocks.empty()) {
    vectorize_lanes(context, row.block, row.lanes);
  } else {
    vectorize_lanes(context, row.blocks, row.lanes);
    s.decompose_reduction({row.block}, s.loops(row.block).back());
  }
  s.set_scope({row.lanes}, "register");
}

void place_row(RuleContext& context, const RowParts& row) {
  Schedule& s = context.s;
  if (row.blocks.empty()) return;
  const LoopRef inside = s.loops(row.block).back();
  s.compute_at({row.blocks}, inside);
  s.set_scope({row.blocks}, "register");
  s.compute_at({row.lanes}, inside);
}

void schedule_row_reduction(RuleContext& context, const BlockInfo& info) {
  Schedule& s = context.s;
  const std::int64_t rows = num_iterations(info, 0, info.num_spatial);
  const std::int64_t terms =
      num_iterations(info, info.num_spatial, info.num_spatial + info.num_reduction);
  const bool threads =
      runs_in_threads(context, info.name(), rows < 0 || terms < 0 ? -1 : rows * terms);
  // Few long rows: threads share their blocks.
  const bool few = threads && choose(context, info.name() + ".share_blocks",
                                     rows >= 0 && rows < context.target.num_cores);
  const RowParts row = divide_row(context, info, few || has_order(info));
  const auto last_spatial = static_cast<std::size_t>(info.num_spatial) - 1;
  if (few && !row.blocks.empty()) {
    std::vector<LoopRef> loops = s.loops(row.blocks);
    loops.pop_back();  // the lanes
    s.compute_at({row.lanes}, loops.back());
    finish_row(context, row);
    return s.parallel(info.num_spatial > 0 ? s.fuse(loops) : loops[0]);
  }
  if (!row.blocks.empty()) {
    place_row(context, row);
  } else if (info.num_spatial > 0) {
    s.compute_at({row.lanes}, s.loops(row.block)[last_spatial]);
  }
  finish_row(context, row);
  if (info.num_spatial > 0 && threads) s.parallel(s.loops(row.block)[0]);
}

}  // namespace tenon::rules
