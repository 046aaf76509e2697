#include "tenon/autodiff/mirror_schedule.h"

#include <algorithm>
#include <optional>
#include <sstream>
#include <unordered_map>
#include <unordered_set>

#include "autodiff/read_adjoint.h"
#include "autodiff/tiling_summary.h"
#include "rules/rule.h"
#include "tenon/rules/default_schedule.h"

namespace tenon::autodiff {
namespace {

/// The annotation kMirrors taken apart.
struct Mirrors {
  std::string block;
  std::vector<std::string> axes;  ///< one per iter; "-" for none
};

std::optional<Mirrors> mirrors_of(const BlockNode& block) {
  const auto found = block.annotations.find(kMirrors);
  if (found == block.annotations.end()) return std::nullopt;
  const auto* text = std::get_if<std::string>(&found->second);
  const std::size_t open = text != nullptr ? text->rfind('(') : std::string::npos;
  if (open == std::string::npos || text->back() != ')') return std::nullopt;
  Mirrors out{text->substr(0, open), {}};
  std::istringstream axes(text->substr(open + 1, text->size() - open - 2));
  for (std::string axis; std::getline(axes, axis, ',');) {
    const std::size_t begin = axis.find_first_not_of(' ');
    out.axes.push_back(begin == std::string::npos ? "-" : axis.substr(begin));
  }
  return out.axes.size() == block.iters.size() ? std::optional(out) : std::nullopt;
}

/// A block that computes a forward tensor again mirrors itself.
std::optional<Mirrors> own_axes(const Function& forward, const BlockNode& block) {
  const std::optional<TilingSummary> tiling = summarise_tiling(forward, block.name);
  if (!tiling || tiling->axes.size() != block.iters.size()) return std::nullopt;
  Mirrors out{block.name, {}};
  for (const TilingSummary::Axis& axis : tiling->axes) out.axes.push_back(axis.name);
  return out;
}

/// From the forward block's axes to iters of the block: each axis to its own where the kinds agree,
/// those left over in order. Axes that find none are left out.
std::unordered_map<std::string, std::size_t> match_axes(const TilingSummary& tiling,
                                                        const BlockNode& block,
                                                        const Mirrors& mirrors) {
  std::unordered_map<std::string, std::size_t> out;
  std::vector<bool> taken(block.iters.size(), false);
  const auto match = [&](const TilingSummary::Axis& axis, bool by_name) {
    if (out.count(axis.name) != 0) return;
    for (std::size_t i = 0; i < block.iters.size(); ++i) {
      if (taken[i] || block.iters[i].kind != axis.kind) continue;
      if (by_name && mirrors.axes[i] != axis.name) continue;
      taken[i] = true;
      out[axis.name] = i;
      return;
    }
  };
  for (const TilingSummary::Axis& axis : tiling.axes) match(axis, true);
  // The last ones first: lanes and rows of a tile are the last axes.
  for (std::size_t i = tiling.axes.size(); i-- > 0;) {
    if (tiling.axes[i].kind == IterKind::kReduction) continue;
    for (std::size_t j = block.iters.size(); j-- > 0 && out.count(tiling.axes[i].name) == 0;) {
      if (taken[j] || block.iters[j].kind != IterKind::kSpatial) continue;
      taken[j] = true;
      out[tiling.axes[i].name] = j;
    }
  }
  for (const TilingSummary::Axis& axis : tiling.axes) match(axis, false);
  return out;
}

/// Gives one block the loops of the summary.
class Mirror {
 public:
  Mirror(rules::RuleContext* context, std::string name, const TilingSummary& tiling,
         const Mirrors& mirrors)
      : s_(context->s), context_(*context), name_(std::move(name)), tiling_(tiling) {
    const Function f = s_.function();  // keeps the infos valid
    const std::vector<rules::BlockInfo> blocks = rules::blocks_of(f);
    const rules::BlockInfo& info = *rules::find_block(blocks, name_);
    iters_ = match_axes(tiling, *info.block, mirrors);
    for (int d = 0; d < info.num_spatial + info.num_reduction; ++d)
      extents_.push_back(rules::extent_of(info, d));
    copy_operand(info);
  }

