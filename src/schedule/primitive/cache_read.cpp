#include <algorithm>

#include "schedule/placement.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

/// The regions of the block's reads of a buffer joined, over its iters.
BufferRegion joined_region(const BlockNode& block, const Buffer& buffer) {
  BufferRegion region{buffer, {}};
  std::size_t count = 0;
  for (const BufferRegion& r : block.reads) {
    if (!r.buffer.same_as(buffer)) continue;
    region = r;
    ++count;
  }
  if (count == 1) return region;
  region.ranges.clear();
  for (const Expr& extent : buffer->shape) region.ranges.push_back({imm(0), extent});
  return region;
}

/// Of an intermediate buffer, all that would be copied must have been made.
void check_made(Step& step, const BlockNode& block, const Buffer& buffer) {
  const std::vector<Buffer>& inputs = step.function()->inputs;
  if (std::any_of(inputs.begin(), inputs.end(), [&](const Buffer& b) { return b.same_as(buffer); }))
    return;
  const std::vector<Range> needed = domain_box(block, joined_region(block, buffer));
  const Facts facts = step.facts({});
  bool made = false;
  for (const BlockNode* b : blocks_under(step.root())) {
    for (const BufferRegion& w : b->writes) {
      if (!w.buffer.same_as(buffer) || !writes_whole_box(*b, w)) continue;
      const std::vector<Range> box = domain_box(*b, w);
      bool covers = true;
      for (std::size_t d = 0; d < box.size() && covers; ++d) {
        covers = prove_not_negative(needed[d].min - box[d].min, facts) &&
                 prove_not_negative(box[d].min + box[d].extent - needed[d].min - needed[d].extent,
                                    facts);
      }
      made |= covers;
    }
  }
  TENON_REQUIRE(step, made, 3, ScheduleError, "E0275", "not every element of buffer '",
                buffer->name, "' that would be copied for block '", block.name, "' has been made");
}

ScheduleValue apply(Step& step) {
  const auto& block_ref = step.argument<BlockRef>(0);
  const std::string& scope = step.argument<std::string>(2);
  const Path path = step.path_to(block_ref);
  const auto* block = path.back().as<BlockNode>();
  const Buffer buffer = accessed_buffer(step, *block, step.argument<std::string>(1), 1);
  const bool written = std::any_of(block->writes.begin(), block->writes.end(),
                                   [&](const BufferRegion& w) { return w.buffer.same_as(buffer); });
  step.suggest("cache_write gives the block a buffer of its own to write");
  TENON_REQUIRE(step, !written, 1, ScheduleError, "E0260", "block '", block_ref.name,
                "' writes buffer '", buffer->name, "'");
  step.suggest("");
  const std::size_t top = top_level_position(path);
  for (const Access& a : accesses_of(accesses_under(path[top]), buffer)) {
    TENON_REQUIRE(step, !a.is_write, 2, ScheduleError, "E0261", "block '", a.block->name,
                  "' makes buffer '", buffer->name, "' inside the loops of block '", block_ref.name,
                  "'");
  }
  check_made(step, *block, buffer);
  const Buffer cache = make_buffer(step.fresh_buffer_name(buffer->name + "_" + scope),
                                   buffer->dtype, buffer->shape, parse_scope(scope));
  const std::string name = step.fresh_block_name(buffer->name + "_" + scope);
  const Stmt copy = copy_nest(name, buffer, cache, *block, joined_region(*block, buffer));
  step.set_root(replace_at(path, replace_buffers(path.back(), {{buffer.get(), cache}})));
  const Path updated = path_up_to(step.path_to(block_ref), top);
  step.set_root(replace_at(updated, make_seq({copy, updated.back()})));
  step.allocate(cache);
  return BlockRef{name};
}

}  // namespace

extern const Primitive kCacheRead;
const Primitive kCacheRead = {
    "cache_read",
    "Lets a block read a new buffer `<buffer>_<scope>`, to which a new block of that name copies "
    "what it needs before the block's outermost loop.",
    {{"block", ParameterKind::kBlock},
     {"buffer", ParameterKind::kText},
     {"scope", ParameterKind::kText, nullptr, true}},
    {"the block reads the buffer, and does not write it",
     "no block inside the block's outermost loop writes it",
     "one block makes every element of the part that the block reads, unless it is an input"},
    ResultKind::kBlock,
    apply};

}  // namespace tenon
