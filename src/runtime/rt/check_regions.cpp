#include "runtime/rt/check_regions.h"

#include "runtime/rt/message.h"

namespace tenon::rt {
namespace {

using namespace plan_format;  // NOLINT(google-build-using-namespace): this file is about these
                              // records

bool is_region(const Step& s) {
  return static_cast<StepOp>(s.op) == StepOp::kBranch || static_cast<StepOp>(s.op) == StepOp::kLoop;
}

class RegionChecker {
 public:
  explicit RegionChecker(const tenon_model& model) : m_(model) {}

  tenon_status check() {
    if (!first_use_.allocate(m_.buffers.size()) || !end_use_.allocate(m_.buffers.size()))
      return fail(TENON_ERROR_RESOURCE, "E1001", "out of memory while loading a plan");
    return check_nesting() && check_moves() && check_uses() ? TENON_OK : status_;
  }

 private:
  bool bad(const char* table, std::size_t record, const char* what) {
    status_ = fail(TENON_ERROR_MODEL, "E0907", "the plan is damaged or not a plan: %s %llu: %s",
                   table, 0ull + record, what);
    return false;
  }

  /// Regions lie within each other; `ends` are the steps at which the open ones end.
  bool check_nesting() {
    std::size_t ends[kMaxNesting + 1] = {m_.steps.size()};
    std::uint32_t depth = 0;
    for (std::size_t i = 0; i < m_.steps.size(); ++i) {
      while (depth > 0 && ends[depth] == i) --depth;
      const Step& s = m_.steps[i];
      if (!is_region(s)) continue;
      if (s.index >= m_.regions.size()) return bad("step", i, "no such region");
      const Region& r = m_.regions[s.index];
      if (r.num_steps > ends[depth] - i - 1) return bad("step", i, "its region does not fit");
      if (r.num_first > r.num_steps) return bad("step", i, "the first part of its region");
      if (!check_fields(i, s, r)) return false;
      if (depth == kMaxNesting) return bad("step", i, "regions are nested too deeply");
      // Two parts of a branch are two ranges: none within reaches from one into the other.
      const bool is_branch = static_cast<StepOp>(s.op) == StepOp::kBranch;
      if (r.num_first != r.num_steps && !splits_at(i, is_branch || r.condition != kNone, r))
        return bad("step", i, "a region within it reaches across its parts");
      ends[++depth] = i + 1 + r.num_steps;
    }
    return true;
  }

  /// Whether no region directly inside `r` goes across the end of its first part.
  bool splits_at(std::size_t i, bool has_parts, const Region& r) const {
    if (!has_parts) return true;
    const std::size_t middle = i + 1 + r.num_first;
    std::size_t at = i + 1;
    while (at < middle) {
      const Step& s = m_.steps[at];
      at += 1;
      if (is_region(s) && s.index < m_.regions.size()) at += m_.regions[s.index].num_steps;
    }
    return at == middle;
  }

  bool check_fields(std::size_t i, const Step& s, const Region& r) {
    const auto is_buffer = [&](std::uint32_t position) {
      return position == kNone || position < s.buffers.count;
    };
    if (!is_buffer(r.condition) || !is_buffer(r.count_buffer) || !is_buffer(r.iteration))
      return bad("step", i, "no such buffer of its region");
    if (static_cast<StepOp>(s.op) == StepOp::kBranch) {
      return r.condition != kNone || bad("step", i, "a branch without a condition");
    }
    if (r.count >= m_.program.size()) return bad("step", i, "register of its count out of range");
    return r.iteration == kNone || is_writable(m_.indices[s.buffers.begin + r.iteration]) ||
           bad("step", i, "its iteration is written into a constant or input");
  }

  bool is_writable(std::uint32_t buffer) const {
    const BufferRecord& b = m_.buffers[buffer];
    const BufferKind kind = static_cast<BufferKind>(b.kind);
    return kind == BufferKind::kWorkspace ||
           (kind == BufferKind::kArgument && b.index >= m_.info.num_inputs);
  }

  /// Registers and loops; the steps that each buffer may be used in.
  bool check_moves() {
    for (std::uint32_t& end : end_use_) end = static_cast<std::uint32_t>(m_.steps.size());
    for (std::size_t i = 0; i < m_.moves.size(); ++i) {
      const Move& v = m_.moves[i];
      if (v.kind >= kNumMoveKinds) return bad("move", i, "unknown kind");
      if (v.buffer >= m_.buffers.size()) return bad("move", i, "no such buffer");
      if (v.stride >= m_.program.size()) return bad("move", i, "register out of range");
      if (v.loop >= m_.steps.size() || static_cast<StepOp>(m_.steps[v.loop].op) != StepOp::kLoop) {
        return bad("move", i, "no such loop");
      }
      if (i > 0 && m_.moves[i - 1].loop > v.loop) return bad("move", i, "not ascending by loop");
      if (m_.buffers[v.buffer].bytes == kNone) return bad("move", i, "its buffer has no size");
      const MoveKind kind = static_cast<MoveKind>(v.kind);
      if (kind != MoveKind::kForward && kind != MoveKind::kBackward) continue;
      const std::uint32_t end = v.loop + 1 + m_.regions[m_.steps[v.loop].index].num_steps;
      std::uint32_t& first_use = first_use_[v.buffer];
      std::uint32_t& end_use = end_use_[v.buffer];
      if (first_use < v.loop + 1) first_use = v.loop + 1;
      if (end_use > end) end_use = end;
    }
    return true;
  }

  bool check_uses() {
    if (m_.moves.size() == 0) return true;
    for (std::size_t i = 0; i < m_.steps.size(); ++i) {
      const IndexList& list = m_.steps[i].buffers;
      for (std::uint32_t k = 0; k < list.count; ++k) {
        const std::uint32_t buffer = m_.indices[list.begin + k];
        if (i < first_use_[buffer] || i >= end_use_[buffer])
          return bad("step", i, "uses a buffer outside the loop that it moves with");
      }
    }
    return true;
  }

  const tenon_model& m_;
  Block<std::uint32_t> first_use_, end_use_;  ///< of each buffer
  tenon_status status_ = TENON_ERROR_MODEL;
};

}  // namespace

tenon_status check_regions(const tenon_model& model) { return RegionChecker(model).check(); }

}  // namespace tenon::rt
