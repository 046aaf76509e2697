#include "schedule/independence.h"
#include "schedule/rewrite.h"

namespace tenon {
namespace {

ScheduleValue apply(Step& step) {
  const auto& handle = step.argument<LoopRef>(0);
  const Path path = step.path_to(handle);
  const auto* loop = path.back().as<ForNode>();
  require_serial(step, *loop, 1);
  step.suggest("split the loop first: tail=\"mask\" gives an inner loop of a constant extent");
  TENON_REQUIRE(step, unit_extent(*loop), 2, ScheduleError, "E0218", "the extent of loop '",
                handle.name(), "' should be constant");
  step.suggest("");
  for (const ForNode* inner : loops_under(loop->body)) {
    const bool scalar =
        inner->attrs.kind == ForKind::kSerial || inner->attrs.kind == ForKind::kUnrolled;
    TENON_REQUIRE(step, scalar, 3, ScheduleError, "E0219", "loop '", handle.name(), "' holds the ",
                  to_string(inner->attrs.kind), " loop '", LoopRef{inner->var}.name(), "'");
  }
  for (const ForNode* outer : loops_on(Path(path.begin(), path.end() - 1))) {
    TENON_REQUIRE(step, outer->attrs.kind != ForKind::kVectorized, 3, ScheduleError, "E0219",
                  "loop '", handle.name(), "' is inside the vectorized loop '",
                  LoopRef{outer->var}.name(), "'");
  }
  require_independent(step, path, {.requirement = 4, .allow_reduction = true});
  set_loop_kind(step, path, ForKind::kVectorized);
  return {};
}

}  // namespace

extern const Primitive kVectorize;
const Primitive kVectorize = {
    "vectorize",
    "Runs all iterations of a loop as one vector operation.",
    {{"loop", ParameterKind::kLoop}},
    {"the loop is serial",
     "its extent is constant (or one of two, after a partition or balance split)",
     "no loop inside is parallel or vectorized, and no loop outside is vectorized",
     "iterations touch distinct elements, or join one reduction"},
    ResultKind::kNothing,
    apply};

}  // namespace tenon
