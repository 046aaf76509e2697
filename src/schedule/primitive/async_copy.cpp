#include "schedule/rewrite.h"
#include "tenon/ir/builder.h"

namespace tenon {
namespace {

ScheduleValue apply(Step& step) {
  const auto& ref = step.argument<BlockRef>(0);
  const Path path = step.path_to(ref);
  const auto* block = path.back().as<BlockNode>();
  const auto* s = block->body.as<StoreNode>();
  const auto* source = s == nullptr ? nullptr : s->value.as<LoadNode>();
  TENON_REQUIRE(step, source != nullptr && !block->init, 1, ScheduleError, "E1278", "block '",
                ref.name, "' does not copy elements as they are");
  step.suggest("cache_read(..., scope=\"shared\") makes such a block");
  TENON_REQUIRE(step, s->buffer->scope == Scope::kShared && source->buffer->scope == Scope::kGlobal,
                2, ScheduleError, "E1278", "block '", ref.name, "' copies from ",
                to_string(source->buffer->scope), " to ", to_string(s->buffer->scope),
                " memory, should from global to shared");
  step.suggest("");
  BlockParts parts = parts_of(*block);
  parts.annotations["async_copy"] = std::int64_t{1};
  step.set_root(replace_at(path, make_block(std::move(parts))));
  return {};
}

}  // namespace

extern const Primitive kAsyncCopy;
const Primitive kAsyncCopy = {
    "async_copy",
    "Lets a copy from global to shared memory run on its own until it is waited for.",
    {{"block", ParameterKind::kBlock}},
    {"the block stores what it loads", "it loads from global and stores to shared memory"},
    ResultKind::kNothing,
    apply};

}  // namespace tenon
