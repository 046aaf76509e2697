#include <algorithm>

#include "schedule/dependence.h"
#include "schedule/rewrite.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon {

extern const Primitive kSplitTerms;

namespace {

bool uses(const Expr& e, const Expr& v) {
  return uses_var(e, [&](const VarNode& x) { return &x == v.get(); });
}

/// The product of the extents of the block's reduction loops inside the loop.
Expr terms_inside(Step& step, const ForNode& loop, const BlockNode& block, const Path& path) {
  const std::vector<const ForNode*> around = loops_on(path);
  const auto first = std::find(around.begin(), around.end(), &loop) + 1;
  Expr terms = imm(1);
  for (auto f = first; f != around.end(); ++f) {
    if (!touches(block, (*f)->var, IterKind::kReduction)) continue;
    step.blame((*f)->var);
    for (const ForNode* other : around) {
      TENON_REQUIRE(step, !uses((*f)->extent, other->var), 4, ScheduleError, "E0279",
                    "the extent of loop '", LoopRef{(*f)->var}.name(), "' changes with loop '",
                    LoopRef{other->var}.name(), "'");
    }
    terms = terms * (*f)->extent;
  }
  return terms;
}

ScheduleValue apply(Step& step) {
  const auto& handle = step.argument<LoopRef>(0);
  const std::int64_t terms = step.argument<std::int64_t>(1);
  const Path path = step.path_to(handle);
  step.blame(handle.var);
  const auto* loop = path.back().as<ForNode>();
  require_serial(step, *loop, 1);
  TENON_REQUIRE(step, terms >= 1, 2, ScheduleError, "E0277", "terms = ", terms, " for loop '",
                handle.name(), "' must be at least 1");
  const std::vector<const BlockNode*> blocks = blocks_under(loop->body);
  TENON_REQUIRE(step,
                blocks.size() == 1 && touches(*blocks[0], loop->var, IterKind::kReduction) &&
                    !touches(*blocks[0], loop->var, IterKind::kSpatial),
                3, ScheduleError, "E0278", "loop '", handle.name(),
                "' does not run over the reduction of one block alone");
  const Expr inside =
      terms_inside(step, *loop, *blocks[0], step.path_to(BlockRef{blocks[0]->name}));
  if (const auto constant = as_int(inside)) {
    const std::int64_t steps =
        std::max<std::int64_t>(1, terms / std::max<std::int64_t>(*constant, 1));
    return split_loop(step, handle, {std::nullopt, steps}, "mask");
  }
  const Expr steps = max(imm(1), floordiv(imm(terms), max(imm(1), inside)));
  const std::vector<std::string> names = part_names(handle.name(), 2);
  const Expr outer = var(names[0]), inner = var(names[1]);
  const Expr value = outer * steps + inner;
  Stmt body = substitute(loop->body, VarMap{{handle.var.get(), loop->min + value}});
  body = add_predicate(body, lt(value, loop->extent));
  ForAttrs attrs;
  attrs.annotations = loop->attrs.annotations;
  const SpanScope scope(loop->span);
  body = make_for(inner, imm(0), steps, body);
  step.set_root(
      replace_at(path, make_for(outer, imm(0), ceildiv(loop->extent, steps), body, attrs)));
  const std::vector<LoopRef> result = {{outer}, {inner}};
  step.set_replacement(handle, result);
  return result;
}

}  // namespace

const Primitive kSplitTerms = {
    "split_terms",
    "Splits a reduction loop into blocks of at most so many terms, whole iterations each, also "
    "where the extents inside are symbolic.",
    {{"loop", ParameterKind::kLoop}, {"terms", ParameterKind::kInteger, nullptr, true}},
    {"the loop is serial", "terms is at least 1",
     "one block is under the loop, which runs over its reduction only",
     "the extents of its reduction loops inside change with no other loop"},
    ResultKind::kLoops,
    apply};

}  // namespace tenon
