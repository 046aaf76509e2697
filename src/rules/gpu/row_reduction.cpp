#include <algorithm>

#include "rules/gpu/gpu_rule.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon::rules::gpu {

std::int64_t row_threads(std::int64_t extent) {
  if (extent < 0) return kThreads;
  std::int64_t threads = 2;
  while (threads < extent && threads < kThreads) threads *= 2;
  return threads;
}

std::vector<LoopRef> loops_inside(const Schedule& s, const std::string& block,
                                  const LoopRef& around) {
  std::vector<LoopRef> loops = s.loops(block);
  const auto at = std::find_if(loops.begin(), loops.end(),
                               [&](const LoopRef& l) { return l.var.same_as(around.var); });
  TENON_CHECK(at != loops.end(), "loop '", around.name(), "' is not around block '", block, "'");
  loops.erase(loops.begin(), at + 1);
  return loops;
}

/// The extent of a loop when it is constant, else -1.
std::int64_t loop_extent(const Schedule& s, const LoopRef& loop) {
  std::int64_t extent = -1;
  post_order_visit(s.function()->body, [&](const Node& n) {
    if (n.kind != NodeKind::kFor) return;
    const auto& f = static_cast<const ForNode&>(n);
    if (f.var.same_as(loop.var)) extent = as_int(f.extent).value_or(-1);
  });
  return extent;
}

std::vector<LoopRef> grid_loops(Schedule& s, const std::vector<LoopRef>& loops) {
  constexpr std::size_t kAxes = 3;
  if (loops.size() <= kAxes) return loops;
  const auto inner = loops.end() - (kAxes - 1);
  std::vector<LoopRef> grid{s.fuse({loops.begin(), inner})};
  grid.insert(grid.end(), inner, loops.end());
  return grid;
}

void bind_grid(Schedule& s, const std::vector<LoopRef>& grid) {
  const char* const axes[] = {"blockIdx.x", "blockIdx.y", "blockIdx.z"};
  for (std::size_t i = 0; i < grid.size(); ++i) s.bind(grid[i], axes[i]);
}

ThreadRow divide_row_over_threads(RuleContext& context, const BlockInfo& info) {
  Schedule& s = context.s;
  const int trailing = row_axes(info), first = info.num_spatial;
  const int num_outer = info.num_reduction - trailing;
  std::vector<LoopRef> loops = s.loops(info.name());
  const std::vector<LoopRef> row(loops.begin() + first + num_outer, loops.end());
  const LoopRef p = row.size() > 1 ? s.fuse(row) : row[0];
  const std::int64_t extent = num_iterations(info, first + num_outer, first + info.num_reduction);
  const auto parts = s.split(p, {std::nullopt, row_threads(extent)});
  std::vector<LoopRef> order{parts[1]};
  order.insert(order.end(), loops.begin() + first, loops.begin() + first + num_outer);
  order.push_back(parts[0]);
  s.reorder(order);
  return {info.name(), s.rfactor(parts[1], first).name};
}

ThreadRow::Lanes place_row_terms(RuleContext& context, const ThreadRow& row,
                                 const LoopRef& around) {
  Schedule& s = context.s;
  s.compute_at({row.terms}, around);
  const LoopRef joined = loops_inside(s, row.block, around).back();
  s.decompose_reduction({row.block}, joined);

  const Function f = s.function();  // keeps the infos valid
  const std::vector<BlockInfo> blocks = blocks_of(f);
  const BlockInfo& info = *find_block(blocks, row.terms);
  const auto first = static_cast<std::size_t>(info.num_spatial);
  std::optional<LoopRef> lane, first_term;
  for (const LoopRef& loop : loops_inside(s, row.terms, around)) {
    for (std::size_t i = 0; i < info.block->iters.size(); ++i) {
      const bool uses =
          uses_var(info.block->bindings[i], [&](const VarNode& v) { return &v == loop.var.get(); });
      if (uses && i + 1 == first) lane = loop;
      if (uses && i >= first && !first_term) first_term = loop;
    }
  }
  if (!lane) detail::raise<ScheduleError>("E0299", "a row has no loop over its lanes");
  if (first_term) s.decompose_reduction({row.terms}, *first_term);
  return {*lane, joined};
}

void bind_row(RuleContext& context, const ThreadRow& row, const ThreadRow::Lanes& lanes) {
  Schedule& s = context.s;
  s.bind(lanes.terms, "threadIdx.x");
  s.bind(lanes.joined, "threadIdx.x");
  s.set_scope({row.terms}, "local");
}

void bind_row_reduction(RuleContext& context, const BlockInfo& info) {
  Schedule& s = context.s;
  if (info.num_context > 0)
    detail::raise<ScheduleError>("E0299", "a row in a step has no kernel of its own");
  const ThreadRow row = divide_row_over_threads(context, info);
  std::vector<LoopRef> loops = s.loops(info.name());
  loops.pop_back();
  if (loops.empty()) loops.push_back(s.add_unit_loop(s.loops(info.name())[0]));
  const std::vector<LoopRef> grid = grid_loops(s, loops);
  const ThreadRow::Lanes lanes = place_row_terms(context, row, grid.back());
  bind_grid(s, grid);
  bind_row(context, row, lanes);
}

}  // namespace tenon::rules::gpu
