#include <algorithm>

#include "schedule/placement.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

ScheduleValue apply(Step& step) {
  const auto& block_ref = step.argument<BlockRef>(0);
  const std::string& scope = step.argument<std::string>(1);
  const Path path = step.path_to(block_ref);
  const auto* block = path.back().as<BlockNode>();
  const Buffer buffer = only_written_buffer(step, *block, 1);
  const std::size_t top = top_level_position(path);
  const std::vector<Access> all = accesses_of(accesses_under(step.root()), buffer);
  const std::vector<Access> here = accesses_of(accesses_under(path[top]), buffer);
  for (const Access& a : here) {
    const bool writes_too = std::any_of(here.begin(), here.end(), [&](const Access& w) {
      return w.is_write && w.block == a.block;
    });
    TENON_REQUIRE(step, writes_too, 2, ScheduleError, "E0227", "block '", a.block->name,
                  "' reads buffer '", buffer->name, "' inside the loops of block '", block_ref.name,
                  "'");
  }
  for (const Access& a : all) {
    const bool inside =
        std::any_of(here.begin(), here.end(), [&](const Access& h) { return h.block == a.block; });
    TENON_REQUIRE(step, inside || !a.is_write, 2, ScheduleError, "E0227", "block '", a.block->name,
                  "' writes buffer '", buffer->name, "' too");
  }
  TENON_REQUIRE(step, writes_whole_box(*block, block->writes[0]), 3, ScheduleError, "E0275",
                "block '", block_ref.name, "' leaves elements of its part of buffer '",
                buffer->name, "' out");
  const Buffer cache = make_buffer(step.fresh_buffer_name(buffer->name + "_" + scope),
                                   buffer->dtype, buffer->shape, parse_scope(scope));
  const std::string name = step.fresh_block_name(block_ref.name + "_" + scope);
  const Stmt copy = copy_nest(name, cache, buffer, *block, block->writes[0]);
  const Stmt changed = replace_buffers(path[top], {{buffer.get(), cache}});
  step.set_root(replace_at(path_up_to(path, top), make_seq({changed, copy})));
  step.allocate(cache);
  return BlockRef{name};
}

}  // namespace

extern const Primitive kCacheWrite;
const Primitive kCacheWrite = {
    "cache_write",
    "Lets a block write a new buffer `<buffer>_<scope>`, and copies that to the old one in a new "
    "block `<block>_<scope>` after it.",
    {{"block", ParameterKind::kBlock}, {"scope", ParameterKind::kText, nullptr, true}},
    {"the block writes exactly one buffer",
     "no other block writes the buffer, and none reads it inside the block's loops",
     "the part of the buffer that the block writes has no holes"},
    ResultKind::kBlock,
    apply};

}  // namespace tenon
