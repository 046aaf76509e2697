#include <algorithm>

#include "schedule/rewrite.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

/// The loops from the outermost to the innermost, checked.
std::vector<const ForNode*> adjacent_loops(Step& step, const std::vector<LoopRef>& handles) {
  std::vector<const ForNode*> loops;
  for (const LoopRef& h : handles) {
    const Path path = step.path_to(h);
    step.blame(h.var);
    const auto* loop = path.back().as<ForNode>();
    require_serial(step, *loop, 2);
    if (!loops.empty()) {
      TENON_REQUIRE(step, loops.back()->body.get() == loop, 1, ScheduleError, "E0211", "loop '",
                    h.name(), "' is not the whole body of loop '",
                    loops.back()->var.as<VarNode>()->name, "'");
    }
    loops.push_back(loop);
  }
  return loops;
}

ScheduleValue apply(Step& step) {
  const auto& handles = step.argument<std::vector<LoopRef>>(0);
  TENON_REQUIRE(step, handles.size() >= 2, 1, ScheduleError, "E0211",
                "needs at least 2 loops, got ", handles.size());
  const std::vector<const ForNode*> loops = adjacent_loops(step, handles);
  for (const ForNode* inner : loops) {
    step.blame(inner->var);
    const bool rectangular = !uses_var(inner->min + inner->extent, [&](const VarNode& v) {
      return std::any_of(loops.begin(), loops.end(),
                         [&](const ForNode* f) { return f->var.get() == &v; });
    });
    TENON_REQUIRE(step, rectangular, 3, ScheduleError, "E0212", "the extent of loop '",
                  inner->var.as<VarNode>()->name, "' changes with a loop that it is fused with");
  }
  std::string name;
  for (const LoopRef& h : handles) name += (name.empty() ? "" : "_") + h.name();
  const Expr fused = var(name + "_f");
  VarMap map;
  Expr rest = fused, extent = imm(1);
  for (std::size_t i = loops.size(); i-- > 0;) {
    const ForNode& f = *loops[i];
    const Expr value = i == 0 ? rest : floormod(rest, f.extent);
    map[f.var.get()] = f.min + value;
    rest = i == 0 ? rest : floordiv(rest, f.extent);
    extent = f.extent * extent;
  }
  const Path path = step.path_to(handles[0]);
  const Stmt body = substitute(loops.back()->body, map);
  step.set_root(replace_at(path, make_for(fused, imm(0), extent, body)));
  for (const LoopRef& h : handles) step.set_replacement(h, {{fused}});
  return LoopRef{fused};
}

}  // namespace

extern const Primitive kFuse;
const Primitive kFuse = {
    "fuse",
    "Replaces perfectly nested loops by one loop over all their iterations, in the same order.",
    {{"loops", ParameterKind::kLoops, nullptr, false, true}},
    {"there are at least two loops, outermost first, each the whole body of the one before",
     "the loops are serial", "no extent changes with another of the loops"},
    ResultKind::kLoop,
    apply};

}  // namespace tenon
