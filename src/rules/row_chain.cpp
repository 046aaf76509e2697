#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "rules/rule.h"

namespace tenon::rules {
namespace {

/// Whether blocks are a chain over rows: one output, made by the last block; a row reduction among
/// the others.
bool is_chain(const std::vector<BlockInfo>& blocks, const Function& f) {
  if (blocks.size() < 2 || f->outputs.size() != 1 || blocks.back().store == nullptr) return false;
  if (!blocks.back().output().same_as(f->outputs[0]) || blocks.back().num_spatial < 2) return false;
  const auto reduces_row = [](const BlockInfo& b) { return is_row_reduction(b); };
  return std::any_of(blocks.begin(), blocks.end() - 1, reduces_row) &&
         std::all_of(blocks.begin(), blocks.end(), [](const BlockInfo& b) {
           return b.store != nullptr && !b.is_ordered() && b.num_context == 0;
         });
}

/// Lanes for one element-wise block inside the row; a value per row stays a scalar.
void schedule_inside(RuleContext& context, const std::string& name, int num_rows) {
  Schedule& s = context.s;
  const Function f = s.function();  // keeps the infos valid
  const std::vector<BlockInfo> blocks = blocks_of(f);
  const BlockInfo& info = *find_block(blocks, name);
  if (info.num_spatial <= num_rows) return;
  const std::vector<LoopRef> loops = s.loops(name);
  const std::int64_t extent = extent_of(info, info.num_spatial - 1);
  const std::int64_t lanes = choose_lanes(context, name, 32);
  const char* tail = extent < 0 || extent % lanes == 0 ? "mask" : "partition";
  s.vectorize(s.split(loops.back(), {std::nullopt, lanes}, tail)[1]);
}

}  // namespace

bool is_row_chain(const RuleContext& context) {
  const Function f = context.s.function();  // keeps the infos valid
  return is_chain(blocks_of(f), f);
}

bool schedule_row_chain(RuleContext& context) {
  Schedule& s = context.s;
  const Function f = s.function();  // keeps the infos valid
  const std::vector<BlockInfo> blocks = blocks_of(f);
  if (!is_chain(blocks, f)) return false;
  const BlockInfo& sink = blocks.back();

  std::string packed;  // an operand whose layout is changed once for all rows
  for (const BlockInfo& b : blocks) {
    const std::string operand = unpacked_operand(b);
    if (operand.empty()) continue;
    const bool intermediate = std::any_of(blocks.begin(), blocks.end(), [&](const BlockInfo& x) {
      return x.output()->name == operand && !x.is_reduction();
    });
    if (!intermediate) continue;
    pack_operand(context, b.name(), operand);
    packed = operand;
  }

  // Before loops are looked up: the sink itself may be a chain.
  std::map<std::string, RowContraction> contractions;
  for (const BlockInfo& b : blocks) {
    const auto chain = divide_chain(context, b);
    if (chain) contractions[b.name()].sums = chain->sums;
  }

  const std::size_t num_rows = static_cast<std::size_t>(sink.num_spatial) - 1;
  if (!packed.empty() && num_rows < 2) return false;
  std::vector<LoopRef> rows = s.loops(sink.name());
  rows.resize(num_rows);
  const LoopRef row = rows.back();
  LoopRef outer = rows[0];
  // Threads share a loop of known size (heads) rather than one that may have a single iteration
  // (the batch).
  for (std::size_t d = 1; d + 1 < num_rows && extent_of(sink, 0) < 0; ++d) {
    if (extent_of(sink, static_cast<int>(d)) < 2) continue;
    std::vector<LoopRef> order{rows[d]};
    order.insert(order.end(), rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(d));
    s.reorder(order);
    outer = rows[d];
    break;
  }

  // What makes new blocks comes first, while each nest stands alone.
  std::vector<RowParts> divided;
  std::set<std::string> within;  // lanes of reductions of which a row of the sink has many
  for (const BlockInfo& b : blocks) {
    if (is_row_reduction(b)) {
      divided.push_back(divide_row(context, b, has_order(b)));
      const bool is_one = static_cast<std::size_t>(b.num_spatial) <= num_rows;
      if (!is_one && divided.back().blocks.empty()) within.insert(divided.back().lanes);
    } else if (b.is_reduction()) {
      RowContraction& parts = contractions[b.name()];
      if (!parts.sums.empty()) parts.sums_copy = s.cache_write({parts.sums}, "register").name;
      parts.copy = s.cache_write({b.name()}, "register").name;
    }
  }
  std::string packing;
  for (const BlockInfo& b : blocks) {
    if (b.output()->name == packed) packing = b.name();
  }
  std::vector<std::string> names;
  for (const BlockRef& b : s.blocks()) names.push_back(b.name);
  const auto last = std::find(names.begin(), names.end(), sink.name());
  for (auto name = last; name != names.begin();) {
    --name;
    const auto inside_of = [&](const RowParts& r) {
      const bool is_inside = !r.blocks.empty() || within.count(r.lanes) != 0;
      return *name == r.blocks || (*name == r.lanes && is_inside);
    };
    if (std::any_of(divided.begin(), divided.end(), inside_of)) continue;
    s.compute_at({*name}, *name == packing ? s.loops(sink.name())[num_rows - 2] : row);
    for (const RowParts& parts : divided) {
      if (*name != parts.block) continue;
      place_row(context, parts);
      if (within.count(parts.lanes) == 0) continue;
      const std::vector<LoopRef> loops = s.loops(parts.block);  // the last joins the lanes
      s.compute_at({parts.lanes}, loops[loops.size() - 2]);
    }
  }
  for (const RowParts& parts : divided) finish_row(context, parts);
  for (const BlockInfo& b : blocks) {
    if (is_row_reduction(b) || b.name() == packing) continue;
    if (b.is_reduction()) {
      schedule_contraction_in_row(context, b, contractions.at(b.name()), row);
    } else {
      schedule_inside(context, b.name(), static_cast<int>(num_rows));
    }
  }
  if (choose(context, sink.name() + ".parallel", true)) s.parallel(outer);
  return true;
}

}  // namespace tenon::rules
