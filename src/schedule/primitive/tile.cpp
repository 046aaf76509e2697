#include "schedule/rewrite.h"

namespace tenon {
namespace {

ScheduleValue apply(Step& step) {
  const auto& outer = step.argument<LoopRef>(0);
  const auto& inner = step.argument<LoopRef>(1);
  const Path path = step.path_to(outer);
  const Path inner_path = step.path_to(inner);
  step.blame(inner.var);
  TENON_REQUIRE(step, path.back().as<ForNode>()->body.same_as(inner_path.back()), 1, ScheduleError,
                "E0217", "loop '", inner.name(), "' is not the whole body of loop '", outer.name(),
                "'");
  const auto& tail = step.argument<std::string>(4);
  const auto io = split_loop(step, outer, {std::nullopt, step.argument<std::int64_t>(2)}, tail);
  const auto jo = split_loop(step, inner, {std::nullopt, step.argument<std::int64_t>(3)}, tail);
  std::vector<LoopRef> order = {io[0], jo[0], io[1], jo[1]};
  reorder_loops(step, order);
  return order;
}

}  // namespace

extern const Primitive kTile;
const Primitive kTile = {
    "tile",
    "Splits two nested loops and moves both inner parts inside both outer parts.",
    {{"i", ParameterKind::kLoop},
     {"j", ParameterKind::kLoop},
     {"i_factor", ParameterKind::kInteger},
     {"j_factor", ParameterKind::kInteger},
     {"tail", ParameterKind::kText, "\"mask\"", true}},
    {"loop j is the whole body of loop i", "what split requires holds for both loops",
     "what reorder requires holds"},
    ResultKind::kLoops,
    apply};

}  // namespace tenon
