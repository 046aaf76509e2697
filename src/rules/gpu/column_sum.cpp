// Sums over leading axes: biases' gradients, statistics of channels, gradients of depthwise
// weights.

#include <algorithm>

#include "rules/gpu/gpu_rule.h"

namespace tenon::rules::gpu {
namespace {

/// The order of a sum: parts of 64 terms, each ascending, 8 of which are added left to right into a
/// block, the blocks left to right. A sum of up to 64 terms is one chain. Of several axes a block
/// has whole steps of the outermost, max(1, 512 div L) for L terms in each, and parts have an 8th
/// of them, at least one; where a block is one step, parts have an 8th of the next axis.
constexpr std::int64_t kPartTerms = 64, kParts = 8, kBlockOfParts = kPartTerms * kParts;
constexpr std::int64_t kColumns = 32;

/// The spatial axis along which neighbours are next to each other in memory.
int column_axis(const BlockInfo& info) {
  for (int d = info.num_spatial; d-- > 0;) {
    const bool runs = std::any_of(info.loads.begin(), info.loads.end(), [&](const LoadNode* l) {
      return lane_stride(info, l->buffer, l->indices, d, kColumns) == 1;
    });
    if (runs && extent_of(info, d) != 1) return d;
  }
  return info.num_spatial - 1;
}

/// The loops over blocks of terms (null: one block) and over the parts of a block.
struct TermLoops {
  std::optional<LoopRef> block;
  LoopRef part;
};

TermLoops divide_terms(Schedule& s, const BlockInfo& info) {
  const int first = info.num_spatial, last = first + info.num_reduction;
  const std::int64_t outermost = extent_of(info, first);
  const std::int64_t inside = num_iterations(info, first + 1, last);
  const std::vector<LoopRef> loops = s.loops(info.name());
  const auto at = [&](int d) { return loops[static_cast<std::size_t>(d)]; };
  if (inside < 0) detail::raise<ScheduleError>("E0299", "a block has no constant number of terms");
  const std::int64_t steps =
      std::max<std::int64_t>(1, kBlockOfParts / std::max<std::int64_t>(inside, 1));
  TermLoops out;
  LoopRef step = at(first);
  if (outermost < 0 || outermost > steps) {
    const auto parts = s.split(at(first), {std::nullopt, steps});
    out.block = parts[0];
    step = parts[1];
  }
  if (steps == 1) {  // a block is one step, whose next axis is divided
    if (extent_of(info, first + 1) < kParts)
      detail::raise<ScheduleError>("E0299", "the axis that threads share is too short");
    out.part = s.split(at(first + 1), {kParts, std::nullopt})[0];
    return out;
  }
  const std::int64_t each = std::max<std::int64_t>(1, steps / kParts);
  out.part = s.split(step, {std::nullopt, each})[0];
  return out;
}

}  // namespace

bool is_product(const BlockInfo& info) {
  if (info.loads.size() != 2) return false;
  const auto has_own = [&](std::size_t operand) {
    for (int d = info.num_context; d < info.num_spatial; ++d) {
      const ExprNode* iter = info.block->iters[static_cast<std::size_t>(d)].var.get();
      if (uses_iter(*info.loads[operand], iter) && !uses_iter(*info.loads[1 - operand], iter))
        return true;
    }
    return false;
  };
  return has_own(0) && has_own(1);
}

void bind_column_sum(RuleContext& context, const BlockInfo& info) {
  Schedule& s = context.s;
  const int first = info.num_spatial;
  const std::int64_t terms = num_iterations(info, first, first + info.num_reduction);
  if (info.num_context > 0 || info.num_spatial == 0 || is_product(info))
    detail::raise<ScheduleError>("E0299", "no sum of columns");
  if (terms >= 0 && terms <= kPartTerms)
    detail::raise<ScheduleError>("E0299", "a thread adds up few terms");
  const int column = column_axis(info);
  std::int64_t width = kColumns;
  while (extent_of(info, column) >= 0 && width > extent_of(info, column)) width /= 2;

  const TermLoops divided = divide_terms(s, info);
  const std::string sums = divided.block ? s.rfactor(*divided.block, 0).name : info.name();
  const std::string terms_of_part = s.rfactor(divided.part, 0).name;
  const std::string out = s.cache_write({sums}, "global").name;
  const std::string kept = s.cache_write({terms_of_part}, "local").name;

  std::vector<LoopRef> loops = s.loops(sums);
  const LoopRef joined = loops.back();
  loops.pop_back();
  const auto parts = s.split(loops[static_cast<std::size_t>(column)],
                             {std::nullopt, std::max<std::int64_t>(width, 1)});
  loops.erase(loops.begin() + column);
  loops.push_back(parts[0]);
  std::vector<LoopRef> order = loops;
  order.insert(order.end(), {parts[1], joined});
  s.reorder(order);
  const std::vector<LoopRef> grid = grid_loops(s, loops);
  const LoopRef& around = grid.back();
  s.compute_at({kept}, around);
  const std::vector<LoopRef> shared = loops_inside(s, kept, around);
  s.compute_at({terms_of_part}, shared.back());
  s.reverse_compute_at({out}, around);
  const std::vector<LoopRef> result = loops_inside(s, out, around);
  bind_grid(s, grid);
  s.set_scope({kept}, "shared");
  // Copies have a loop for each dimension: parts and blocks are the first.
  const std::size_t at = static_cast<std::size_t>(column) + (divided.block ? 1 : 0);
  s.bind(shared.front(), "threadIdx.y");
  for (const LoopRef& loop : {shared[at + 1], parts[1], result[at]}) s.bind(loop, "threadIdx.x");
  s.set_scope({sums}, "local");
  s.decompose_reduction({sums}, joined);
  const Function f = s.function();  // keeps the infos valid
  const std::vector<BlockInfo> blocks = blocks_of(f);
  const BlockInfo& own = *find_block(blocks, terms_of_part);
  const std::vector<LoopRef> inner = loops_inside(s, terms_of_part, shared.back());
  s.decompose_reduction({terms_of_part}, inner[static_cast<std::size_t>(own.num_spatial)]);
  if (!divided.block) return;
  const Function joining = s.function();  // keeps the infos valid
  const std::vector<BlockInfo> rest = blocks_of(joining);
  schedule_elements(context, *find_block(rest, info.name()));
}

}  // namespace tenon::rules::gpu
