#include "schedule/rewrite.h"
#include "tenon/ir/builder.h"

namespace tenon {
namespace {

Attr attr_of(const ScheduleValue& value) {
  if (const auto* i = std::get_if<std::int64_t>(&value)) return *i;
  if (const auto* d = std::get_if<double>(&value)) return *d;
  return std::get<std::string>(value);
}

ScheduleValue apply(Step& step) {
  const std::string& key = step.argument<std::string>(1);
  TENON_REQUIRE(step, !key.empty(), 1, ScheduleError, "E0263", "the key should not be empty");
  const Attr attr = attr_of(step.value(2));
  if (const auto* loop = std::get_if<LoopRef>(&step.value(0))) {
    const Path path = step.path_to(*loop);
    const auto* f = path.back().as<ForNode>();
    ForAttrs attrs = f->attrs;
    attrs.annotations[key] = attr;
    step.set_root(replace_at(path, with_attrs(*f, std::move(attrs))));
    return {};
  }
  const Path path = step.path_to(step.argument<BlockRef>(0));
  BlockParts parts = parts_of(*path.back().as<BlockNode>());
  parts.annotations[key] = attr;
  step.set_root(replace_at(path, make_block(std::move(parts))));
  return {};
}

}  // namespace

extern const Primitive kAnnotate;
const Primitive kAnnotate = {"annotate",
                             "Attaches a named value to a loop or a block.",
                             {{"target", ParameterKind::kTarget},
                              {"key", ParameterKind::kText},
                              {"value", ParameterKind::kValue}},
                             {"the key is not empty"},
                             ResultKind::kNothing,
                             apply};

}  // namespace tenon
