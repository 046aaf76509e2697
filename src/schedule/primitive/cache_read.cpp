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
  check_not_written(step, path[top], block_ref.name, buffer, 2);
  check_made(step, *block, joined_region(*block, buffer), 3);
  const Buffer cache = make_buffer(step.fresh_buffer_name(buffer->name + "_" + scope),
                                   buffer->dtype, buffer->shape, parse_scope(scope));
  const std::string name = step.fresh_block_name(buffer->name + "_" + scope);
  const Stmt copy = copy_nest(name, buffer, cache, *block, joined_region(*block, buffer));
  step.set_root(replace_at(path, replace_buffers(path.back(), {{buffer.get(), cache}})));
  make_before(step, block_ref, top, copy, cache);
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
