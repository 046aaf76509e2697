#include <algorithm>

#include "schedule/dependence.h"
#include "schedule/rewrite.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

constexpr std::int64_t kMaxStages = 8;

bool is_copy(const BlockNode& b) { return b.annotations.count("async_copy") != 0; }

/// The statements of the loop's body, and of each whether it is copies only.
std::vector<std::pair<Stmt, bool>> parts_of_body(Step& step, const ForNode& loop) {
  std::vector<Stmt> stmts = {loop.body};
  if (const auto* seq = loop.body.as<SeqNode>()) stmts = seq->stmts;
  std::vector<std::pair<Stmt, bool>> parts;
  for (const Stmt& s : stmts) {
    const std::vector<const BlockNode*> blocks = blocks_under(s);
    const auto copies =
        std::count_if(blocks.begin(), blocks.end(), [](const BlockNode* b) { return is_copy(*b); });
    TENON_REQUIRE(step, copies == 0 || copies == static_cast<std::ptrdiff_t>(blocks.size()), 3,
                  ScheduleError, "E1279", "a statement in loop '", LoopRef{loop.var}.name(),
                  "' holds asynchronous copies and block '",
                  (*std::find_if(blocks.begin(), blocks.end(),
                                 [](const BlockNode* b) { return !is_copy(*b); }))
                      ->name,
                  "'");
    parts.emplace_back(s, copies != 0);
  }
  return parts;
}

/// Copies run ahead: what they read may not be made in the loop, and what they write only they
/// write and only the loop reads.
void check_buffers(Step& step, const ForNode& loop, const Path& path) {
  const std::vector<Access> here = accesses_under(path.back(), {}),
                            all = accesses_under(step.root());
  for (const Access& a : here) {
    if (!is_copy(*a.block)) continue;
    for (const Access& other : accesses_of(all, a.buffer)) {
      if (other.block == a.block) continue;
      const bool inside = std::any_of(here.begin(), here.end(),
                                      [&](const Access& h) { return h.block == other.block; });
      const bool fine = a.is_write ? inside && !other.is_write : !inside || !other.is_write;
      TENON_REQUIRE(step, fine, 4, ScheduleError, "E1279", "block '", other.block->name, "' ",
                    other.is_write ? "writes" : "reads", " buffer '", a.buffer->name, "', which '",
                    a.block->name, "' ", a.is_write ? "writes" : "reads", " ahead in loop '",
                    LoopRef{loop.var}.name(), "'");
    }
  }
}

ScheduleValue apply(Step& step) {
  const auto& handle = step.argument<LoopRef>(0);
  const std::int64_t stages = step.argument<std::int64_t>(1);
  const Path path = step.path_to(handle);
  const auto* loop = path.back().as<ForNode>();
  require_serial(step, *loop, 1);
  TENON_REQUIRE(step, stages >= 2 && stages <= kMaxStages, 2, ScheduleError, "E1279",
                "stages = ", stages, " for loop '", handle.name(), "' should be 2 to ", kMaxStages);
  const auto parts = parts_of_body(step, *loop);
  const auto copies =
      std::count_if(parts.begin(), parts.end(), [](const auto& p) { return p.second; });
  step.suggest("async_copy marks the blocks that copy to shared memory under the loop");
  TENON_REQUIRE(step, copies != 0 && copies != static_cast<std::ptrdiff_t>(parts.size()), 3,
                ScheduleError, "E1279", "loop '", handle.name(), "' holds ",
                copies == 0 ? "no asynchronous copy" : "nothing but asynchronous copies");
  step.suggest("");
  check_buffers(step, *loop, path);
  ForAttrs attrs = loop->attrs;
  attrs.annotations["software_pipeline"] = stages;
  step.set_root(replace_at(path, with_attrs(*loop, std::move(attrs))));
  return {};
}

}  // namespace

extern const Primitive kSoftwarePipeline;
const Primitive kSoftwarePipeline = {
    "software_pipeline",
    "Lets the asynchronous copies in a loop run `stages - 1` iterations ahead of what uses them.",
    {{"loop", ParameterKind::kLoop}, {"stages", ParameterKind::kInteger, nullptr, true}},
    {"the loop is serial", "there are 2 to 8 stages",
     "each statement of its body is asynchronous copies, or holds none; there are both",
     "what the copies read is not written in the loop, what they write is read in the loop only"},
    ResultKind::kNothing,
    apply};

}  // namespace tenon
