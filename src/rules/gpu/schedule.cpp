#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <unordered_set>

#include "rules/gpu/gpu_rule.h"
#include "tenon/ir/builder.h"

namespace tenon::rules::gpu {
namespace {

/// Tries a rule; on refusal the schedule is as it was.
template <typename F>
bool attempt(RuleContext& context, const char* rule, const std::string& block, F&& schedule) {
  const Schedule before = context.s;
  try {
    schedule();
    context.applied.emplace_back(rule, block);
    return true;
  } catch (const ScheduleError& e) {
    if (std::getenv("TENON_EXPLAIN_RULES") != nullptr) {
      std::fprintf(stderr, "function '%s': rule '%s' for block '%s' refused: %s\n",
                   context.s.function()->name.c_str(), rule, block.c_str(), e.what());
    }
  }
  context.s = before;
  return false;
}

/// Whether every index that is no constant is an iter.
bool reads_at_iters(const BlockInfo& info) {
  return std::all_of(info.loads.begin(), info.loads.end(), [](const LoadNode* l) {
    return std::all_of(l->indices.begin(), l->indices.end(), [](const Expr& e) {
      return e.as<VarNode>() != nullptr || as_int(e).has_value();
    });
  });
}

/// Rules for any block, one of which fits: an element of the result a thread.
void schedule_plain(RuleContext& context, const std::string& name, const BlockInfo* info) {
  const auto tries = [&](const char* rule, auto bind) {
    return info != nullptr && attempt(context, rule, name, [&] { bind(context, *info); });
  };
  if (tries("gpu elements", schedule_elements)) return;
  if (tries("gpu elements by axes", schedule_elements_by_axes)) return;
  bind_fallback(context, name, info == nullptr ? 0 : info->num_context);
  context.applied.emplace_back("gpu fallback", name);
}

/// A rule that takes an element-wise reader into the tile: with it, else without.
template <typename Bind>
bool tile(RuleContext& context, const char* rule, const BlockInfo& info,
          const std::optional<std::string>& consumer, std::unordered_set<std::string>* done,
          Bind&& bind) {
  const auto with = [&](const std::optional<std::string>& reader) {
    return attempt(context, rule, info.name(), [&] { bind(context, info, reader); });
  };
  if (!consumer || !with(consumer)) return with(std::nullopt);
  done->insert(*consumer);
  return true;
}

/// Rules for reductions that are no rows; false when none fits.
bool schedule_reduction(RuleContext& context, const BlockInfo& info,
                        const std::optional<std::string>& consumer,
                        std::unordered_set<std::string>* done) {
  const auto tiles = [&](const char* rule, auto bind) {
    return tile(context, rule, info, consumer, done, bind);
  };
  const bool is_plain = reads_at_iters(info);
  return (!is_plain && tiles("gpu window", bind_window)) ||
         tiles("gpu contraction", bind_contraction) ||
         (is_plain && tiles("gpu window", bind_window)) ||
         tiles("gpu neighbours", bind_neighbours) ||
         attempt(context, "gpu column sum", info.name(), [&] { bind_column_sum(context, info); });
}

/// Adds the blocks of a sum up, an element a thread, in a register; with the reader of the sum.
void bind_joined_blocks(RuleContext& context, const BlockInfo& info,
                        const std::optional<std::string>& consumer) {
  Schedule& s = context.s;
  const std::string& name = info.name();
  const std::string out = consumer ? *consumer : s.cache_write({name}, "global").name;
  std::vector<LoopRef> loops = s.loops(out);
  if (loops.empty()) loops.push_back(s.add_unit_loop(BlockRef{out}));
  std::vector<LoopRef> own, units;  // a unit loop is not fused: its index is known without others
  for (const LoopRef& loop : loops) (loop_extent(s, loop) == 1 ? units : own).push_back(loop);
  if (own.empty()) std::swap(own, units);
  std::vector<LoopRef> order = own;
  order.insert(order.end(), units.begin(), units.end());
  if (order.size() > 1) s.reorder(order);
  const LoopRef all = own.size() > 1 ? s.fuse(own) : own[0];
  const auto parts = s.split(all, {std::nullopt, kThreads});
  s.compute_at({name}, parts[1]);
  s.bind(parts[0], "blockIdx.x");
  s.bind(parts[1], "threadIdx.x");
  s.set_scope({name}, "local");
  s.decompose_reduction({name}, loops_inside(s, name, parts[1]).back());
}

/// A product of many terms: a kernel for the sums of all blocks of terms (design 3a), whatever rule
/// they have, and one that adds the blocks left to right. The order is that of the CPU.
bool schedule_blocks_of_terms(RuleContext& context, const BlockInfo& info,
                              std::unordered_set<std::string>* done) {
  if (!is_product(info) || blocks_of_terms(info).count == 1) return false;
  const std::string& name = info.name();
  return attempt(context, "gpu blocks of terms", name, [&] {
    const std::string sums = divide_chain(context, info)->sums;
    const Function f = context.s.function();  // keeps the infos valid
    const std::vector<BlockInfo> blocks = blocks_of(f);
    const BlockInfo& of_blocks = *find_block(blocks, sums);
    if (!schedule_reduction(context, of_blocks, std::nullopt, done))
      schedule_plain(context, sums, &of_blocks);
    const Function joining = context.s.function();  // keeps the infos valid
    const std::vector<BlockInfo> rest = blocks_of(joining);
    const BlockInfo& joined = *find_block(rest, name);
    const auto reader = sole_consumer(rest, joined, joining);
    if (!tile(context, "gpu joined blocks", joined, reader, done, bind_joined_blocks))
      schedule_plain(context, name, &joined);
  });
}

void schedule_block(RuleContext& context, const std::string& name,
                    std::unordered_set<std::string>* done) {
  const Function f = context.s.function();  // keeps the infos valid
  const std::vector<BlockInfo> blocks = blocks_of(f);
  const BlockInfo* info = find_block(blocks, name);
  const bool is_known = info != nullptr && info->store != nullptr;
  if (is_known && info->is_ordered() &&
      attempt(context, "gpu scatter", name, [&] { bind_scatter(context, *info); }))
    return;
  if (!is_known || info->is_ordered()) {
    bind_fallback(context, name, info == nullptr ? 0 : info->num_context);
    context.applied.emplace_back("gpu fallback", name);
    return;
  }
  if (is_row_reduction(*info) &&
      attempt(context, "gpu row reduction", name, [&] { bind_row_reduction(context, *info); }))
    return;
  if (info->is_reduction()) {
    const auto consumer = sole_consumer(blocks, *info, f);
    if (tile(context, "gpu tensor product", *info, consumer, done, bind_tensor_product) ||
        schedule_blocks_of_terms(context, *info, done) ||
        schedule_reduction(context, *info, consumer, done))
      return;
  } else if (attempt(context, "gpu transpose", name, [&] { bind_transpose(context, *info); })) {
    return;
  }
  schedule_plain(context, name, info);
}

}  // namespace

void schedule_function(RuleContext& context) {
  inline_elementwise(context);
  std::vector<std::string> names;
  const bool is_chain = attempt(context, "gpu row chain", "", [&] {
    if (!bind_row_chain(context, &names))
      detail::raise<ScheduleError>("E0299", "the blocks are no chain over rows");
  });
  if (!is_chain) {
    names.clear();
    const Function f = context.s.function();  // keeps the infos valid
    for (const BlockInfo& info : blocks_of(f)) names.push_back(info.name());
  }
  std::unordered_set<std::string> done;
  for (const std::string& name : names) {
    if (done.count(name) == 0) schedule_block(context, name, &done);
  }
}

}  // namespace tenon::rules::gpu
