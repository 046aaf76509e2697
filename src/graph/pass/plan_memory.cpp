#include <algorithm>
#include <cstdlib>
#include <limits>

#include "graph/pass/pass.h"

namespace tenon::graph {

MemoryPlan plan_memory(const std::vector<Temporary>& temporaries, PlanProgram* program) {
  struct Slot {
    PlanRegister bytes;
    std::int64_t typical;
    std::size_t busy_until;
  };
  std::vector<Slot> slots;
  std::vector<std::size_t> slot_of(temporaries.size()), by_start(temporaries.size());
  for (std::size_t i = 0; i < by_start.size(); ++i) by_start[i] = i;
  std::stable_sort(by_start.begin(), by_start.end(), [&](std::size_t a, std::size_t b) {
    return temporaries[a].first < temporaries[b].first;
  });
  for (const std::size_t i : by_start) {
    const Temporary& t = temporaries[i];
    std::size_t best = slots.size();
    std::int64_t least = std::numeric_limits<std::int64_t>::max();
    for (std::size_t s = 0; s < slots.size(); ++s) {
      if (slots[s].busy_until >= t.first) continue;
      const std::int64_t misfit = std::abs(slots[s].typical - t.typical);
      if (misfit >= least) continue;
      least = misfit;
      best = s;
    }
    if (best == slots.size()) {
      slots.push_back({t.bytes, t.typical, t.last});
    } else {
      Slot& slot = slots[best];
      slot = {program->max(slot.bytes, t.bytes), std::max(slot.typical, t.typical), t.last};
    }
    slot_of[i] = best;
  }
  MemoryPlan plan;
  plan.arena_bytes = program->constant(0);
  std::vector<PlanRegister> begins;
  for (const Slot& slot : slots) {
    begins.push_back(plan.arena_bytes);
    plan.arena_bytes = program->add(plan.arena_bytes, slot.bytes);
  }
  for (std::size_t i = 0; i < temporaries.size(); ++i) plan.offsets.push_back(begins[slot_of[i]]);
  return plan;
}

}  // namespace tenon::graph
