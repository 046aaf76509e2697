#include "schedule/rewrite.h"

namespace tenon {
namespace {

ScheduleValue apply(Step& step) {
  const auto& handle = step.argument<LoopRef>(0);
  const Path path = step.path_to(handle);
  const auto* loop = path.back().as<ForNode>();
  require_serial(step, *loop, 1);
  TENON_REQUIRE(step, unit_extent(*loop), 2, ScheduleError, "E0218", "the extent of loop '",
                handle.name(), "' should be constant");
  set_loop_kind(step, path, ForKind::kUnrolled);
  return {};
}

}  // namespace

extern const Primitive kUnroll;
const Primitive kUnroll = {
    "unroll",
    "Repeats the body of a loop once for each iteration.",
    {{"loop", ParameterKind::kLoop}},
    {"the loop is serial",
     "its extent is constant (or one of two, after a partition or balance split)"},
    ResultKind::kNothing,
    apply};

}  // namespace tenon