  void run() {
    split_loops();
    order_loops();
    place_copy();
    set_kinds();
    if (tiling_.init_place && *tiling_.init_place < loops_.size())
      s_.decompose_reduction({name_}, loops_[*tiling_.init_place]);
    for (std::size_t i = 0; i < loops_.size(); ++i) {
      if (kinds_[i] == ForKind::kParallel) s_.parallel(loops_[i]);
    }
  }

 private:
  /// An operand whose neighbours along the lanes are far apart is copied into their order.
  void copy_operand(const rules::BlockInfo& info) {
    const std::string operand = rules::unpacked_operand(info);
    if (operand.empty()) return;
    const std::string copy = s_.cache_read({name_}, operand, "global").name;
    const Function f = s_.function();
    const std::vector<rules::BlockInfo> blocks = rules::blocks_of(f);
    rules::pack_operand(context_, name_, rules::find_block(blocks, copy)->output()->name);
  }

  /// The parts of each iter, outermost first.
  void split_loops() {
    const std::vector<LoopRef> plain = s_.loops(name_);
    for (std::size_t i = 0; i < plain.size(); ++i) parts_.push_back({plain[i]});
    for (const TilingSummary::Axis& axis : tiling_.axes) {
      const std::vector<std::int64_t> factors = tiling_.factors(axis.name);
      const auto found = iters_.find(axis.name);
      if (found == iters_.end() || factors.empty()) continue;
      std::vector<LoopRef>& parts = parts_[found->second];
      std::int64_t extent = extents_[found->second];
      for (std::size_t k = 0; k < factors.size(); ++k) {
        // What is inside this factor.
        std::int64_t inner = 1;
        for (std::size_t m = k; m < factors.size(); ++m) inner *= factors[m];
        if (extent >= 0) inner = std::min(inner, std::max<std::int64_t>(extent, 1));
        const bool is_last = k + 1 == factors.size();
        const char* tail = extent < 0 || extent % inner == 0 || !is_last ? "mask"
                           : is_lane(axis.name)                          ? "partition"
                                                                         : "balance";
        const LoopRef whole = parts.back();
        parts.pop_back();
        for (const LoopRef& part : s_.split(whole, {std::nullopt, inner}, tail))
          parts.push_back(part);
        extent = inner;
      }
    }
  }

  bool is_lane(const std::string& axis) const {
    return std::any_of(tiling_.loops.begin(), tiling_.loops.end(), [&](const TiledLoop& l) {
      return l.axis == axis && l.kind == ForKind::kVectorized;
    });
  }

  /// The loops in the forward order; iters that no forward axis has come first, reductions among
  /// them before the other reductions.
  void order_loops() {
    std::vector<bool> has_axis(parts_.size(), false);
    for (const auto& [axis, iter] : iters_) has_axis[iter] = true;
    std::vector<std::size_t> next(parts_.size(), 0);
    const std::vector<LoopRef> now = s_.loops(name_);
    const auto take = [&](std::size_t iter, ForKind kind) {
      if (next[iter] >= parts_[iter].size()) return;
      loops_.push_back(parts_[iter][next[iter]++]);
      kinds_.push_back(kind);
    };
    const auto take_all = [&](IterKind kind) {
      const Function f = s_.function();
      const std::vector<rules::BlockInfo> blocks = rules::blocks_of(f);
      const rules::BlockInfo& info = *rules::find_block(blocks, name_);
      for (std::size_t i = 0; i < parts_.size(); ++i) {
        if (!has_axis[i] && info.block->iters[i].kind == kind) take(i, ForKind::kSerial);
      }
    };
    take_all(IterKind::kSpatial);
    bool reductions_taken = false;
    for (const TiledLoop& l : tiling_.loops) {
      const auto found = iters_.find(l.axis);
      const auto axis =
          std::find_if(tiling_.axes.begin(), tiling_.axes.end(),
                       [&](const TilingSummary::Axis& a) { return a.name == l.axis; });
      if (axis->kind == IterKind::kReduction && !reductions_taken) {
        take_all(IterKind::kReduction);
        reductions_taken = true;
      }
      place_of_.push_back(loops_.size());
      if (found != iters_.end()) take(found->second, l.kind);
    }
    place_of_.push_back(loops_.size());
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      while (next[i] < parts_[i].size()) take(i, ForKind::kSerial);
    }
    s_.reorder(loops_);
  }

