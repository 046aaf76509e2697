#include "graph/places.h"

#include <algorithm>

namespace tenon::graph {
namespace {

bool same(const Place& a, const Place& b) {
  return a.kind == b.kind && a.index == b.index && a.bytes == b.bytes &&
         std::equal(a.moves.begin(), a.moves.end(), b.moves.begin(), b.moves.end(),
                    [](const PlanMove& x, const PlanMove& y) {
                      return x.loop == y.loop && x.stride == y.stride && x.kind == y.kind;
                    });
}

}  // namespace

Place Places::add_temporary(PlanRegister bytes, std::int64_t typical_bytes) {
  const auto index = static_cast<std::uint32_t>(temporaries_.size());
  temporaries_.push_back({plan_->program.round_up(bytes, 64), typical_bytes, 0, 0});
  is_used_.push_back(false);
  return {PlanBufferKind::kWorkspace, index, bytes};
}

Place Places::moving(Place place, std::uint32_t loop, PlanRegister stride, PlanMoveKind kind,
                     PlanRegister bytes) {
  place.bytes = bytes;
  place.moves.push_back({.loop = loop, .stride = stride, .kind = kind});
  return place;
}

std::uint32_t Places::use(const Place& place, std::size_t step) {
  if (place.kind == PlanBufferKind::kWorkspace) {
    Temporary& t = temporaries_[place.index];
    t.first = is_used_[place.index] ? std::min(t.first, step) : step;
    t.last = std::max(t.last, step);
    is_used_[place.index] = true;
    uses_.emplace_back(place.index, step);
  }
  for (std::size_t i = 0; i < used_.size(); ++i) {
    if (same(used_[i], place)) return static_cast<std::uint32_t>(i);
  }
  used_.push_back(place);
  return static_cast<std::uint32_t>(used_.size() - 1);
}

void Places::finish() {
  for (const auto& [index, step] : uses_) {
    Temporary& t = temporaries_[index];
    for (const auto& [begin, end] : loops_) {
      if (begin <= step && step < end && t.first < begin) t.last = std::max(t.last, end - 1);
    }
  }
  // Temporaries that no step uses have no memory.
  std::vector<Temporary> needed;
  std::vector<std::size_t> number(temporaries_.size());
  for (std::size_t i = 0; i < temporaries_.size(); ++i) {
    number[i] = needed.size();
    if (is_used_[i]) needed.push_back(temporaries_[i]);
  }
  const MemoryPlan memory = plan_memory(needed, &plan_->program);
  if (!needed.empty()) plan_->arena_bytes = memory.arena_bytes;
  std::vector<PlanBufferId> buffers;
  for (const Place& p : used_) {
    PlanBuffer buffer{p.kind, p.index, kPlanNone, p.bytes};
    if (p.kind == PlanBufferKind::kWorkspace) {
      buffer.index = 0;
      buffer.offset_bytes = memory.offsets[number[p.index]];
    }
    const auto id = static_cast<PlanBufferId>(plan_->buffers.size());
    plan_->buffers.push_back(buffer);
    buffers.push_back(id);
    for (PlanMove move : p.moves) {
      move.buffer = id;
      plan_->moves.push_back(move);
    }
  }
  for (PlanStep& step : plan_->steps) {
    for (PlanBufferId& b : step.buffers) b = buffers[b];
  }
}

}  // namespace tenon::graph
