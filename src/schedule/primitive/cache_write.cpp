#include <algorithm>

#include "schedule/placement.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

/// The only buffer that the block writes.
Buffer written_buffer(Step& step, const BlockNode& block) {
  std::vector<Buffer> buffers;
  for (const BufferRegion& w : block.writes) {
    if (std::none_of(buffers.begin(), buffers.end(),
                     [&](const Buffer& b) { return b.same_as(w.buffer); })) {
      buffers.push_back(w.buffer);
    }
  }
  TENON_REQUIRE(step, buffers.size() == 1, 1, ScheduleError, "E0226", "block '", block.name,
                "' writes ", buffers.size(), " buffers and should write exactly one");
  return buffers[0];
}

/// A block that copies `from` to `to`, element by element, named like the new buffer.
Stmt copy_nest(const std::string& name, const Buffer& from, const Buffer& to,
               const std::vector<Range>& box, const std::vector<std::string>& names,
               const Facts& facts) {
  std::vector<IterVar> iters;
  std::vector<Expr> indices;
  for (std::size_t d = 0; d < box.size(); ++d) {
    iters.push_back({var(names[d]), {imm(0), to->shape[d]}, IterKind::kSpatial});
    indices.push_back(iters.back().var);
  }
  const Stmt block =
      make_block(name, iters, indices, nullptr, nullptr, store(to, indices, load(from, indices)));
  return nest_over(*block.as<BlockNode>(), box, facts);
}

/// Names for the loops over a buffer's dimensions: those of the block's iters where an index is
/// one.
std::vector<std::string> dimension_names(const BlockNode& block, const BufferRegion& region) {
  std::vector<std::string> names;
  for (std::size_t d = 0; d < region.ranges.size(); ++d) {
    const auto index = iter_of_index(block, region.ranges[d]);
    names.push_back(index ? block.iters[index->iter].var.as<VarNode>()->name
                          : "ax" + std::to_string(d));
  }
  return names;
}

/// The statement of the root's sequence that holds the block.
std::size_t top_of(const Path& path) {
  std::size_t top = 0;
  while (path[top].as<AllocateNode>() != nullptr) ++top;
  return path[top].as<SeqNode>() != nullptr ? top + 1 : top;
}

ScheduleValue apply(Step& step) {
  const auto& block_ref = step.argument<BlockRef>(0);
  const std::string& scope = step.argument<std::string>(1);
  const Path path = step.path_to(block_ref);
  const auto* block = path.back().as<BlockNode>();
  const Buffer buffer = written_buffer(step, *block);
  const std::size_t top = top_of(path);
  const std::vector<Access> all = accesses_of(accesses_under(step.root()), buffer);
  const std::vector<Access> here = accesses_of(accesses_under(path[top]), buffer);
  std::vector<Access> writes;
  for (const Access& a : here) {
    const bool writes_too = std::any_of(here.begin(), here.end(), [&](const Access& w) {
      return w.is_write && w.block == a.block;
    });
    TENON_REQUIRE(step, writes_too, 2, ScheduleError, "E0227", "block '", a.block->name,
                  "' reads buffer '", buffer->name, "' inside the loops of block '", block_ref.name,
                  "'");
    if (a.is_write) writes.push_back(a);
  }
  for (const Access& a : all) {
    const bool inside =
        std::any_of(here.begin(), here.end(), [&](const Access& h) { return h.block == a.block; });
    TENON_REQUIRE(step, inside || !a.is_write, 2, ScheduleError, "E0227", "block '", a.block->name,
                  "' writes buffer '", buffer->name, "' too");
  }
  const Facts facts = step.facts(writes[0].loops);
  std::vector<Range> box = box_of(writes, {}, facts);
  for (std::size_t d = 0; d < box.size(); ++d) {
    const bool whole = !box[d].min || !prove_not_negative(box[d].min, facts) ||
                       !prove_not_negative(buffer->shape[d] - box[d].min - box[d].extent, facts);
    if (whole) box[d] = {imm(0), buffer->shape[d]};
  }
  const Buffer cache = make_buffer(step.fresh_buffer_name(buffer->name + "_" + scope),
                                   buffer->dtype, buffer->shape, parse_scope(scope));
  const std::string name = step.fresh_block_name(block_ref.name + "_" + scope);
  const Stmt copy = copy_nest(name, cache, buffer, box, dimension_names(*block, block->writes[0]),
                              step.facts({}));
  const Stmt changed = replace_buffers(path[top], {{buffer.get(), cache}});
  step.set_root(replace_at(Path(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(top) + 1),
                           make_seq({changed, copy})));
  step.allocate(cache);
  return BlockRef{name};
}

}  // namespace

extern const Primitive kCacheWrite;
const Primitive kCacheWrite = {
    "cache_write",
    "Lets a block write a new buffer `<buffer>_<scope>`, and copies that to the old one in a new "
    "block `<block>_<scope>` after it.",
    {{"block", ParameterKind::kBlock}, {"scope", ParameterKind::kText}},
    {"the block writes exactly one buffer",
     "no other block writes the buffer, and none reads it inside the block's loops"},
    ResultKind::kBlock,
    apply};

}  // namespace tenon
