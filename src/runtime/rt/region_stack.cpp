#include "runtime/rt/region_stack.h"

#include <string.h>

namespace tenon::rt {
namespace {

using namespace plan_format;  // NOLINT(google-build-using-namespace): this file is about these
                              // records

/// The first move of a loop at step `loop` or after it.
std::uint32_t first_move(const Block<Move>& moves, std::uint32_t loop) {
  std::size_t begin = 0, end = moves.size();
  while (begin < end) {
    const std::size_t middle = begin + (end - begin) / 2;
    if (moves[middle].loop < loop) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  return static_cast<std::uint32_t>(begin);
}

}  // namespace

RegionStack::RegionStack(tenon_context& context, const RegionMemory* memory)
    : c_(context), memory_(memory) {
  for (const Move& v : c_.model->moves) c_.shifts[v.buffer] = 0;
  for (std::int64_t& moved : c_.moved) moved = 0;
}

std::uint32_t RegionStack::enter(std::uint32_t i) {
  const tenon_model& m = *c_.model;
  const Step& s = m.steps[i];
  const Region& r = m.regions[s.index];
  Frame& f = frames_[depth_++];
  f = {};
  f.region = &r;
  f.step = i;
  if (static_cast<StepOp>(s.op) == StepOp::kBranch) {
    const bool holds = condition_holds(f);
    f.stop = i + 1 + (holds ? r.num_first : r.num_steps);
    return holds ? i + 1 : i + 1 + r.num_first;
  }
  f.is_loop = true;
  f.count = c_.registers[r.count];
  if (r.count_buffer != kNone) {
    std::int64_t most = 0;
    read(&most, address_now(c_, i, r.count_buffer), sizeof(most));
    if (most < f.count) f.count = most;
  }
  if (f.count < 0) f.count = 0;
  f.moves_begin = first_move(m.moves, i);
  f.moves_end = first_move(m.moves, i + 1);
  return begin_iteration(f);
}

std::uint32_t RegionStack::pass() {
  Frame& f = frames_[depth_ - 1];
  if (!f.is_loop) return leave();
  if (f.is_first) {
    const std::uint32_t at = f.stop;
    if (!condition_holds(f)) return leave();
    f.is_first = false;
    f.stop = f.step + 1 + f.region->num_steps;
    return at;
  }
  ++f.iteration;
  return begin_iteration(f);
}

void RegionStack::read(void* to, const char* from, std::size_t bytes) const {
  if (memory_ == nullptr) {
    memcpy(to, from, bytes);
  } else if (!memory_->read(memory_->user, to, from, bytes)) {
    memset(to, 0, bytes);
  }
}

bool RegionStack::condition_holds(const Frame& f) const {
  char holds = 0;
  read(&holds, address_now(c_, f.step, f.region->condition), sizeof(holds));
  return holds != 0;
}

std::uint32_t RegionStack::begin_iteration(Frame& f) {
  place_buffers(f);
  if (f.iteration >= f.count) return leave();
  if (f.region->iteration != kNone) {
    char* to = address_now(c_, f.step, f.region->iteration);
    if (memory_ == nullptr) {
      memcpy(to, &f.iteration, sizeof(f.iteration));
    } else {
      memory_->write(memory_->user, to, f.iteration);
    }
  }
  f.is_first = f.region->condition != kNone;
  f.stop = f.step + 1 + (f.is_first ? f.region->num_first : f.region->num_steps);
  return f.step + 1;
}

void RegionStack::place_buffers(const Frame& f) {
  const tenon_model& m = *c_.model;
  const std::int64_t t = f.iteration;
  for (std::uint32_t i = f.moves_begin; i < f.moves_end; ++i) {
    const Move& v = m.moves[i];
    std::int64_t places = 0;
    switch (static_cast<MoveKind>(v.kind)) {
      case MoveKind::kForward:
        places = t < f.count ? t : 0;
        break;
      case MoveKind::kBackward:
        places = t < f.count ? f.count - 1 - t : 0;
        break;
      case MoveKind::kEven:
        places = t % 2;
        break;
      case MoveKind::kOdd:
        places = (t + 1) % 2;
        break;
    }
    const std::int64_t now = places * c_.registers[v.stride];
    c_.shifts[v.buffer] += now - c_.moved[i];
    c_.moved[i] = now;
  }
}

std::uint32_t RegionStack::leave() {
  const Frame& f = frames_[--depth_];
  return f.step + 1 + f.region->num_steps;
}

}  // namespace tenon::rt
