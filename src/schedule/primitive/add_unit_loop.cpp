#include "schedule/rewrite.h"
#include "tenon/ir/builder.h"

namespace tenon {
namespace {

ScheduleValue apply(Step& step) {
  const auto* loop = std::get_if<LoopRef>(&step.value(0));
  const Path path =
      loop != nullptr ? step.path_to(*loop) : step.path_to(step.argument<BlockRef>(0));
  const Expr unit = var("unit");
  step.set_root(replace_at(path, make_for(unit, imm(0), imm(1), path.back())));
  return LoopRef{unit};
}

}  // namespace

extern const Primitive kAddUnitLoop;
const Primitive kAddUnitLoop = {"add_unit_loop",
                                "Puts a loop of one iteration around a loop or a block.",
                                {{"target", ParameterKind::kTarget}},
                                {},
                                ResultKind::kLoop,
                                apply};

}  // namespace tenon
