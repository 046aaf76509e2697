#include <algorithm>

#include "rules/rule.h"
#include "tenon/ir/builder.h"

namespace tenon::rules {

// Design 3a (b): term p joins lane p mod 64 of block p div 4096, ascending; the lanes join by halving.
void schedule_row_reduction(RuleContext& context, const BlockInfo& info, bool may_parallel) {
  constexpr int kLanes = 64;
  Schedule& s = context.s;
  const std::string name = info.name();
  std::vector<LoopRef> loops = s.loops(name);
  const std::size_t spatial = static_cast<std::size_t>(info.num_spatial);
  LoopRef along = loops.back();
  const std::int64_t extent = extent_of(info, info.num_spatial + info.num_reduction - 1);
  std::int64_t rows = 1;
  for (int d = 0; d < info.num_spatial; ++d) rows = extent_of(info, d) < 0 || rows < 0 ? -1 : rows * extent_of(info, d);

  const std::vector<LoopRef> parts = s.split(along, {std::nullopt, kLanes}, "mask");
  const std::string lanes = s.rfactor(parts[1], info.num_spatial).name;
  if (spatial > 0) {
    s.compute_at({lanes}, s.loops(name)[spatial - 1]);
  }
  // Inside a row: 64 accumulators over the chunks, then one joining of the lanes.
  std::vector<LoopRef> lane_loops = s.loops(lanes);
  const LoopRef lane = lane_loops.back();
  LoopRef chunk;
  for (const LoopRef& l : lane_loops) {
    if (l.name() == parts[0].name()) chunk = l;
  }
  if (chunk.var) s.decompose_reduction({lanes}, chunk);
  s.vectorize(s.loops(lanes).back());
  s.set_scope({lanes}, "register");
  s.vectorize(s.loops(lanes + "_init").back());
  s.decompose_reduction({name}, s.loops(name).back());
  s.vectorize(s.loops(name).back());
  if (may_parallel && spatial > 0 && worth_threads(rows < 0 || extent < 0 ? -1 : rows * extent)) s.parallel(s.loops(name)[0]);
}

}  // namespace tenon::rules
