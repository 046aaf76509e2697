#include <algorithm>

#include "schedule/placement.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/thread.h"

namespace tenon {
namespace {

/// Where a producer moves: its block, the loop, and the reads under it.
struct Move {
  Path path, loop_path;
  const BlockNode* block;
  Buffer buffer;
  std::vector<const ForNode*> around;  ///< the new surrounding loops
  std::vector<Access> reads;
};

bool is_under(const Access& access, const ForNode& loop) {
  return std::any_of(access.loops.begin(), access.loops.end(),
                     [&](const ForNode* f) { return f == &loop; });
}

Move check_move(Step& step, const BlockRef& block_ref, const LoopRef& loop_ref) {
  Move move{step.path_to(block_ref), step.path_to(loop_ref), nullptr, nullptr, {}, {}};
  move.block = move.path.back().as<BlockNode>();
  step.blame(block_ref.name);
  const auto* loop = move.loop_path.back().as<ForNode>();
  move.around = loops_on(move.loop_path);
  move.buffer = only_written_buffer(step, *move.block, 1);
  TENON_REQUIRE(step, !step.is_parameter(move.buffer), 2, ScheduleError, "E0233", "block '",
                block_ref.name, "' writes the output '", move.buffer->name,
                "' and cannot move to its readers");
  for (const Access& a : accesses_of(accesses_under(step.root()), move.buffer)) {
    if (a.block == move.block) continue;
    TENON_REQUIRE(step, !a.is_write, 1, ScheduleError, "E0226", "block '", a.block->name,
                  "' writes buffer '", move.buffer->name, "' too");
    TENON_REQUIRE(step, is_under(a, *loop), 3, ScheduleError, "E0234", "block '", a.block->name,
                  "' reads buffer '", move.buffer->name, "' outside loop '", loop_ref.name(), "'");
    move.reads.push_back(a);
  }
  TENON_REQUIRE(step, !move.reads.empty(), 3, ScheduleError, "E0234", "no block under loop '",
                loop_ref.name(), "' reads buffer '", move.buffer->name, "'");
  TENON_REQUIRE(step, blocks_under(move.path[top_level_position(move.path)]).size() == 1, 4,
                ScheduleError, "E0235", "block '", block_ref.name,
                "' shares its outermost loop with other blocks");
  return move;
}

/// Whether the range holds all of the domain.
bool covers(const Range& range, const Range& domain, const Facts& facts) {
  return prove_not_negative(domain.min - range.min, facts) &&
         prove_not_negative(range.min + range.extent - domain.min - domain.extent, facts);
}

/// The loops whose variables stand still in the part that is made. Threads of a block make a part
/// of `shared` memory together, lanes of a warp that of a fragment: it holds what all of them need.
std::vector<Expr> still_loops(const Move& move) {
  std::vector<Expr> still;
  for (const ForNode* f : move.around) {
    const auto axis = axis_of(*f);
    const bool together =
        axis && is_thread_axis(*axis) &&
        (move.buffer->scope == Scope::kShared ||
         (move.buffer->scope == Scope::kFragment && *axis == ThreadAxis::kThreadX));
    if (!together) still.push_back(f->var);
  }
  return still;
}

/// The part of each iter's domain that the reads need; the whole domain where an iter is not an
/// index, or where reads under a condition reach beyond it on both sides.
std::vector<Range> needed_ranges(Step& step, const Move& move) {
  const Facts facts = step.facts(move.around);
  const std::vector<Range> box = box_of(move.reads, still_loops(move), facts);
  std::vector<Range> ranges;
  for (const IterVar& i : move.block->iters) ranges.push_back(i.domain);
  const BufferRegion& written = move.block->writes[0];
  for (std::size_t d = 0; d < box.size(); ++d) {
    const auto index = iter_of_index(*move.block, written.ranges[d]);
    if (!index || !box[d].min) continue;
    const Range needed = {normalise(box[d].min - index->offset), box[d].extent};
    Range& range = ranges[index->iter];
    if (!covers(needed, range, facts)) range = needed;
  }
  return ranges;
}

/// The loop's body with the nest before the first statement that reads the buffer.
Stmt insert_before_reader(const Stmt& body, const Stmt& nest, const Buffer& buffer) {
  std::vector<Stmt> stmts = {body};
  if (const auto* seq = body.as<SeqNode>()) stmts = seq->stmts;
  const auto reader = std::find_if(stmts.begin(), stmts.end(), [&](const Stmt& s) {
    return !accesses_of(accesses_under(s), buffer).empty();
  });
  stmts.insert(reader, nest);
  return make_seq(std::move(stmts));
}

ScheduleValue apply(Step& step) {
  const auto& block_ref = step.argument<BlockRef>(0);
  const auto& loop_ref = step.argument<LoopRef>(1);
  const Move move = check_move(step, block_ref, loop_ref);
  const Stmt nest = nest_over(*move.block, needed_ranges(step, move), step.facts(move.around));
  consume_loops_around(step, move.path,
                       "compute_at moved block '" + block_ref.name + "' out of it");
  step.set_root(replace_at(move.path, nullptr));
  const Path place = step.path_to(loop_ref);
  const auto* loop = place.back().as<ForNode>();
  step.set_root(
      replace_at(place, with_body(*loop, insert_before_reader(loop->body, nest, move.buffer))));
  return {};
}

}  // namespace

extern const Primitive kComputeAt;
const Primitive kComputeAt = {
    "compute_at",
    "Moves a block under a loop, before the blocks there that read what it makes, with fresh "
    "serial loops over the part that they need; of shared memory, what all threads need.",
    {{"block", ParameterKind::kBlock}, {"loop", ParameterKind::kLoop}},
    {"the block writes one buffer, which no other block writes",
     "the buffer is no output of the function",
     "every block that reads the buffer is under the loop, and there is one",
     "no other block is in the block's outermost loop"},
    ResultKind::kNothing,
    apply};

}  // namespace tenon
