#include <algorithm>

#include "schedule/placement.h"
#include "tenon/ir/builder.h"

namespace tenon {
namespace {

/// Accesses under `loop` that write a buffer that the block reads.
std::vector<Access> producers_of(const BlockNode& block, const Path& loop_path) {
  const std::vector<const ForNode*> around = loops_on(Path(loop_path.begin(), loop_path.end() - 1));
  std::vector<Access> found;
  for (const Access& a : accesses_under(loop_path.back(), around)) {
    const bool read = a.is_write && std::any_of(block.reads.begin(), block.reads.end(),
                                                [&](const BufferRegion& r) {
                                                  return r.buffer.same_as(a.buffer);
                                                });
    if (read) found.push_back(a);
  }
  return found;
}

/// The reduction of a producer must be complete within one iteration of the loop.
void check_complete(Step& step, const std::vector<Access>& producers,
                    const std::vector<const ForNode*>& around, const LoopRef& loop) {
  for (const Access& p : producers) {
    for (const ForNode* f : around) {
      step.blame(f->var);
      TENON_REQUIRE(step, !touches(*p.block, f->var, IterKind::kReduction), 3, ScheduleError,
                    "E0230", "block '", p.block->name, "' is not complete under loop '",
                    loop.name(), "': loop '", LoopRef{f->var}.name(), "' runs over its reduction");
    }
  }
}

/// The statements that the block would pass on its way, those with the loop and with the block
/// included: within the innermost statement that holds both.
std::vector<Stmt> passed(const Path& path, const Path& loop_path) {
  std::size_t depth = 0;
  while (path[depth].same_as(loop_path[depth])) ++depth;
  const auto* seq = depth == 0 ? nullptr : path[depth - 1].as<SeqNode>();
  if (seq == nullptr) return {loop_path[depth]};
  std::vector<Stmt> stmts;
  for (const Stmt& s : seq->stmts) {
    if (s.same_as(loop_path[depth]) || !stmts.empty()) stmts.push_back(s);
    if (s.same_as(path[depth]) && !stmts.empty()) break;
  }
  return stmts;
}

/// What the block reads and the loop does not make must be complete before the loop begins, and
/// what the block writes must be left alone until it would have run.
void check_order(Step& step, const BlockNode& block, const Path& path, const Path& loop_path) {
  const auto* loop = loop_path.back().as<ForNode>();
  const auto is_of = [](const std::vector<BufferRegion>& regions, const Buffer& buffer) {
    return std::any_of(regions.begin(), regions.end(),
                       [&](const BufferRegion& r) { return r.buffer.same_as(buffer); });
  };
  for (const Stmt& s : passed(path, loop_path)) {
    for (const Access& a : accesses_under(s)) {
      if (a.block == &block) continue;
      const bool made_under_loop = std::find(a.loops.begin(), a.loops.end(), loop) != a.loops.end();
      TENON_REQUIRE(step, !a.is_write || !is_of(block.reads, a.buffer) || made_under_loop, 5,
                    ScheduleError, "E0274", "block '", block.name, "' reads buffer '",
                    a.buffer->name, "', which block '", a.block->name, "' completes after loop '",
                    LoopRef{loop->var}.name(), "' begins");
      TENON_REQUIRE(step, !is_of(block.writes, a.buffer), 6, ScheduleError, "E0226", "block '",
                    a.block->name, "' ", a.is_write ? "writes" : "reads", " buffer '",
                    a.buffer->name, "' too");
    }
  }
}

/// All iterations of the loop together must make what every iteration of the block reads: none may
/// be lost.
void check_cover(Step& step, const BlockNode& block, const IterIndex& index,
                 const std::vector<Access>& writers, std::size_t d) {
  const Range& domain = block.iters[index.iter].domain;
  const Facts facts = step.facts({});
  const bool covered = std::any_of(writers.begin(), writers.end(), [&](const Access& w) {
    for (const BufferRegion& region : w.block->writes) {
      if (!region.buffer.same_as(w.buffer)) continue;
      const Range made = domain_box(*w.block, region)[d];
      const Expr first = made.min - index.offset;
      if (prove_not_negative(domain.min - first, facts) &&
          prove_not_negative(first + made.extent - domain.min - domain.extent, facts)) {
        return true;
      }
    }
    return false;
  });
  TENON_REQUIRE(step, covered, 4, ScheduleError, "E0231", "block '", block.name,
                "' also runs where what it reads of buffer '", writers[0].buffer->name,
                "' is not made");
}

/// The range of each iter for which the block's operands are produced under the loop.
std::vector<Range> iter_ranges(Step& step, const BlockNode& block,
                               const std::vector<Access>& producers,
                               const std::vector<const ForNode*>& around) {
  std::vector<Expr> fixed;
  for (const ForNode* f : around) fixed.push_back(f->var);
  std::vector<Range> ranges(block.iters.size());
  for (const BufferRegion& read : block.reads) {
    const std::vector<Access> writers = accesses_of(producers, read.buffer);
    if (writers.empty()) continue;
    for (const Access& w : writers) {
      TENON_REQUIRE(step, fills_its_box(w, fixed, step.function()->symbols), 4, ScheduleError,
                    "E0231", "what block '", w.block->name, "' makes of buffer '", w.buffer->name,
                    "' under the loop is no box");
    }
    const std::vector<Range> box = box_of(writers, fixed, step.facts(around));
    for (std::size_t d = 0; d < read.ranges.size(); ++d) {
      const auto index = iter_of_index(block, read.ranges[d]);
      const bool whole_dimension =
          box[d].min && is_int(box[d].min, 0) &&
          prove_equal(box[d].extent, read.buffer->shape[d], step.facts(around));
      if (!index) {
        TENON_REQUIRE(step, whole_dimension, 4, ScheduleError, "E0231", "block '", block.name,
                      "' reads dimension ", d, " of buffer '", read.buffer->name,
                      "' by an index that is not one iter");
        continue;
      }
      TENON_REQUIRE(step, box[d].min, 4, ScheduleError, "E0231", "the part of buffer '",
                    read.buffer->name, "' that is made under the loop is not known");
      check_cover(step, block, *index, writers, d);
      const Range range = {normalise(box[d].min - index->offset), box[d].extent};
      Range& known = ranges[index->iter];
      if (!known.min) {
        known = range;
        continue;
      }
      const bool equal = prove_equal(known.min, range.min, step.facts(around)) &&
                         prove_equal(known.extent, range.extent, step.facts(around));
      TENON_REQUIRE(step, equal, 4, ScheduleError, "E0231", "block '", block.name,
                    "' reads buffer '", read.buffer->name,
                    "' at different places in one iteration");
    }
  }
  return ranges;
}

void complete_ranges(Step& step, const BlockNode& block, std::vector<Range>* ranges,
                     const Facts& facts) {
  for (std::size_t i = 0; i < ranges->size(); ++i) {
    Range& r = (*ranges)[i];
    const IterVar& iter = block.iters[i];
    if (!r.min) r = iter.domain;
    if (iter.kind == IterKind::kSpatial) continue;
    // The step of a scan that the block runs in, and stays in.
    const bool is_step =
        iter.kind == IterKind::kOrdered && is_int(r.extent, 1) && r.min.same_as(block.bindings[i]);
    if (is_step) continue;
    const bool whole = prove_equal(r.min, iter.domain.min, facts) &&
                       prove_equal(r.extent, iter.domain.extent, facts);
    TENON_REQUIRE(step, whole, 4, ScheduleError, "E0231",
                  "the loop makes only a part of what the reduction of block '", block.name,
                  "' needs");
  }
}

ScheduleValue apply(Step& step) {
  const auto& block_ref = step.argument<BlockRef>(0);
  const auto& loop_ref = step.argument<LoopRef>(1);
  const Path path = step.path_to(block_ref);
  const auto* block = path.back().as<BlockNode>();
  const Path loop_path = step.path_to(loop_ref);
  step.blame(loop_ref.var);
  const bool around_itself =
      path.size() > loop_path.size() && path[loop_path.size() - 1].same_as(loop_path.back());
  TENON_REQUIRE(step, !around_itself, 1, ScheduleError, "E0228", "loop '", loop_ref.name(),
                "' is around block '", block_ref.name, "' already");
  const std::vector<Access> producers = producers_of(*block, loop_path);
  TENON_REQUIRE(step, !producers.empty(), 2, ScheduleError, "E0229", "no block under loop '",
                loop_ref.name(), "' writes what block '", block_ref.name, "' reads");
  const std::vector<const ForNode*> around = loops_on(loop_path);
  check_complete(step, producers, around, loop_ref);
  step.blame(block_ref.name);
  check_order(step, *block, path, loop_path);
  std::vector<Range> ranges = iter_ranges(step, *block, producers, around);
  const Facts facts = step.facts(around);
  complete_ranges(step, *block, &ranges, facts);
  const Stmt nest = nest_over(*block, ranges, facts);
  for (const ForNode* f : loops_on(path)) {
    if (blocks_under(f->body).size() == 1)
      step.consume({f->var}, "reverse_compute_at moved block '" + block_ref.name + "' out of it");
  }
  step.set_root(replace_at(path, nullptr));
  const Path place = step.path_to(loop_ref);
  const auto* loop = place.back().as<ForNode>();
  step.set_root(replace_at(place, with_body(*loop, make_seq({loop->body, nest}))));
  return {};
}

}  // namespace

extern const Primitive kReverseComputeAt;
const Primitive kReverseComputeAt = {
    "reverse_compute_at",
    "Moves a block under a loop, after the blocks that make what it reads, with fresh serial loops "
    "over the part made there.",
    {{"block", ParameterKind::kBlock}, {"loop", ParameterKind::kLoop}},
    {"the loop is not around the block", "a block under the loop writes what the block reads",
     "what it reads there is complete after one iteration of the loop",
     "what is made there is a box, each index of those reads is one iter plus a constant, the same "
     "in all reads, and a "
     "reduction gets all its terms",
     "all else that the block reads is complete before the statement with the loop",
     "nothing from there to the block touches what the block writes"},
    ResultKind::kNothing,
    apply};

}  // namespace tenon
