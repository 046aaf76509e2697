#include <algorithm>

#include "rules/rule.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon::rules {
namespace {

/// Whether the extents of the reduction change with no iter: `rfactor` wants that.
bool has_fixed_terms(const BlockInfo& info) {
  const std::vector<IterVar>& iters = info.block->iters;
  const auto is_iter = [&](const VarNode& v) {
    return std::any_of(iters.begin(), iters.end(),
                       [&](const IterVar& iter) { return iter.var.get() == &v; });
  };
  return std::none_of(iters.begin() + info.num_spatial, iters.end(), [&](const IterVar& iter) {
    return uses_var(iter.domain.min + iter.domain.extent, is_iter);
  });
}

}  // namespace

BlocksOfTerms blocks_of_terms(const BlockInfo& info) {
  BlocksOfTerms blocks;
  if (!info.is_reduction() || info.num_context > 0 || is_row_reduction(info) || !has_order(info) ||
      !has_fixed_terms(info))
    return blocks;
  const int first = info.num_spatial;
  const std::int64_t inside = num_iterations(info, first + 1, first + info.num_reduction);
  const std::int64_t outermost = extent_of(info, first);
  if (inside >= 0)
    blocks.steps = std::max<std::int64_t>(1, kBlockTerms / std::max<std::int64_t>(inside, 1));
  const std::int64_t least = std::max<std::int64_t>(blocks.steps, 1);
  if (outermost >= 0 && outermost <= least) return blocks;
  const bool is_known = outermost >= 0 && blocks.steps > 0;
  blocks.count = is_known ? (outermost + blocks.steps - 1) / blocks.steps : -1;
  return blocks;
}

bool threads_share_blocks(const RuleContext& context, const BlockInfo& info, std::int64_t shared) {
  constexpr double kGain = 1.2;  // partial sums go through memory
  const std::int64_t cores = context.target.num_cores;
  const BlocksOfTerms blocks = blocks_of_terms(info);
  if (blocks.count < 0) return cores > 1 && shared == 1;
  if (blocks.count == 1 || shared < 0) return false;
  // The share of time that all cores work.
  const auto use = [&](std::int64_t tasks, double task, double all) {
    const std::int64_t rounds = std::max<std::int64_t>(1, (tasks + cores - 1) / cores);
    return all / (static_cast<double>(rounds * cores) * task);
  };
  const auto steps = static_cast<double>(blocks.steps);
  const auto terms = static_cast<double>(extent_of(info, info.num_spatial));
  return use(blocks.count, steps, terms) > kGain * use(shared, 1, static_cast<double>(shared));
}

std::optional<ChainBlocks> divide_chain(RuleContext& context, const BlockInfo& info) {
  if (blocks_of_terms(info).count == 1) return std::nullopt;
  Schedule& s = context.s;
  const auto first = static_cast<std::size_t>(info.num_spatial);
  const LoopRef outermost = s.loops(info.name())[first];
  const std::vector<LoopRef> parts = s.split_terms(outermost, kBlockTerms);
  ChainBlocks chain{s.rfactor(parts[0], 0).name, parts[0], s.loops(info.name()).back(), {}};
  chain.terms = s.loops(chain.sums);
  chain.terms.erase(chain.terms.begin(),
                    chain.terms.begin() + static_cast<std::ptrdiff_t>(first) + 1);
  return chain;
}

std::vector<LoopRef> place_sums(RuleContext& context, const BlockInfo& info,
                                const std::string& sums, const LoopRef& around, int row,
                                int column) {
  Schedule& s = context.s;
  s.set_scope({sums}, "register");
  s.compute_at({sums}, around);
  std::vector<LoopRef> loops = s.loops(sums);
  const auto at = std::find_if(loops.begin(), loops.end(),
                               [&](const LoopRef& l) { return l.var.same_as(around.var); });
  loops.erase(loops.begin(), at + 1);
  const auto iter = [&](int d) { return loops[static_cast<std::size_t>(d)]; };
  std::vector<LoopRef> order;
  for (int d = 0; d <= info.num_spatial; ++d) {  // the block is the last of them
    if (d != row && d != column) order.push_back(iter(d));
  }
  const std::vector<LoopRef> terms(loops.begin() + info.num_spatial + 1, loops.end());
  order.insert(order.end(), terms.begin(), terms.end());
  if (row >= 0) order.push_back(iter(row));
  order.push_back(iter(column));
  s.reorder(order);
  s.vectorize(iter(column));
  if (row >= 0) s.unroll(iter(row));
  s.decompose_reduction({sums}, terms.front());
  return terms;
}

}  // namespace tenon::rules
