#include <algorithm>
#include <map>

#include "rules/rule.h"
#include "tenon/ir/visit.h"

namespace tenon::rules {
namespace {

/// Blocks that read `buffer`, and how often in all.
struct Readers {
  std::vector<const BlockInfo*> blocks;
  int num_reads = 0;
};

Readers readers_of(const std::vector<BlockInfo>& blocks, const Buffer& buffer) {
  Readers out;
  for (const BlockInfo& b : blocks) {
    const auto reads = std::count_if(b.loads.begin(), b.loads.end(),
                                     [&](const LoadNode* l) { return l->buffer.same_as(buffer); });
    if (reads > 0) out.blocks.push_back(&b);
    out.num_reads += static_cast<int>(reads);
  }
  return out;
}

/// Whether the value is a load (perhaps converted): inlining it anywhere costs only its index.
bool is_copy(const BlockInfo& info) {
  Expr value = info.store->value;
  if (const auto* c = value.as<CastNode>()) value = c->value;
  return value.as<LoadNode>() != nullptr;
}

/// Whether a contraction reads the copy across its lanes: then the copy is the place to change the
/// layout.
bool wants_packing(const std::vector<const BlockInfo*>& readers, const BlockInfo& info) {
  return std::any_of(readers.begin(), readers.end(), [&](const BlockInfo* reader) {
    return !unpacked_operand(*reader).empty() && unpacked_operand(*reader) == info.output()->name;
  });
}

/// Whether inlining may be chosen: an element-wise block whose result others read.
bool can_inline(const std::vector<BlockInfo>& blocks, const BlockInfo& info, const Function& f) {
  if (info.is_reduction() || info.is_ordered() || info.store == nullptr) return false;
  const auto is_output = [&](const Buffer& b) { return b.same_as(info.output()); };
  if (std::any_of(f->outputs.begin(), f->outputs.end(), is_output)) return false;
  return !readers_of(blocks, info.output()).blocks.empty();
}

bool should_inline(const std::vector<BlockInfo>& blocks, const BlockInfo& info) {
  const Readers readers = readers_of(blocks, info.output());
  // What is laid out anew before a scan would be read across its lanes at every step.
  const auto is_in_step = [&](const BlockInfo* reader) {
    return reader->is_reduction() && reader->num_context > info.num_context;
  };
  if (is_copy(info)) {
    return !wants_packing(readers.blocks, info) &&
           std::none_of(readers.blocks.begin(), readers.blocks.end(), is_in_step);
  }
  // A reader with more iterations than the producer would compute the value again and again.
  const auto repeats = [&](const BlockInfo* reader) {
    return reader->block->iters.size() > info.block->iters.size();
  };
  if (std::any_of(readers.blocks.begin(), readers.blocks.end(), repeats)) return false;
  return readers.blocks.size() == 1 || (!info.has_calls && info.loads.size() <= 1);
}

/// Inlines what is decided, or else what should be.
void inline_blocks(RuleContext& context, const std::map<std::string, bool>& decisions) {
  bool changed = true;
  std::vector<std::string> refused;
  while (changed) {
    changed = false;
    const Function f = context.s.function();
    const std::vector<BlockInfo> blocks = blocks_of(f);
    for (const BlockInfo& info : blocks) {
      if (std::find(refused.begin(), refused.end(), info.name()) != refused.end()) continue;
      if (!can_inline(blocks, info, f)) continue;
      const auto decided = decisions.find(info.name());
      if (decided == decisions.end() ? !should_inline(blocks, info) : !decided->second) continue;
      try {
        context.s.compute_inline({info.name()});
        changed = true;
        break;  // the list of blocks is out of date
      } catch (const ScheduleError&) {
        refused.push_back(info.name());
      }
    }
  }
}

/// What a tuner may decide; nothing where all is as preferred.
std::map<std::string, bool> decide_inlining(RuleContext& context) {
  const Function f = context.s.function();  // keeps the infos valid
  const std::vector<BlockInfo> blocks = blocks_of(f);
  Schedule analytic = context.s;
  RuleContext without{analytic, context.target};
  inline_blocks(without, {});
  std::map<std::string, bool> decisions;
  bool as_preferred = true;
  for (const BlockInfo& info : blocks) {
    if (!can_inline(blocks, info, f)) continue;
    const auto left = analytic.blocks();
    const bool is_inlined = std::none_of(left.begin(), left.end(),
                                         [&](const BlockRef& b) { return b.name == info.name(); });
    const bool wanted = choose(context, info.name() + ".inline", is_inlined);
    decisions[info.name()] = wanted;
    as_preferred = as_preferred && wanted == is_inlined;
  }
  return as_preferred ? std::map<std::string, bool>() : decisions;
}

}  // namespace

void inline_elementwise(RuleContext& context) {
  inline_blocks(
      context, context.offers_decisions ? decide_inlining(context) : std::map<std::string, bool>());
}

}  // namespace tenon::rules
