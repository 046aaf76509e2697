#include "schedule/rewrite.h"
#include "tenon/ir/builder.h"

namespace tenon {
namespace {

ScheduleValue apply(Step& step) {
  const auto& ref = step.argument<BlockRef>(0);
  const std::int64_t axis = step.argument<std::int64_t>(1);
  const std::int64_t factor = step.argument<std::int64_t>(2);
  const std::int64_t offset = step.argument<std::int64_t>(3);
  const Path path = step.path_to(ref);
  const auto* block = path.back().as<BlockNode>();
  const Buffer buffer = only_written_buffer(step, *block, 1);
  TENON_REQUIRE(step, buffer->scope != Scope::kGlobal && buffer->scope != Scope::kFragment, 2,
                ScheduleError, "E0262", "buffer '", buffer->name, "' of block '", ref.name,
                "' is in ", to_string(buffer->scope), " memory");
  const auto rank = static_cast<std::int64_t>(buffer->shape.size());
  TENON_REQUIRE(step, axis >= 0 && axis + 1 < rank, 3, ScheduleError, "E0269", "axis ", axis,
                " of buffer '", buffer->name, "' should be 0 to ", rank - 2);
  TENON_REQUIRE(step, factor >= 1 && offset >= 0 && offset < factor, 4, ScheduleError, "E0203",
                "factor = ", factor, ", offset = ", offset,
                " should be a factor of at least 1 and an offset from 0 to below it");
  BlockParts parts = parts_of(*block);
  parts.annotations["storage_align"] =
      std::to_string(axis) + ":" + std::to_string(factor) + ":" + std::to_string(offset);
  step.set_root(replace_at(path, make_block(std::move(parts))));
  return {};
}

}  // namespace

extern const Primitive kStorageAlign;
const Primitive kStorageAlign = {
    "storage_align",
    "Pads the buffer that a block writes, when it is lowered: the stride of a dimension becomes "
    "`offset` more than a multiple of `factor` elements.",
    {{"block", ParameterKind::kBlock},
     {"axis", ParameterKind::kInteger},
     {"factor", ParameterKind::kInteger, nullptr, true},
     {"offset", ParameterKind::kInteger, "0", true}},
    {"the block writes exactly one buffer", "in shared, local or register memory",
     "the axis is one of the buffer's, but the last",
     "the factor is at least 1, and the offset less than it"},
    ResultKind::kNothing,
    apply};

}  // namespace tenon