  void place_copy() {
    if (tiling_.copy_scope.empty()) return;
    const std::string copy = s_.cache_write({name_}, tiling_.copy_scope).name;
    const std::size_t place = place_of_[tiling_.copy_place];
    if (place == 0) return;
    s_.reverse_compute_at({copy}, loops_[place - 1]);
    std::vector<LoopRef> inside = s_.loops(copy);
    inside.erase(inside.begin(), inside.begin() + static_cast<std::ptrdiff_t>(place));
    if (inside.empty()) return;
    s_.vectorize(inside.back());
    for (std::size_t i = 0; i + 1 < inside.size(); ++i) s_.unroll(inside[i]);
  }

  void set_kinds() {
    for (std::size_t i = 0; i < loops_.size(); ++i) {
      if (kinds_[i] == ForKind::kVectorized) s_.vectorize(loops_[i]);
      if (kinds_[i] == ForKind::kUnrolled) s_.unroll(loops_[i]);
    }
  }

  Schedule& s_;
  rules::RuleContext& context_;
  const std::string name_;
  const TilingSummary& tiling_;
  std::unordered_map<std::string, std::size_t> iters_;  ///< of the forward block's axes
  std::vector<std::int64_t> extents_;
  std::vector<std::vector<LoopRef>> parts_;  ///< of each iter
  std::vector<LoopRef> loops_;
  std::vector<ForKind> kinds_;
  std::vector<std::size_t> place_of_;  ///< how many loops precede each forward loop
};

/// Mirrors one block, or says why not.
std::string mirror_block(rules::RuleContext* context, const Function& forward,
                         const std::string& name, const Mirrors& mirrors, bool* done) {
  const std::optional<TilingSummary> tiling = summarise_tiling(forward, mirrors.block);
  if (!tiling) return "default rule ('" + mirrors.block + "' has no loops of single axes)";
  const Schedule before = context->s;
  try {
    Mirror(context, name, *tiling, mirrors).run();
    *done = true;
    const std::optional<TilingSummary> made = summarise_tiling(context->s.function(), name);
    return "mirrors " + mirrors.block + " (" + tiling->text() + ") as " +
           (made ? made->text() : std::string("?"));
  } catch (const ScheduleError& e) {
    context->s = before;
    const std::string what = e.what();
    return "default rule (" + what.substr(0, what.find('\n')) + ")";
  }
}

}  // namespace

MirroredSchedule mirror_schedule(const Schedule& forward, const Function& derivative,
                                 const Target& target) {
  // What was measured of the derivative itself says more than its forward function.
  if (std::optional<ChosenSchedule> stored = stored_schedule(derivative, target))
    return {std::move(stored->schedule), "all blocks: " + stored->source + "\n"};
  MirroredSchedule out{Schedule(derivative), ""};
  rules::RuleContext context{out.schedule, target};
  const Function f = derivative;  // keeps the infos valid
  std::unordered_set<std::string> done;
  for (const rules::BlockInfo& info : rules::blocks_of(f)) {
    std::optional<Mirrors> mirrors = mirrors_of(*info.block);
    if (!mirrors) mirrors = own_axes(forward.function(), *info.block);
    std::string line = "default rule (no forward tensor)";
    bool is_mirrored = false;
    if (mirrors)
      line = mirror_block(&context, forward.function(), info.name(), *mirrors, &is_mirrored);
    if (is_mirrored) done.insert(info.name());
    out.report += info.name() + ": " + line + "\n";
  }
  schedule_remaining(&out.schedule, done, target);
  return out;
}

}  // namespace tenon::autodiff
