#include "schedule/rewrite.h"
#include "schedule/thread_loops.h"
#include "tenon/ir/builder.h"

namespace tenon {
namespace {

void check_extent(Step& step, const ForNode& loop, ThreadAxis axis) {
  const auto extent = as_int(loop.extent);
  if (is_thread_axis(axis)) {
    step.suggest("split the loop first: tail=\"mask\" gives an inner loop of a constant extent");
    TENON_REQUIRE(step, extent, 3, ScheduleError, "E1262", "the extent of loop '",
                  LoopRef{loop.var}.name(), "' should be constant on ", to_string(axis));
    step.suggest("");
  }
  TENON_REQUIRE(step, !extent || *extent <= max_extent(axis), 3, ScheduleError, "E1262",
                "the extent ", *extent, " of loop '", LoopRef{loop.var}.name(), "' is more than ",
                to_string(axis), " takes: ", max_extent(axis));
}

ScheduleValue apply(Step& step) {
  const auto& handle = step.argument<LoopRef>(0);
  const std::string& name = step.argument<std::string>(1);
  const Path path = step.path_to(handle);
  const auto* loop = path.back().as<ForNode>();
  require_serial(step, *loop, 1);
  TENON_REQUIRE(step, is_int(loop->min, 0), 1, ScheduleError, "E1261", "loop '", handle.name(),
                "' should start at 0");
  const auto axis = find_thread_axis(name);
  TENON_REQUIRE(step, axis, 2, ScheduleError, "E1260", "loop '", handle.name(),
                "': there is no thread axis '", name, "'");
  check_extent(step, *loop, *axis);
  ForAttrs attrs = loop->attrs;
  attrs.kind = ForKind::kThread;
  attrs.thread_axis = name;
  step.set_root(replace_at(path, with_attrs(*loop, std::move(attrs))));
  const Path bound = step.path_to(handle);
  const ThreadRules rules = {
      .nest = 4, .same_axis = 5, .threads = 6, .blocks = 7, .independent = 8};
  check_kernel_form(step, bound, rules);
  check_thread_loop(step, bound, rules);
  return {};
}

}  // namespace

extern const Primitive kBind;
const Primitive kBind = {
    "bind",
    "Runs the iterations of a loop on the coordinates of an axis of the GPU's grid or block.",
    {{"loop", ParameterKind::kLoop}, {"axis", ParameterKind::kText}},
    {"the loop is serial and starts at 0", "the axis is blockIdx.x, .y, .z or threadIdx.x, .y, .z",
     "the extent is within the axis' limit, and constant for a thread axis",
     "loops on block axes are directly nested, each axis once, outside of those on thread axes; no "
     "loop around or inside is parallel, none around vectorized",
     "inside another loop of the same thread axis, blocks write shared memory only and do not "
     "depend on the outer loop",
     "the kernel has at most 1024 threads in a block",
     "iterations of a block axis touch distinct elements; memory that is not global stays in one",
     "iterations of a thread axis touch distinct elements, write shared memory alike, or (on "
     "threadIdx.x, a power of two up to 1024) join one reduction without init; private memory "
     "stays "
     "in one"},
    ResultKind::kNothing,
    apply};

}  // namespace tenon
