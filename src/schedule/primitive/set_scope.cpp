#include "schedule/rewrite.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

ScheduleValue apply(Step& step) {
  const auto& block_ref = step.argument<BlockRef>(0);
  const std::string& scope = step.argument<std::string>(1);
  const Path path = step.path_to(block_ref);
  const Buffer buffer = only_written_buffer(step, *path.back().as<BlockNode>(), 1);
  step.suggest("cache_write(\"" + block_ref.name + "\", scope=\"" + scope +
               "\") gives the block a buffer of that scope");
  TENON_REQUIRE(step, !step.is_parameter(buffer), 2, ScheduleError, "E0262", "buffer '",
                buffer->name, "' of block '", block_ref.name,
                "' is a parameter, which is always global");
  step.suggest("");
  const Buffer changed =
      make_buffer(buffer->name, buffer->dtype, buffer->shape, parse_scope(scope));
  step.set_root(replace_buffers(step.root(), {{buffer.get(), changed}}));
  return {};
}

}  // namespace

extern const Primitive kSetScope;
const Primitive kSetScope = {
    "set_scope",
    "Changes the scope of the buffer that a block writes.",
    {{"block", ParameterKind::kBlock}, {"scope", ParameterKind::kText, nullptr, true}},
    {"the block writes exactly one buffer", "the buffer is no parameter of the function"},
    ResultKind::kNothing,
    apply};

}  // namespace tenon
