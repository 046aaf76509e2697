#include "schedule/independence.h"
#include "schedule/rewrite.h"

namespace tenon {
namespace {

ScheduleValue apply(Step& step) {
  const auto& handle = step.argument<LoopRef>(0);
  const Path path = step.path_to(handle);
  const auto* loop = path.back().as<ForNode>();
  require_serial(step, *loop, 1);
  for (const ForNode* outer : loops_on(Path(path.begin(), path.end() - 1))) {
    TENON_REQUIRE(step, outer->attrs.kind == ForKind::kSerial, 2, ScheduleError, "E0220", "loop '",
                  handle.name(), "' is inside the ", to_string(outer->attrs.kind), " loop '",
                  LoopRef{outer->var}.name(), "'");
  }
  for (const ForNode* inner : loops_under(loop->body)) {
    TENON_REQUIRE(step, inner->attrs.kind != ForKind::kParallel, 2, ScheduleError, "E0220",
                  "loop '", handle.name(), "' holds the parallel loop '",
                  LoopRef{inner->var}.name(), "'");
  }
  require_independent(step, path, {.requirement = 3, .allow_reduction = false});
  set_loop_kind(step, path, ForKind::kParallel);
  return {};
}

}  // namespace

extern const Primitive kParallel;
const Primitive kParallel = {
    "parallel",
    "Runs the iterations of a loop on several threads.",
    {{"loop", ParameterKind::kLoop}},
    {"the loop is serial", "no loop inside is parallel, and all loops outside are serial",
     "iterations touch distinct elements; no reduction or ordered iter uses the loop"},
    ResultKind::kNothing,
    apply};

}  // namespace tenon
